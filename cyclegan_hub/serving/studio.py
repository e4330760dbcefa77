"""What the page does behind its layout: translations, drawn pictures, rows of epochs, batches, cards; no gradio in it.

Nothing is kept or logged of a picture but where its faces are, by content hash, in memory; files are written only below the
folder that a caller names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.paired_generator import PairedGenerator
from cyclegan_hub.serving import about as panel
from cyclegan_hub.serving import catalog
from cyclegan_hub.serving import sampling as samples
from cyclegan_hub.serving.catalog import Catalog
from cyclegan_hub.serving.downloads import CELL, base_name, open_zip, row, save_zip, zip_names
from cyclegan_hub.serving.messages import ServingError, as_sentence, one_line
from cyclegan_hub.serving.model_cache import ModelCache
from cyclegan_hub.serving.model_info import DomainChoice, EpochChoice, Published
from cyclegan_hub.serving.photos import Inputs, Picture
from cyclegan_hub.serving.sampling import Drawn

__all__ = ["Batch", "DomainChoice", "Drawn", "EpochChoice", "Result", "ServingError", "Studio"]

BUNDLED = Path(__file__).parents[2] / "pretrained"
LOOK_AGAIN = 60  # seconds after which the source is looked at again, in the background, when somebody uses the page
MAX_FILES = 200  # of a batch
GALLERY = 60  # pictures of a batch that are handed back to be shown
Progress = Callable[[int, int], None]  # done, total
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """A translation: pictures of one size, RGB."""

    before: Image.Image  # as the model was given it
    after: Image.Image
    notes: tuple[str, ...]  # sentences for the reader
    epoch: EpochChoice
    back: Image.Image | None = None  # `after` translated back, from `Studio.cycle`


@dataclass(frozen=True)
class Batch:
    """Several translations."""

    pictures: list[tuple[str, Image.Image]]  # name in the zip, thumbnail: of the first GALLERY
    zip: Path | None  # all results as PNG; None if there is none
    errors: list[str]  # a line for each file that was left out: which, and why
    done: int  # results in the zip


class Studio:
    """Everything the page can do, for many threads at once.

    `models`: None for those in `bundled`, a folder (of models by domain, of one model, or a run), "user" of the Hub, or
    "user/repository". At most `cache_models` models are kept loaded, each epoch of a domain being one.
    Raises ServingError if `models` is none of these; every method does for whatever it cannot do.
    """

    def __init__(self, models: str | None = None, bundled: Path = BUNDLED, cache_models: int = 4) -> None:
        self._models, self._bundled = models, bundled
        self._lock = threading.Lock()  # of the attributes below
        self._looking: threading.Thread | None = None
        self._cache = ModelCache(cache_models)
        self._inputs = Inputs()
        # One forward pass at a time: each uses all cores, and two at once are slower than one after the other.
        self._forward = threading.Lock()
        self._look()

    # --------------------------------------------------------------------------------------------- what there is
    def domains(self) -> list[DomainChoice]:
        """The models there are; may be empty: then `status` says what to do."""
        return [model.choice for model in self._catalog().models.values()]

    def epochs(self, domain: str) -> list[EpochChoice]:
        """The published epochs of a domain, ascending. ServingError lists the domains for an unknown one."""
        return list(self._published(domain).epochs)

    def status(self) -> str:
        """Which source serves and what is wrong with it, e.g. "The Hub does not answer; bundled with this page: smile." """
        return self._catalog().status

    def card(self, domain: str, epoch: int | str | None = None) -> str:
        """What is known of an epoch, as Markdown: its metrics with baselines, the data, limits, terms, and where the card is."""
        model = self._published(domain)
        return panel.render(model, model.epoch(epoch))

    # ---------------------------------------------------------------------------------------------- translations
    def translate(
        self,
        image: Picture,
        domain: str,
        direction: str = "a_to_b",
        epoch: int | str | None = None,
        resolution: Literal["original"] | None = None,
        crop_face: bool = False,
    ) -> Result:
        """One picture (a path, bytes or PIL) by one epoch (25, "epoch-025"; None or "main": the best).

        `resolution` None brings the shorter side to the size the model was trained at; "original" keeps the size, up to
        MAX_RESULT pixels, where the domain allows it. `crop_face` takes the square around the largest face.
        """
        model = self._translator(domain, direction)
        chosen = model.epoch(epoch)
        before, notes = self._inputs.prepare(image, model.choice, direction, resolution, crop_face)
        network = self._cache.network(model, chosen)
        after = self._translated(network, before, direction)
        if before.size != after.size:
            before = before.resize(after.size)
        if network.channels == 1 or model.choice.made == "colorize":
            before = before.convert("L").convert("RGB")
            only = (
                "sees and makes grey pictures only"
                if network.channels == 1
                else "sees the picture in grey: the colours are its own"
            )
            notes = [*notes, f"This model {only}."]
        return Result(before, after, tuple(notes), chosen)

    def cycle(
        self,
        image: Picture,
        domain: str,
        direction: str = "a_to_b",
        epoch: int | str | None = None,
        resolution: Literal["original"] | None = None,
        crop_face: bool = False,
    ) -> Result:
        """As `translate`, and the translation translated back, as `back`."""
        model = self._translator(domain, direction)
        if len(model.choice.directions) == 1:
            raise ServingError(f"{model.choice.title} translates one way only: there is no way back.")
        result = self.translate(image, domain, direction, epoch, resolution, crop_face)
        network = self._cache.network(model, result.epoch)
        return replace(result, back=self._translated(network, result.after, "b_to_a" if direction == "a_to_b" else "a_to_b"))

    def every_epoch(
        self, image: Picture, domain: str, direction: str = "a_to_b", crop_face: bool = False, progress: Progress | None = None
    ) -> list[tuple[EpochChoice, Image.Image]]:
        """One picture by each epoch of a domain, ascending, at the model's own size."""
        model = self._translator(domain, direction)
        before, _ = self._inputs.prepare(image, model.choice, direction, None, crop_face)
        pictures = []
        for chosen in model.epochs:
            pictures.append((chosen, self._translated(self._cache.network(model, chosen), before, direction)))
            if progress:
                progress(len(pictures), len(model.epochs))
        return pictures

    def row(self, pictures: Sequence[tuple[EpochChoice, Image.Image]], before: Image.Image | None = None) -> Image.Image:
        """The pictures of `every_epoch` side by side, each under its label, after the one they were made of if it is given."""
        start = [("Before", before)] if before else []
        return row([*start, *((chosen.label.replace(" · ", "\n"), picture) for chosen, picture in pictures)])

    def row_zip(
        self, pictures: Sequence[tuple[EpochChoice, Image.Image]], folder: Path, before: Image.Image | None = None
    ) -> Path:
        """A new epochs.zip below `folder`: each picture as PNG under its epoch's name, and `row` of them."""
        named = [("row", self.row(pictures, before)), *([("before", before)] if before else [])]
        return save_zip([*named, *((chosen.name, picture) for chosen, picture in pictures)], folder, "epochs.zip")

    def translate_batch(
        self,
        files: Sequence[Path],
        domain: str,
        direction: str = "a_to_b",
        epoch: int | str | None = None,
        *,
        folder: Path,
        progress: Progress | None = None,
        crop_face: bool = False,
    ) -> Batch:
        """Several files, into a new zip below `folder`. One that cannot be translated is an error line, and the rest is done."""
        if not 1 <= len(files) <= MAX_FILES:
            raise ServingError(f"{len(files)} files: give between 1 and {MAX_FILES} at a time.")
        model = self._translator(domain, direction)
        chosen = model.epoch(epoch)
        self._cache.network(model, chosen)  # what is wrong with the model is no error of the first file
        names = zip_names(files)
        pictures: list[tuple[str, Image.Image]] = []
        errors: list[str] = []
        done = 0
        with open_zip(folder, f"{direction}.zip") as (path, add):
            for i, (file, name) in enumerate(zip(files, names, strict=True)):
                try:
                    result = self.translate(file, domain, direction, chosen.name, crop_face=crop_face).after
                except ServingError as error:
                    errors.append(f"{one_line(base_name(file))}: {error}")
                else:
                    add(name, result)
                    done += 1
                    if len(pictures) < GALLERY:
                        result.thumbnail((CELL, CELL))
                        pictures.append((name, result))
                if progress:
                    progress(i + 1, len(files))
        if not done:
            path.unlink()
            path.parent.rmdir()
        return Batch(pictures, path if done else None, errors, done)

    def histogram(self, before: Image.Image, after: Image.Image) -> Image.Image:
        """The colour histograms of both pictures, one above the other."""
        from cyclegan_hub.plots import colour_histograms

        return colour_histograms(before, after)

    # ----------------------------------------------------------------------------------------------------- drawing
    def sample(self, domain: str, n: Any = 16, seed: Any = 0, truncation: Any = None, epoch: int | str | None = None) -> Drawn:
        """`n` pictures by one epoch, for a seed always the same; see `FaceGenerator.latents` for `truncation`."""
        model, wanted = self._drawer(domain), samples.sample_arguments(n, seed, truncation)
        chosen = model.epoch(epoch)
        return Drawn(self._drawn(self._cache.network(model, chosen).sample, **wanted), chosen)

    def interpolate(
        self, domain: str, seed_a: Any = 0, seed_b: Any = 1, steps: Any = 8, truncation: Any = None,
        epoch: int | str | None = None,
    ) -> Drawn:  # fmt: skip
        """`steps` pictures from the first one of seed A to the first one of seed B, both included."""
        model, wanted = self._drawer(domain), samples.interpolation_arguments(seed_a, seed_b, steps, truncation)
        chosen = model.epoch(epoch)
        return Drawn(self._drawn(self._cache.network(model, chosen).interpolate, **wanted), chosen)

    def sample_every_epoch(
        self, domain: str, n: Any = 9, seed: Any = 0, truncation: Any = None, progress: Progress | None = None
    ) -> list[tuple[EpochChoice, Image.Image]]:
        """The first `n` pictures of a seed, at most SHEET of them, by each epoch: a sheet for each, ascending."""
        model, wanted = self._drawer(domain), samples.sample_arguments(n, seed, truncation)
        wanted["n"] = min(wanted["n"], samples.SHEET)
        sheets = []
        for chosen in model.epochs:
            sheets.append((chosen, samples.sheet(self._drawn(self._cache.network(model, chosen).sample, **wanted))))
            if progress:
                progress(len(sheets), len(model.epochs))
        return sheets

    # ------------------------------------------------------------------------------------------------ the inside
    def _catalog(self) -> Catalog:
        """What there was when last looked; has it looked at again if that is too long ago."""
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
            raise ServingError(f"No direction '{one_line(direction)}'; there {_listed(choice.directions)}.")
        return model

    def _drawer(self, domain: str) -> Published:
        """A model that draws."""
        model = self._published(domain)
        if not model.choice.draws:
            raise ServingError(f"{model.choice.title} translates pictures and draws none: ask it for a translation.")
        return model

    def _translated(self, network: CycleGenerator | PairedGenerator, picture: Image.Image, direction: str) -> Image.Image:
        made = self._run(lambda: network.translate(picture, direction, "original"), "This picture needs", "a smaller one")
        return made.convert("RGB")

    def _drawn(self, draw: Callable[..., list[Image.Image]], **wanted: Any) -> list[Image.Image]:
        drawn = self._run(lambda: draw(**wanted), "So many pictures need", "a smaller number")
        return [picture.convert("RGB") for picture in drawn]

    def _run(self, make: Callable[[], T], what: str, remedy: str) -> T:
        """What a network makes, one at a time; `what` and `remedy` are for the sentence about memory."""
        try:
            with self._forward:
                return make()
        except images.ImageError as error:
            raise ServingError(as_sentence(error)) from None
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            raise ServingError(f"{what} more memory than there is here: give {remedy}.") from None


def _listed(directions: Sequence[str]) -> str:
    return f"is only {directions[0]}" if len(directions) == 1 else f"are {' and '.join(directions)}"
