"""Loaded models for the page: each is loaded once, even if several visitors ask at once; the last used ones stay in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future

from cyclegan_hub import checkpoints
from cyclegan_hub.hub.model_folder import ModelError
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.inference import fast
from cyclegan_hub.serving.messages import ServingError, public_error_text
from cyclegan_hub.serving.model_info import EpochChoice, Published


class ModelCache:
    """At most `most` loaded models, each epoch of a domain being one; for many threads at once.

    They are prepared for fast inference on this machine (see `models/inference.py`).
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.loaded: OrderedDict[tuple[str, str], Future[Model]] = OrderedDict()  # by place and revision
        self._lock = threading.Lock()
        # At most two models are loaded at a time, because loading holds the weights twice in memory.
        self._reading = threading.Semaphore(2)

    def network(self, model: Published, chosen: EpochChoice) -> Model:
        """The model of an epoch. Raises ServingError if it cannot be loaded; the next one who asks tries again."""
        key = (model.where, model.revisions[chosen.name])
        with self._lock:
            future = self.loaded.get(key)
            mine = future is None
            if future is None:
                future = self.loaded[key] = Future()
            self.loaded.move_to_end(key)
            while len(self.loaded) > self.most:
                self.loaded.popitem(last=False)
        if mine:
            try:
                with self._reading:
                    future.set_result(self._load(model, chosen))
            except BaseException as error:
                with self._lock:
                    if self.loaded.get(key) is future:
                        del self.loaded[key]
                future.set_exception(error)
        try:
            return future.result()
        except (ModelError, OSError) as error:
            name = model.choice.name
            raise ServingError(
                f"{chosen.label} of {name} cannot be loaded ({public_error_text(error, model.where, name)})."
            ) from None

    def _load(self, model: Published, chosen: EpochChoice) -> Model:
        offline = model.choice.origin == "cache"
        # The best epoch is loaded as `main`, so that the Hub's cache tells which one it is while the Hub is down.
        network = checkpoints.load(model.where, None if chosen.best else chosen.name, local_files_only=offline)
        if network.directions != model.choice.directions:
            kind = type(network).__name__
            raise ModelError(
                f"it is a {kind}, unlike the other epochs: publish the models of each method in a place of their own"
            )
        return fast(network)
