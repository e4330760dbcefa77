"""Everything the page does, without gradio: translations, drawn pictures, batches, live frames, cards.

Of a picture only its content hash and the positions of its faces are kept, in memory; nothing of it is logged. Files are written
only below the folder that a caller names.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from PIL import Image

from cyclegan_hub import checkpoints
from cyclegan_hub import files as file_names
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.inference import optimize_for_cpu
from cyclegan_hub.models.photograph import FaceChoice, Options
from cyclegan_hub.models.protocols import Sampler, Translator
from cyclegan_hub.serving import about, catalog
from cyclegan_hub.serving.catalog import Catalog, DomainChoice, EpochChoice, Published
from cyclegan_hub.serving.live import LiveFrame, Track, prepare_frame
from cyclegan_hub.serving.messages import ServingError, as_sentence, one_line, public_error_text
from cyclegan_hub.serving.photos import PhotoPreparer, Picture, Prepared
from cyclegan_hub.serving.results import (
    CELL,
    READABLE,
    SAVE_FORMATS,
    Batch,
    Result,
    Samples,
    SaveFormatName,
    coloured,
    open_zip,
    result_file,
    zip_names,
)

BUNDLED = Path(__file__).parents[2] / "pretrained"
LOOK_AGAIN = 60  # seconds; if the last look at the source is older, a visitor's request starts a new one in the background
MAX_FILES = 200  # files in a batch at most
GALLERY = 60  # pictures of a batch that are shown at most
Progress = Callable[[int, int], None]  # called with (done, total)
T = TypeVar("T")


class Studio:
    """Everything the page can do; thread-safe.

    `models`: None for those in `bundled`, a folder (with a folder for each domain, of one model, or of a run), "user" of the Hub,
    or "user/repository". At most `cache_models` models stay loaded; each epoch of a domain counts as one.
    Raises ServingError for any other `models`; every method raises it for a request that cannot be served.
    """

    def __init__(self, models: str | None = None, bundled: Path = BUNDLED, cache_models: int = 4) -> None:
        self._models, self._bundled = models, bundled
        self._lock = threading.Lock()  # protects _looking, _known and _looked_at
        self._looking: threading.Thread | None = None
        self._cache = ModelCache(cache_models)
        self._photos = PhotoPreparer()
        # One forward pass at a time: each uses all cores, and two at once are slower than one after the other.
        self._forward = Turns()
        self._known, self._looked_at = catalog.find_models(models, bundled), time.monotonic()

    # --------------------------------------------------------------------------------------------- what there is
    def domains(self) -> list[DomainChoice]:
        """All models; if the list is empty, `status` says what to do."""
        return [model.choice for model in self._catalog().models.values()]

    def choice(self, domain: str) -> DomainChoice:
        """The model of this name. Raises ServingError, which lists the names, for an unknown one."""
        return self._published(domain).choice

    def epochs(self, domain: str) -> list[EpochChoice]:
        """The published epochs of a domain, ascending. Raises ServingError as `choice` does."""
        return list(self._published(domain).epochs)

    def status(self) -> str:
        """A sentence on the source of the models and its faults: "The Hub does not answer; bundled with this page: smile." """
        return self._catalog().status

    def card(self, domain: str, epoch: int | str | None = None) -> str:
        """The text about an epoch, as Markdown: method, known failures, figures, data and terms, and the address of its card."""
        model = self._published(domain)
        return about.render(model, model.epoch(epoch))

    # ---------------------------------------------------------------------------------------------- translations
    def translate(
        self, image: Picture, domain: str, direction: str = "a_to_b", epoch: int | str | None = None,
        resolution: Literal["original"] | None = None, *, face: FaceChoice = "auto", whole: bool = False, strength: float = 1.0,
    ) -> Result:  # fmt: skip
        """Translates one picture (a path, bytes or PIL) by one epoch (25, "epoch-025"; None or "main": the best).

        `resolution` None brings the shorter side to the size the model was trained at; "original" keeps the size, up to
        MAX_RESULT pixels, where the domain allows it. `face` (a number is that of `find_faces`), `whole` and `strength` are those
        of `CycleGenerator.translate`; where no face is found, a note says so.
        """
        model = self._translator(domain, direction)
        prepared = self._photos.prepare(image, model.choice, direction, resolution, Options(face, whole, strength))
        return self._result(model, model.epoch(epoch), direction, prepared)

    def cycle(
        self, image: Picture, domain: str, direction: str = "a_to_b", epoch: int | str | None = None,
        resolution: Literal["original"] | None = None, *, face: FaceChoice = "auto", whole: bool = False, strength: float = 1.0,
    ) -> Result:  # fmt: skip
        """As `translate`; the result also has `back`, the reconstruction: the translation translated back."""
        model = self._translator(domain, direction)
        if len(model.choice.directions) == 1:
            raise ServingError(f"{model.choice.title} translates one way only: there is no way back.")
        prepared = self._photos.prepare(image, model.choice, direction, resolution, Options(face, whole, strength))
        result = self._result(model, model.epoch(epoch), direction, prepared)
        (other,) = (one for one in model.choice.directions if one != direction)
        returned = self._translated(self._network(model, result.epoch), result.outputs, other)
        return replace(result, back=coloured(prepared.work.finish(returned)), reconstructions=tuple(returned))

    def find_faces(self, image: Picture, domain: str, direction: str) -> list[Image.Image] | None:
        """The faces of a picture, aligned and small, the largest first; None where the direction takes no faces."""
        return self._photos.thumbnails(image, self._translator(domain, direction).choice, direction)

    def every_epoch(
        self, image: Picture, domain: str, direction: str = "a_to_b", progress: Progress | None = None, *,
        face: FaceChoice = "auto", whole: bool = False, strength: float = 1.0,
    ) -> list[Result]:  # fmt: skip
        """Translates one picture by each epoch of a domain, ascending, at the model's own size."""
        model = self._translator(domain, direction)
        prepared = self._photos.prepare(image, model.choice, direction, None, Options(face, whole, strength))
        results: list[Result] = []
        for chosen in model.epochs:
            results.append(self._result(model, chosen, direction, prepared))
            if progress:
                progress(len(results), len(model.epochs))
        return results

    def translate_batch(
        self, files: Sequence[Path], domain: str, direction: str = "a_to_b", epoch: int | str | None = None, *,
        folder: Path, progress: Progress | None = None, way: SaveFormatName = "own",
        face: FaceChoice = "auto", whole: bool = False, strength: float = 1.0,
    ) -> Batch:  # fmt: skip
        """Translates several files into a new zip below `folder`, each saved in the format `way` of SAVE_FORMATS.

        A file that cannot be translated gives an error line; the others are translated.
        """
        if not 1 <= len(files) <= MAX_FILES:
            raise ServingError(f"{len(files)} files: give between 1 and {MAX_FILES} at a time.")
        model = self._translator(domain, direction)
        chosen = model.epoch(epoch)
        self._network(model, chosen)  # so that a fault of the model is not reported as one of the first file
        pictures: list[tuple[str, Image.Image]] = []
        errors: list[str] = []
        notes: dict[str, list[str]] = {}
        done = 0
        with open_zip(folder, f"{direction}.zip") as (path, add):
            for i, (file, name) in enumerate(zip(files, zip_names(files, SAVE_FORMATS[way].ending), strict=True)):
                try:
                    result = self.translate(file, domain, direction, chosen.name, face=face, whole=whole, strength=strength)
                except ServingError as error:
                    errors.append(f"{one_line(file_names.base_name(file))}: {error}")
                else:
                    for note in result.notes:
                        notes.setdefault(note, []).append(one_line(file_names.base_name(file)))
                    add(name, result_file(result, way, self.caption(domain, direction, chosen)))
                    done += 1
                    if len(pictures) < GALLERY:
                        result.after.thumbnail((CELL, CELL))
                        pictures.append((name, result.after))
                if progress:
                    progress(i + 1, len(files))
        if not done:
            path.unlink()
            path.parent.rmdir()
        return Batch(pictures, path if done else None, errors, notes, done)

    def live_frame(
        self, frame: Image.Image, domain: str, direction: str = "a_to_b", epoch: int | str | None = None,
        track: Track | None = None,
    ) -> LiveFrame:  # fmt: skip
        """Translates a frame of a camera at the model's size: the face of `track`, which the frame before has, or a square."""
        model = self._translator(domain, direction)
        if model.choice.enlarges > 1:
            raise ServingError(f"{model.choice.title} enlarges small pictures and has no live view.")
        before, track = prepare_frame(frame, model.choice.eyes(direction), model.choice.image_size, track)
        (after,) = self._translated(self._network(model, model.epoch(epoch)), [before], direction)
        return LiveFrame(before, coloured(after), track)

    def caption(self, domain: str, direction: str, epoch: EpochChoice) -> str:
        """The line below a saved pair: the direction in words, the model and the epoch."""
        choice = self.choice(domain)
        return f"{choice.arrow(direction)}, by the CycleGAN Hub model {choice.name}, {epoch.label.split(' · ')[0].lower()}"

    # ----------------------------------------------------------------------------------------------------- drawing
    def sample(self, domain: str, n: Any = 16, seed: Any = 0, truncation: Any = None, epoch: int | str | None = None) -> Samples:
        """Draws `n` pictures by one epoch; the same seed gives the same ones. For `truncation` see `DCGAN.latents`."""
        model, arguments = self._sampler(domain), sample_arguments(n, seed, truncation)
        chosen = model.epoch(epoch)
        return Samples(self._drawn(self._sampler_network(model, chosen).sample, **arguments), chosen)

    def interpolate(
        self, domain: str, seed_a: Any = 0, seed_b: Any = 1, steps: Any = 8, truncation: Any = None,
        epoch: int | str | None = None,
    ) -> Samples:  # fmt: skip
        """Draws `steps` pictures between the first one of seed A and the first one of seed B, both included."""
        model, arguments = self._sampler(domain), interpolation_arguments(seed_a, seed_b, steps, truncation)
        chosen = model.epoch(epoch)
        return Samples(self._drawn(self._sampler_network(model, chosen).interpolate, **arguments), chosen)

    def sample_every_epoch(
        self, domain: str, n: Any = 9, seed: Any = 0, truncation: Any = None, progress: Progress | None = None
    ) -> list[tuple[EpochChoice, Image.Image]]:
        """(epoch, sheet with the first `n` pictures of a seed, at most SHEET) for each epoch, ascending."""
        model, arguments = self._sampler(domain), sample_arguments(n, seed, truncation)
        arguments["n"] = min(arguments["n"], SHEET)
        sheets = []
        for chosen in model.epochs:
            sheets.append((chosen, sheet(self._drawn(self._sampler_network(model, chosen).sample, **arguments))))
            if progress:
                progress(len(sheets), len(model.epochs))
        return sheets

    # ------------------------------------------------------------------------------------------------ the inside
    def _catalog(self) -> Catalog:
        """The models found by the last look at the source; if that is too long ago, a new look starts in the background."""
        with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_AGAIN and not (self._looking and self._looking.is_alive()):
                self._looked_at = time.monotonic()
                self._looking = threading.Thread(target=self._look, daemon=True)
                self._looking.start()
            return self._known

    def _look(self) -> None:
        found = catalog.find_models(self._models, self._bundled)
        with self._lock:
            self._known, self._looked_at = found, time.monotonic()

    def _published(self, domain: str) -> Published:
        known = self._catalog()
        if not isinstance(domain, str) or domain not in known.models:
            raise ServingError(
                f"No domain '{one_line(domain)}'; there are: {', '.join(known.models)}." if known.models else known.status
            )
        return known.models[domain]

    def _translator(self, domain: str, direction: str) -> Published:
        """A model that translates in this direction."""
        model = self._published(domain)
        choice = model.choice
        if choice.draws:
            raise ServingError(f"{choice.title} draws pictures from seeds and translates none: ask it for samples.")
        if direction not in choice.directions:
            there = choice.directions
            listed = f"is only {there[0]}" if len(there) == 1 else f"are {' and '.join(there)}"
            raise ServingError(f"No direction '{one_line(direction)}'; there {listed}.")
        return model

    def _sampler(self, domain: str) -> Published:
        """A model that draws."""
        model = self._published(domain)
        if not model.choice.draws:
            raise ServingError(f"{model.choice.title} translates pictures and draws none: ask it for a translation.")
        return model

    def _network(self, model: Published, epoch: EpochChoice) -> Translator:
        network = self._cache.network(model, epoch)
        assert isinstance(network, Translator)  # the cache has compared its directions with those of the catalogue
        return network

    def _sampler_network(self, model: Published, epoch: EpochChoice) -> Sampler:
        network = self._cache.network(model, epoch)
        assert isinstance(network, Sampler)  # as above
        return network

    def _result(self, model: Published, epoch: EpochChoice, direction: str, prepared: Prepared) -> Result:
        choice, work, notes = model.choice, prepared.work, prepared.notes
        outputs = self._translated(self._network(model, epoch), work.inputs, direction)
        after = coloured(work.finish(outputs))
        before, given, *inputs = *prepared.beside(after), *work.inputs
        if choice.channels == 1 or choice.rule.grey:
            before, given, *inputs = (picture.convert("L") for picture in (before, given, *inputs))
            only, own = "sees and makes grey pictures only", "sees the picture in grey: the colours are its own"
            notes = [*notes, f"This model {only if choice.channels == 1 else own}."]
        return Result(coloured(before), after, tuple(notes), epoch, coloured(given), tuple(inputs), tuple(outputs))

    def _translated(self, network: Translator, pictures: Sequence[Image.Image], direction: str) -> list[Image.Image]:
        """What a network makes of pictures that are its input already."""
        aligned: dict[str, Any] = {"face": "none"} if network.eyes[direction] else {}
        made: list[Image.Image] = self._run(
            lambda: network.translate(list(pictures), direction, "original", **aligned), "This picture needs", "a smaller one"
        )
        return made

    def _drawn(self, draw: Callable[..., list[Image.Image]], **arguments: Any) -> list[Image.Image]:
        made = self._run(lambda: draw(**arguments), "So many pictures need", "a smaller number")
        return [picture.convert("RGB") for picture in made]

    def _run(self, network: Callable[[], T], what: str, remedy: str) -> T:
        """Runs a network, one at a time; `what` and `remedy` are parts of the sentence about too little memory."""
        try:
            with self._forward:
                return network()
        except images.ImageError as error:
            raise ServingError(as_sentence(error)) from None
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            raise ServingError(f"{what} more memory than there is here: give {remedy}.") from None


# Loaded models for the page: each is loaded once, even if several visitors ask at once; the last used ones stay in memory.


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
        return optimize_for_cpu(network)


# A fair lock: waiting threads get it in the order in which they came.


class Turns:
    """A fair lock for `with`: if several visitors ask for one frame after another, each gets one in turn.

    A `threading.Lock` may go to the same thread again and again while others wait.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()  # of the two attributes below
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            own = threading.Lock()
            own.acquire()
            self._waiting.append(own)
        own.acquire()  # until __exit__ of the one before hands the turn over

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


# Checks the arguments for a model that draws, and puts its pictures on one sheet.


MAX_SAMPLES = 36
MAX_STEPS = 16
MAX_SEED = 2**31 - 1
SHEET = 9  # pictures of each epoch, at most, where all epochs are shown


def sample_arguments(n: Any, seed: Any, truncation: Any) -> dict[str, Any]:
    """The arguments of `DCGAN.sample`. Raises ServingError for a value outside its limits."""
    return {
        "n": _whole(n, "number of pictures", 1, MAX_SAMPLES),
        "seed": _whole(seed, "seed", 0, MAX_SEED),
        "truncation": _truncation(truncation),
    }


def interpolation_arguments(seed_a: Any, seed_b: Any, steps: Any, truncation: Any) -> dict[str, Any]:
    """The arguments of `DCGAN.interpolate`. Raises ServingError for a value outside its limits."""
    return {
        "seed_a": _whole(seed_a, "first seed", 0, MAX_SEED),
        "seed_b": _whole(seed_b, "second seed", 0, MAX_SEED),
        "steps": _whole(steps, "number of steps", 2, MAX_STEPS),
        "truncation": _truncation(truncation),
    }


def _truncation(value: Any) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 < value < math.inf:
        raise ServingError(f"The truncation cannot be '{one_line(value)}': give a number above 0, such as 1, or leave it out.")
    return float(value)


def _whole(value: Any, what: str, least: int, most: int) -> int:
    if not _is_number(value) or not least <= value <= most or value != int(value):
        wrong = f"There is no {what}" if value is None else f"The {what} cannot be '{one_line(value)}'"
        raise ServingError(f"{wrong}: give a whole number from {least} to {most}.")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size in a grid, about as wide as high; small pictures are enlarged by a whole factor."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    width, height = pictures[0].size
    factor = max(1, READABLE // max(width, height))
    return grids.grid(rows, cell=(width * factor, height * factor))
