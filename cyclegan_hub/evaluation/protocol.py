"""The protocol: measures all epochs of a model on the same held-out images, in every direction, together with two baselines.

"untranslated": the inputs themselves, measured as if they were translations (for upscale-4x: the bicubic enlargement). "floor":
real training images of the target domain, as many as there are outputs, measured as if they were generated; no generator can be
expected to be better. A model that generates from noise has no inputs, so only the floor.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import PIL
import torch
from torch import Tensor

from cyclegan_hub import __version__
from cyclegan_hub.errors import counted
from cyclegan_hub.evaluation.choose_epoch import choose, relate_all
from cyclegan_hub.evaluation.features import Extractor, SideClassifier
from cyclegan_hub.evaluation.generate import SAMPLES_SEED, Generated, ImageSets, generate, resize
from cyclegan_hub.evaluation.record import ByDirection, EvaluationError, Metrics
from cyclegan_hub.evaluation.registry import SUBSET, Reference, Subject, Values, classify, measure
from cyclegan_hub.imaging import images
from cyclegan_hub.models.inference import optimize_for_cpu
from cyclegan_hub.models.protocols import Model, Sampler

GRID_SIZE = 8  # images in a row of the report

_WITHIN = (
    "alpha-precision and beta-recall within the supports at 0.9: of the outputs in their own support and of the real images in "
    "theirs; authenticity over all outputs, the integrated values over all rows"
)


@dataclass(frozen=True)
class ScaledImages:
    """Held-out and training images, uint8 (N, C, S, S) of A and of B, at the one size that features are taken at."""

    held_out: ImageSets
    train: ImageSets


@dataclass(frozen=True)
class Ranked:
    """The outputs at one end of the ranking, the most extreme first, with the indices of their inputs and their scores."""

    indices: list[int]
    scores: list[float]
    outputs: Tensor  # uint8 (n, C, S, S)


@dataclass(frozen=True)
class Examples:
    """The images of one epoch and direction in a report, uint8: outputs of the first inputs (`first`), their reconstructions, the
    best and the worst outputs, the colours of all outputs (see `histogram`), and for samples those nearest to a training image,
    with that image (`copies`)."""

    first: Tensor
    reconstructions: Tensor | None
    best: Ranked
    worst: Ranked
    colours: np.ndarray
    copies: tuple[Ranked, Tensor] | None = None


@dataclass(frozen=True)
class Evaluation:
    """The metrics, and for the report `examples[epoch][direction]`; `ranked_by`: what best and worst mean."""

    metrics: Metrics
    examples: dict[str, dict[str, Examples]]
    held_out: ImageSets
    ranked_by: str
    paired: bool = False


@dataclass(frozen=True)
class _Domain:
    """Real images of one domain, uint8 (N, C, S, S), and their features (N, D)."""

    held_out: Tensor  # at the models' size
    scaled: Tensor  # the same at the size and channels of the features
    features: Tensor  # of `scaled`
    train: Tensor
    train_features: Tensor


@dataclass(frozen=True)
class _Task:
    """One direction to measure. A model that samples has no inputs."""

    direction: str
    inputs: _Domain | None
    target: _Domain
    reference: Reference
    count: int  # number of outputs
    paired: bool

    def classify(self, classifier: SideClassifier | None, scaled: Tensor) -> Tensor | None:
        """(N, 3), see `registry.classify`; None without a classifier."""
        return None if classifier is None else classify(classifier, scaled, self.direction)


def evaluate(
    epochs: Mapping[str, Callable[[], Model]],
    held_out: ImageSets,
    train: ImageSets,
    extractor: Extractor,
    classifier: SideClassifier | None = None,
    *,
    scaled: ScaledImages | None = None,
    protocol: Mapping[str, Any] | None = None,
    batch_size: int = 16,
    seed: int = 0,
    within_supports: bool = False,
    device: str | torch.device = "cpu",
    on_epoch: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Measures every epoch. `epochs` maps its name ("epoch-005", or "main") to a function that loads it, one at a time.

    `held_out` and `train` are uint8 (N, C, S, S) of A and of B, where S is the models' image size; for a single image set one
    tensor each; for pairs A holds the inputs and B the outputs that belong to them. Outputs are rounded to 8 bits, as in a PNG,
    before they are measured or translated back. `scaled` holds the same images at the size and channels for the extractor and the
    classifier; outputs are resized to it by Pillow's bicubic filter. None: no resizing. `protocol` adds lines to the record of
    the conditions; `on_epoch` is called with the name of each epoch when it is done. `within_supports`: see
    `metrics.alpha_beta_authenticity`.
    Raises EvaluationError for no epoch, and for images that are not of the models' size or channels.
    """
    if not epochs:
        raise EvaluationError("no epoch to evaluate: name at least one")
    notes, first = list[str](), next(iter(epochs.values()))()
    tasks = _tasks(first, held_out, train, scaled or ScaledImages(held_out, train), extractor, seed, within_supports)
    untranslated = {task.direction: _untranslated(task, classifier, notes) for task in tasks if task.inputs is not None}
    floor = {task.direction: _floor(task, classifier, notes, seed) for task in tasks}
    baselines = {"untranslated": untranslated, "floor": floor}
    found: dict[str, ByDirection] = {}
    examples: dict[str, dict[str, Examples]] = {}
    for name, load in epochs.items():
        model = load()
        if isinstance(model, torch.nn.Module):
            model.to(device)
        model = optimize_for_cpu(model, exact=True)
        if (model.channels, model.image_size, model.image_size) != tuple(held_out[0].shape[1:]):
            raise EvaluationError(
                f"{name} was trained on {model.channels} x {model.image_size} x {model.image_size} and the held-out images are "
                f"{' x '.join(map(str, held_out[0].shape[1:]))}: evaluate models of one size and number of channels together"
            )
        found[name], shown = _measure(model, name, tasks, classifier, notes, batch_size)
        if shown:
            examples[name] = shown
        on_epoch(name)
    notes += relate_all(found, baselines, extractor)
    best, rule = choose(found, baselines, extractor, first.measured_by)
    metrics = Metrics(
        best, found, baselines, rule, extractor.label,
        _protocol(held_out, train, tasks[0], seed, device) | dict(protocol or {}),
        _classifier_record(classifier, floor, held_out) if classifier else None, notes,
    )  # fmt: skip
    paired = first.measured_by == "pairs"
    ranked_by = (
        "L1 to the real output" if paired else "probability of the target domain" if classifier else "distance to a real image"
    )
    return Evaluation(metrics, examples, held_out, ranked_by, paired)


# ------------------------------------------------------------------------------------------------------ the parts
def _tasks(
    model: Model, held_out: ImageSets, train: ImageSets, scaled: ScaledImages, extractor: Extractor, seed: int, within: bool
) -> list[_Task]:
    """A task for each direction of a model. Raises EvaluationError for a model that translates if there are no inputs."""
    domains = [
        _Domain(x, y, extractor.remembered(y), train_x, extractor.remembered(train_y))
        for x, y, train_x, train_y in zip(held_out, scaled.held_out, train, scaled.train, strict=True)
    ]

    def task(direction: str, inputs: _Domain | None, target: _Domain) -> _Task:
        reference = Reference(extractor, target.features, target.train_features, seed, within)
        return _Task(direction, inputs, target, reference, len((inputs or domains[0]).held_out), model.measured_by == "pairs")

    if isinstance(model, Sampler):
        return [task("samples", None, domains[-1])]
    if len(domains) != 2:
        raise EvaluationError("a translation is measured on images of both domains: give A and B")
    return [task(d, *pair) for d, pair in zip(model.directions, (domains, domains[::-1]), strict=False)]


def _untranslated(task: _Task, classifier: SideClassifier | None, notes: list[str]) -> Values:
    assert task.inputs is not None
    where, x, target = f"untranslated, {task.direction}", task.inputs.held_out, task.target.held_out
    probabilities = task.classify(classifier, task.inputs.scaled)
    subject = Subject(task.inputs.features, task.reference, probabilities=probabilities, outputs=x)
    if task.paired:
        return measure(replace(subject, truth=target), where, notes)
    subject = replace(subject, inputs=x, reconstruction=x, target=target, identity=target, others=x)
    return measure(subject, where, notes)


def _floor(task: _Task, classifier: SideClassifier | None, notes: list[str], seed: int) -> Values:
    """The baseline "floor": a seeded choice of training images, against held-out and (for copies) other training images.

    Training images that are measured in place of held-out ones (`--on-training`) are not chosen, unless there are no others.
    """
    where, training = f"floor, {task.direction}", task.reference.training
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed))
    reference_images = {x.numpy().tobytes() for x in task.target.held_out}
    others = order[[x.numpy().tobytes() not in reference_images for x in task.target.train[order]]]
    if len(others) < 2:  # fewer have no statistics
        notes.append(f"{where}: these training images are the reference too, so it is lower than any model's can be")
        others = order
    chosen = others[: task.count]
    rest = order[~torch.isin(order, chosen)]
    if len(chosen) < task.count:
        found = counted(len(chosen), "training image")
        notes.append(f"{where}: only {found} for {counted(task.count, 'output')}: there are no more")
    reference = replace(task.reference, training=training[rest])
    subject = Subject(training[chosen], reference, probabilities=task.classify(classifier, task.target.scaled))
    return measure(subject, where, notes)


def _measure(
    model: Model, name: str, tasks: list[_Task], classifier: SideClassifier | None, notes: list[str], batch_size: int
) -> tuple[ByDirection, dict[str, Examples]]:
    """(values of one epoch, its examples), by direction; empty if its outputs hold NaN."""
    try:
        generated = [
            generate(
                model, task.direction, None if task.inputs is None else task.inputs.held_out, task.target.held_out, task.count,
                batch_size=batch_size,
            )
            for task in tasks
        ]  # fmt: skip
    except images.ImageError as error:
        notes.append(f"{name}: no values: {error}")
        return {task.direction: {} for task in tasks}, {}
    found, examples = {}, {}
    for task, made in zip(tasks, generated, strict=True):
        direction, (channels, size) = task.direction, task.target.scaled.shape[1:3]
        scaled = resize(made.outputs, size, channels)
        features, probabilities = task.reference.extractor(scaled), task.classify(classifier, scaled)
        found[direction] = measure(_subject(task, made, features, probabilities), f"{name}, {direction}", notes)
        if task.paired:
            score = -(made.outputs.float() - task.target.held_out.float()).abs().mean((1, 2, 3)) / 127.5
        elif probabilities is not None:
            score = probabilities[:, 0]
        else:
            score = -_nearest(features, task.reference.held_out)[0]
        examples[direction] = _examples(task, made, features, score)
    return found, examples


def _examples(task: _Task, made: Generated, features: Tensor, score: Tensor) -> Examples:
    """The images of the report; `score` (N,) ranks the outputs, the largest first."""
    order = score.argsort(descending=True, stable=True)
    best, worst = (_ranked(part[:GRID_SIZE], score.abs(), made.outputs) for part in (order, order.flip(0)))
    reconstructions = None if made.reconstruction is None else made.reconstruction[:GRID_SIZE]
    copies = None
    if task.inputs is None:  # samples nearest to a training image, nearest first: copies would be found here
        distance, index = _nearest(features, task.reference.training)
        nearest = distance.argsort(stable=True)[:GRID_SIZE]
        copies = _ranked(nearest, distance, made.outputs), task.target.train[index[nearest]]
    return Examples(made.outputs[:GRID_SIZE], reconstructions, best, worst, histogram(made.outputs), copies)


def _subject(task: _Task, made: Generated, features: Tensor, probabilities: Tensor | None) -> Subject:
    """The subject of the outputs: with the real outputs for pairs, else with inputs and, if there are some, reconstructions."""
    subject = Subject(features, task.reference, outputs=made.outputs, probabilities=probabilities)
    if task.paired:
        return replace(subject, truth=task.target.held_out)
    if task.inputs is not None:
        subject = replace(subject, inputs=task.inputs.held_out, inputs_features=task.inputs.features)
    return replace(subject, reconstruction=made.reconstruction, identity=made.identity, target=task.target.held_out)


def _nearest(generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """(distance of each row of `generated` (N, D) to the nearest row of `real` (M, D), index of that row), both (N,)."""
    found = torch.cdist(generated.double(), real.double()).min(1)
    return found.values, found.indices


def _ranked(order: Tensor, score: Tensor, outputs: Tensor) -> Ranked:
    return Ranked(order.tolist(), score[order].tolist(), outputs[order])


def _classifier_record(classifier: SideClassifier, floor: Mapping[str, Values], held_out: ImageSets) -> dict[str, Any]:
    """The classifier and its accuracy on real held-out images of each domain: on B it is the success of the floor of a_to_b."""
    accuracy = {
        f"accuracy_{side}": floor[direction]["success"]
        for side, direction in (("a", "b_to_a"), ("b", "a_to_b"), ("b", "samples"))
        if direction in floor
    }
    counts = {f"n_{side}": len(x) for side, x in zip("ab", held_out, strict=False)}
    return {"name": classifier.label, **accuracy, **counts}


def _protocol(held_out: ImageSets, train: ImageSets, task: _Task, seed: int, device: str | torch.device) -> dict[str, Any]:
    """The conditions that two evaluations must share to be comparable."""
    latents = {"n_samples": task.count, "latents": f"seed {SAMPLES_SEED}, no truncation"}
    return {
        **{f"n_{side}": len(x) for side, x in zip("ab", held_out, strict=False)},
        **{f"n_training_{side}": len(x) for side, x in zip("ab", train, strict=False)},
        "image_size": held_out[0].shape[-1], "channels": held_out[0].shape[1],
        "size": f"{task.target.scaled.shape[-1]} px, {task.target.scaled.shape[1]} channels: what features and the classifier "
                "take; outputs are resized to it by Pillow's bicubic filter",
        "resize": "centred square by Pillow's Lanczos filter, antialiased; none where an image has that size",
        "codec": "8-bit pixels as a PNG holds them, in memory",
        "reference": "held-out images of the target domain; for mifid and authenticity its training images",
        "kid": f"mean over subsets of min({SUBSET}, n), kid_std over these or, where one is everything, over subsets of half",
        "mmd": "100 x unbiased MMD², Gaussian kernel, features standardised by the real ones and clipped to +-6",
        "supports": _WITHIN if task.reference.within_supports else "alpha-precision and beta-recall count all rows",
        "intervals": "95 %, bootstrap over images, 1000 resamples",
        "content": "distance of input and output in the features, its share of that of two random inputs",
        "success": "assigned to the target domain, of three classes: target, source, neither",
        "floor": "as many training images of the target domain as outputs, against its held-out and its other training "
                 "images; success: its held-out images",
        "mifid": "Kaggle's threshold of 0.1, which was chosen for Inception-v3 features",
        "l1": "on the scale of [-1, 1]",
        "seed": seed, "precision": "fp32", "device": torch.device(device).type,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": f"cyclegan_hub {__version__}, torch {torch.__version__}, Pillow {PIL.__version__}",
        **(latents if task.direction == "samples" else {}),
    }  # fmt: skip


def histogram(x: Tensor) -> np.ndarray:
    """uint8 (N, C, H, W) -> (C, 64): the share of the pixels of each channel in each of 64 ranges, in percent."""
    counts = [torch.bincount(channel.flatten().long() // 4, minlength=64) for channel in x.unbind(1)]
    return 100 * torch.stack(counts).double().numpy() / (x.numel() / x.shape[1])
