"""The inputs of an evaluation: the models of a command line, and the images with which they are measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
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
from cyclegan_hub.evaluation.generate import ImageSets, inputs_and_targets, resize
from cyclegan_hub.evaluation.protocol import ScaledImages
from cyclegan_hub.evaluation.record import EvaluationError
from cyclegan_hub.hub.records import RunRecord, epoch_name, epochs_in, read_run_record
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.protocols import PairedTranslator, Translator

OTHER_IMAGES = "not the images the run was trained with, so held-out ones may be among those it was trained on"
MAX_HELD_OUT = 1000  # images of a domain


@dataclass(frozen=True)
class Source:
    """A model to measure: its epochs, one of them loaded (for size, labels and method), and the folder for its results."""

    text: str
    name: str
    epochs: Mapping[str, Callable[[], Model]]
    model: Model
    record: RunRecord | None  # of a folder
    out: Path | None

    @property
    def paired(self) -> bool:
        """Whether each output is compared with the real output of the same input."""
        return self.model.measured_by == "pairs"

    @property
    def gives_pairs(self) -> bool:
        """Whether its images are pairs, not targets that inputs are made of."""
        return self.paired and isinstance(self.model, PairedTranslator) and not self.model.rule.derived

    @property
    def eyes(self) -> tuple[Eyes | None, ...]:
        """Where the eyes lie in the images of each domain; None for one that is not aligned."""
        if isinstance(self.model, Translator):
            return tuple(self.model.eyes.values())
        eyes = self.recipe.get("eyes")
        return (None if eyes is None else tuple(eyes),)  # JSON has lists

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The fields of the recorded recipe, from the Hub too; empty without a record."""
        return (self.record or self.model.record or {}).get("recipe", {})


@dataclass(frozen=True)
class Images:
    """The images that a model is measured with: of both domains, or of one image set, uint8 (N, C, S, S)."""

    held_out: ImageSets
    train: ImageSets
    scaled: ScaledImages  # the same at the size and channels that features are taken at
    sides: tuple[DomainImages, ...]  # as they were read


def open_source(text: str, wanted: str, out: Path | None, name: str) -> Source:
    """Opens a model and lists its epochs. Raises ModelError; EvaluationError for a missing epoch, or if `out` is needed."""
    # Those of a run folder as they lie there: the metrics.json that calls one of them the best is what is made anew.
    names = list(epochs_in(Path(text))) or [epoch.name for epoch in list_epochs(text)]
    if wanted != "all":
        if not re.fullmatch(r"\d+(,\d+)*", wanted):
            raise EvaluationError(f"--epochs {wanted!r}: give all, or numbers such as 5,10,20")
        chosen = [epoch_name(number) for number in sorted({int(number) for number in wanted.split(",")})]
        if missing := [name for name in chosen if name not in names]:
            raise EvaluationError(f"{text}: no {', '.join(missing)}; epochs there: {', '.join(names)}")
        names = chosen
    local = Path(text).is_dir()
    if out is None and not local:
        raise EvaluationError(f"{text} is not a folder that results could go into: give one with --out")
    model = load(text, names[0])
    epochs = {name: partial(load, text, name) for name in names}
    if list(epochs) == ["main"] and model.epoch is not None:
        epochs = {epoch_name(model.epoch): epochs["main"]}
    record = read_run_record(Path(text) / "recipe.json", needs=("recipe", "data")) if local else None
    return Source(text, name, epochs, model, record, out)


def names_of(texts: Sequence[str]) -> list[str]:
    """A short name for each source, no two equal."""
    names: list[str] = []
    for text in texts:
        short = Path(text).resolve().name if Path(text).is_dir() else text.replace("/", "--")
        name, count = short, 1
        while name in names:
            name, count = f"{short}-{count + 1}", count + 1
        names.append(name)
    return names


def first_translator(sources: Sequence[Source]) -> Source:
    """The source that decides which data are read: the first one that translates, if there is one."""
    return next((source for source in sources if source.model.measured_by != "samples"), sources[0])


def check_alike(sources: Sequence[Source]) -> None:
    """Raises EvaluationError unless all sources translate between the same labels; their sizes and channels may differ."""
    kinds = {s.name: f"{' → '.join(s.model.labels)}, {s.model.image_size} px, {s.model.channels} channels" for s in sources}
    targets = {s.model.labels[-1] for s in sources}  # samples are compared with translations into the same label
    inputs = {s.model.labels[0] for s in sources if s.model.measured_by != "samples"}
    if len(targets) > 1 or len(inputs) > 1 or len({s.paired for s in sources}) > 1:
        listed = "; ".join(f"{name}: {kind}" for name, kind in kinds.items())
        raise EvaluationError(f"these cannot be compared ({listed}): evaluate them apart")


def find_data(given: tuple[str | None, str | None, str | None], source: Source) -> tuple[DataSource, ...]:
    """The data of the command line (`--data`, `--data-a`, `--data-b`); without them those of the run or of the domain.

    Two image sets for a model that translates without pairs, else one. Raises DataError; EvaluationError, which asks
    for --data, if the data are not known.
    """
    model, domain = source.model, DOMAINS.get(source.model.domain)
    find: Callable[[str | None, str | None, str | None], tuple[DataSource, ...]]
    if source.gives_pairs:
        find, known = resolve_pairs, False
    elif source.paired or model.measured_by == "samples":
        find = partial(resolve_one, domain, source.recipe.get("side", "a"))
        known = domain is not None and model.labels[-1] in domain.labels
    else:
        find, known = partial(resolve, domain), domain is not None and domain.labels == model.labels
    own = find(None, None, None) if known else None
    if any(given):
        return find(*given)
    if source.record is None or (isinstance(model, PairedTranslator) and not source.paired):
        if own is None:
            raise EvaluationError(f"{source.text} does not say what it was trained on: give --data")
        return own
    recorded: list[str] = list(source.record["data"].values())
    if own and [source.describe() for source in own] == recorded:
        return own
    found = tuple(DataSource(*splits) for splits in map(recorded_splits, recorded) if splits)
    if [one.describe() for one in found] == recorded:
        return found
    raise EvaluationError(
        f"{source.text} was trained on {' and on '.join(recorded)}: give --data where that lies on this machine"
    )


def read_data(
    data: tuple[DataSource, ...],
    source: Source,
    seed: int,
    most: int,
    shape: tuple[int, int] | None = None,
    landmarks: Landmarks | None = None,
) -> tuple[DomainImages, ...]:
    """Reads the data as the model takes them, at its size and channels, or at `shape` (size in px, channels).

    Faces are aligned as `model.prepare` does it; `landmarks` holds those that were found before, and new ones are added.
    """
    model = source.model
    size, channels = shape or (model.image_size, model.channels)
    recipe = source.recipe
    reading = Reading(
        size,
        channels=channels,
        value_range=getattr(model, "value_range", None),
        halves=source.gives_pairs,
        swapped=recipe.get("direction") == "b_to_a",
        fit=recipe.get("fit", "crop"),
        landmarks=landmarks or Landmarks(),
    )
    selection = Selection(seed, recipe.get("max_images"), recipe.get("equal_sides", False), max(most, MAX_HELD_OUT))
    return load_domains(data, reading.for_domains(len(data), source.eyes), selection)


def read_images(
    data: tuple[DataSource, ...],
    source: Source,
    seed: int,
    most: tuple[int, int],
    *,
    shape: tuple[int, int],
    scaled: tuple[int, int],
    on_training: bool,
) -> Images:
    """At most `most` (held-out, training) images of each domain, as `source` read them.

    `shape` is the size in pixels and the channels of the models' inputs, `scaled` that at which features are taken. With
    `on_training` training images take the place of the held-out ones.
    """
    landmarks = Landmarks.read(Path(source.text))  # of a run: the faces lie where they did when it was trained
    sides = read_data(data, source, seed, most[0], shape, landmarks)
    held_out, train = _subsets(sides, most, seed, on_training)
    if source.paired and isinstance(source.model, PairedTranslator):
        held_out, train = (inputs_and_targets(source.model, *x) for x in (held_out, train))
        resized = (tuple(resize(x, *scaled) for x in pair) for pair in (held_out, train))
        return Images(held_out, train, ScaledImages(*resized), sides)
    if shape == scaled:
        return Images(held_out, train, ScaledImages(held_out, train), sides)
    larger = _subsets(read_data(data, source, seed, most[0], scaled, landmarks), most, seed, on_training)
    return Images(held_out, train, ScaledImages(*larger), sides)


def _subsets(sides: tuple[DomainImages, ...], most: tuple[int, int], seed: int, on_training: bool) -> tuple[ImageSets, ImageSets]:
    return (
        tuple(subsample(side.train if on_training else side.held_out, most[0], seed) for side in sides),
        tuple(subsample(side.train, most[1], seed) for side in sides),
    )


def subsample(image_set: Any, most: int, seed: int) -> Tensor:
    """At most `most` images, chosen at random by `seed`, in file order: uint8 (n, C, S, S)."""
    chosen = torch.randperm(len(image_set), generator=torch.Generator().manual_seed(seed))[:most].sort().values
    return image_set[chosen] if isinstance(image_set, Tensor) else torch.stack([image_set[i] for i in chosen.tolist()])


def training_data(source: Source, sides: tuple[DomainImages, ...]) -> tuple[str, bool]:
    """(a line for the protocol on whether these are the images of the run, whether held-out images may have been trained on)."""
    then = (source.record or {}).get("fingerprints")
    if not then:
        return "not recorded", False
    own = sides[-len(then) :]  # of two image sets, that of a method with one is the target
    differ = [f"domain {letter.upper()}" for letter, read in zip("ab", own, strict=False) if then.get(letter) != read.fingerprint]
    return (f"{' and '.join(differ)}: {OTHER_IMAGES}", True) if differ else ("the run's own", False)
