"""The inputs of an evaluation: the models of a command line, and the images with which they are measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclegan_hub.checkpoints import list_epochs, load
from cyclegan_hub.data.load import DomainImages, load_domains
from cyclegan_hub.data.reading import Landmarks, Reading, Selection
from cyclegan_hub.data.resolve import resolve, resolve_one, resolve_pairs
from cyclegan_hub.data.specs import DataSource
from cyclegan_hub.domains import DOMAINS, Eyes, recorded_splits
from cyclegan_hub.evaluation.generate import Piles, at_size, inputs_and_targets
from cyclegan_hub.evaluation.protocol import ScaledImages
from cyclegan_hub.evaluation.results import EvaluationError
from cyclegan_hub.hub.records import RunRecord, epoch_name, read_run_record
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.protocols import PairedTranslator, Translator

OTHER_IMAGES = "not the images the run was trained with, so held-out ones may be among those it was trained on"
MOST = 1000  # held-out images of a side at most


@dataclass(frozen=True)
class Source:
    """A model to be measured: its epochs, one of them loaded (for size, labels and method), and the folder for its results."""

    text: str
    name: str
    epochs: Mapping[str, Callable[[], Model]]
    model: Model
    record: RunRecord | None
    out: Path | None

    @property
    def paired(self) -> bool:
        """Whether each output is compared with the real output of the same input."""
        return self.model.measured_by == "pairs"

    @property
    def eyes(self) -> tuple[Eyes | None, ...]:
        """Where the eyes lie in the images of each side; None for a side that is not aligned."""
        return tuple(self.model.eyes.values()) if isinstance(self.model, Translator) else (self.recipe.get("eyes"),)

    @property
    def recipe(self) -> dict[str, Any]:
        """The fields of the recorded recipe; empty without a record."""
        return self.record["recipe"] if self.record else {}


@dataclass(frozen=True)
class Images:
    """The images that a model is measured with: of both sides, or of one pile, uint8 (N, C, S, S)."""

    held_out: Piles
    train: Piles
    scaled: ScaledImages  # the same at the size and channels that features are taken at
    sides: tuple[DomainImages, ...]  # as they were read


def open_source(text: str, wanted: str, out: Path | None, name: str) -> Source:
    """Opens a model and lists its epochs. Raises ModelError; EvaluationError for a missing epoch, or if `out` is needed."""
    there = {epoch.name: epoch for epoch in list_epochs(text)}
    if wanted != "all":
        if not re.fullmatch(r"\d+(,\d+)*", wanted):
            raise EvaluationError(f"--epochs {wanted!r}: give all, or numbers such as 5,10,20")
        names = [epoch_name(number) for number in sorted({int(number) for number in wanted.split(",")})]
        if missing := [n for n in names if n not in there]:
            raise EvaluationError(f"{text}: no {', '.join(missing)}; epochs there: {', '.join(there)}")
        there = {n: there[n] for n in names}
    local = Path(text).is_dir()
    if out is None and not local:
        raise EvaluationError(f"{text} is not a folder that results could go into: give one with --out")
    model = load(text, next(iter(there)))
    epochs = {n: partial(load, text, n) for n in there}
    if list(epochs) == ["main"] and model.epoch is not None:
        epochs = {epoch_name(model.epoch): epochs["main"]}
    record = read_run_record(Path(text) / "recipe.json", needs=("recipe", "data")) if local else None
    return Source(text, name, epochs, model, record, out)


def names_of(texts: Sequence[str]) -> list[str]:
    """A short name for each source, no two equal."""
    names: list[str] = []
    for text in texts:
        short = Path(text).resolve().name if Path(text).is_dir() else text.replace("/", "--")
        count = sum(re.fullmatch(rf"{re.escape(short)}(-\d+)?", name) is not None for name in names)
        names.append(f"{short}-{count + 1}" if count else short)
    return names


def first_translator(sources: Sequence[Source]) -> Source:
    """The source that decides which data are read: the first one that translates, if there is one."""
    return next((source for source in sources if source.model.measured_by != "samples"), sources[0])


def check_alike(sources: Sequence[Source]) -> None:
    """Raises EvaluationError unless all sources translate between the same labels; their sizes and channels may differ."""
    words = {s.name: f"{' → '.join(s.model.labels)}, {s.model.image_size} px, {s.model.channels} channels" for s in sources}
    targets = {s.model.labels[-1] for s in sources}  # samples and translations into the same are both measured against that
    inputs = {s.model.labels[0] for s in sources if s.model.measured_by != "samples"}
    if len(targets) > 1 or len(inputs) > 1 or len({s.paired for s in sources}) > 1:
        listed = "; ".join(f"{name}: {what}" for name, what in words.items())
        raise EvaluationError(f"these cannot be compared ({listed}): evaluate them apart")


def find_data(given: tuple[str | None, str | None, str | None], source: Source) -> tuple[DataSource, ...]:
    """The data of the command line (`--data`, `--data-a`, `--data-b`); without them those of the run or of the domain.

    Returns two sides for a model that translates without pairs, else one source. Raises DataError; EvaluationError, which asks
    for --data, if the data are not known.
    """
    model, domain = source.model, DOMAINS.get(source.model.domain)
    find: Callable[[str | None, str | None, str | None], tuple[DataSource, ...]]
    own: tuple[DataSource, ...] | None = None
    one_pile = source.paired or model.measured_by == "samples"
    if source.paired and isinstance(model, PairedTranslator) and not model.rule.derived:
        find = resolve_pairs
    elif one_pile:
        find = partial(resolve_one, domain, source.recipe.get("side", "a"))
        own = find(None, None, None) if domain and model.labels[-1] in domain.labels else None
    else:
        find = partial(resolve, domain)
        own = find(None, None, None) if domain and domain.labels == model.labels else None
    if any(given):
        return find(*given)
    if source.record is None or (isinstance(model, PairedTranslator) and not source.paired):
        if own is None:
            raise EvaluationError(f"{source.text} does not say what it was trained on: give --data")
        return own
    recorded: list[str] = list(source.record["data"].values())
    if own and [pile.describe() for pile in own] == recorded:
        return own
    found = tuple(DataSource(*splits) for splits in map(recorded_splits, recorded) if splits)
    if [pile.describe() for pile in found] == recorded:
        return found
    raise EvaluationError(
        f"{source.text} was trained on {' and on '.join(recorded)}: give --data where that lies on this machine"
    )


def read_data(
    piles: tuple[DataSource, ...],
    source: Source,
    seed: int,
    most: int,
    shape: tuple[int, int] | None = None,
    landmarks: Landmarks | None = None,
) -> tuple[DomainImages, ...]:
    """Reads the data as the model takes them, at its size and channels, or at `shape` (size in px, channels).

    Faces are aligned as `model.prepare` does it; `landmarks` holds those that were found before, and takes up new ones.
    """
    model = source.model
    size, channels = shape or (model.image_size, model.channels)
    recipe = source.recipe
    reading = Reading(
        size,
        channels=channels,
        value_range=getattr(model, "value_range", None),
        halves=source.paired and isinstance(model, PairedTranslator) and not model.rule.derived,
        swapped=recipe.get("direction") == "b_to_a",
        fit=recipe.get("fit", "crop"),
        landmarks=landmarks or Landmarks(),
    )
    selection = Selection(seed, recipe.get("max_images"), recipe.get("equal_sides", False), max(most, MOST))
    return load_domains(piles, reading.for_domains(len(piles), source.eyes), selection)


def read_images(
    piles: tuple[DataSource, ...],
    source: Source,
    seed: int,
    most: tuple[int, int],
    *,
    shape: tuple[int, int],
    scaled: tuple[int, int],
    on_training: bool,
) -> Images:
    """At most so many held-out and training images of each side, as `source` read them.

    `shape` is the size in pixels and the channels that models take them at, `scaled` that at which features are taken. With
    `on_training` training images take the place of the held-out ones.
    """
    landmarks = Landmarks.read(Path(source.text))  # of a run: the faces lie where they did when it was trained
    sides = read_data(piles, source, seed, most[0], shape, landmarks)
    held_out, train = _chosen(sides, most, seed, on_training)
    if source.paired and isinstance(source.model, PairedTranslator):
        held_out, train = (inputs_and_targets(source.model, *of) for of in (held_out, train))
        brought = [tuple(at_size(x, *scaled) for x in of) for of in (held_out, train)]
        return Images(held_out, train, ScaledImages(*brought), sides)
    if shape == scaled:
        return Images(held_out, train, ScaledImages(held_out, train), sides)
    larger = _chosen(read_data(piles, source, seed, most[0], scaled, landmarks), most, seed, on_training)
    return Images(held_out, train, ScaledImages(*larger), sides)


def _chosen(sides: tuple[DomainImages, ...], most: tuple[int, int], seed: int, on_training: bool) -> tuple[Piles, Piles]:
    return (
        tuple(subsample(side.train if on_training else side.held_out, most[0], seed) for side in sides),
        tuple(subsample(side.train, most[1], seed) for side in sides),
    )


def subsample(pile: Any, most: int, seed: int) -> Tensor:
    """At most `most` images of a side, chosen at random by `seed`, in file order: uint8 (n, C, S, S)."""
    chosen = torch.randperm(len(pile), generator=torch.Generator().manual_seed(seed))[:most].sort().values
    return pile[chosen] if isinstance(pile, Tensor) else torch.stack([pile[i] for i in chosen.tolist()])


def same_data(source: Source, sides: tuple[DomainImages, ...]) -> str:
    """A line for the protocol: whether these are the images of the run. If not, held-out images may have been trained on."""
    then = (source.record or {}).get("fingerprints")
    if not then:
        return "not recorded"
    own = sides[-len(then) :]  # of two sides, that of a method with one pile is the target
    differ = [f"side {side.upper()}" for side, read in zip("ab", own, strict=False) if then.get(side) != read.fingerprint]
    return f"{' and '.join(differ)}: {OTHER_IMAGES}" if differ else "the run's own"
