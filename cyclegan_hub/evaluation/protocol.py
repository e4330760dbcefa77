"""The protocol: measures all epochs of a model on the same held-out images, in every direction, together with two baselines.

"untranslated": the inputs themselves, measured as if they were translations (for upscale-4x: the bicubic enlargement). "floor":
real training images of the target side, as many as there are outputs, measured as if they were generated; no generator can be
expected to be better. A model that draws from noise has no inputs, so only the floor.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import PIL
import torch
from torch import Tensor

from cyclegan_hub import __version__
from cyclegan_hub.evaluation.choose_epoch import choose, relate_all
from cyclegan_hub.evaluation.features import Extractor
from cyclegan_hub.evaluation.generate import SAMPLES_SEED, Generated, Piles, at_size, generate
from cyclegan_hub.evaluation.results import SHOWN, Evaluation, EvaluationError, Ranked, Shown, histogram
from cyclegan_hub.evaluation.rows import (
    SUBSET,
    Classifier,
    Figures,
    Notes,
    Reference,
    Subject,
    answers_for,
    distance_to,
    measure,
    nearest_to,
)
from cyclegan_hub.imaging import images
from cyclegan_hub.models.inference import optimize_for_cpu
from cyclegan_hub.models.protocols import Model, Sampler

_WITHIN = (
    "alpha-precision and beta-recall within the supports at 0.9: of the outputs in their own support and of the real images in "
    "theirs; authenticity over all outputs, the integrated figures over all rows"
)


@dataclass(frozen=True)
class _Task:
    """One direction to measure: uint8 images of both sides at the model's size, and scaled to the size of the features.

    A model that draws has no inputs.
    """

    direction: str
    inputs: Tensor | None
    target: Tensor
    scaled_inputs: Tensor | None  # at the size and channels of the features
    scaled_target: Tensor
    inputs_features: Tensor | None
    reference: Reference
    training: Tensor
    count: int  # number of outputs
    paired: bool

    def scaled(self, x: Tensor) -> Tensor:
        """Outputs at the size and channels of the real images, for the extractor and the classifier."""
        return at_size(x, self.scaled_target.shape[-1], self.scaled_target.shape[1])


@dataclass(frozen=True)
class ScaledImages:
    """Held-out and training images, uint8 (N, C, S, S) of A and of B, at the one size that features are taken at."""

    held_out: Piles
    train: Piles


def evaluate(
    epochs: Mapping[str, Callable[[], Model]],
    held_out: Piles,
    train: Piles,
    extractor: Extractor,
    classifier: Classifier | None = None,
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

    `held_out` and `train` are uint8 (N, C, S, S) of A and of B, where S is the models' image size; for a single pile one tensor
    each; for pairs A holds the inputs and B the outputs that belong to them. Outputs are rounded to 8 bits, as in a PNG, before
    they are measured or translated back. `scaled` holds the same images at the size and channels for the extractor and the
    classifier; outputs are resized to it by Pillow's bicubic filter. None: no resizing. `protocol` adds lines to the record of
    the conditions; `on_epoch` is called with the name of each epoch when it is done. `within_supports`: see
    `metrics.alpha_beta_authenticity`.
    Raises EvaluationError for no epoch, and for images that are not of the models' size or channels.
    """
    if not epochs:
        raise EvaluationError("no epoch to evaluate: name at least one")
    notes, first = Notes(), next(iter(epochs.values()))()
    tasks = _tasks(first, held_out, train, scaled or ScaledImages(held_out, train), extractor, seed, within_supports)
    untranslated = {task.direction: _untranslated(task, classifier, notes) for task in tasks if task.inputs is not None}
    floor = {task.direction: _floor(task, classifier, notes, seed) for task in tasks}
    baselines = {"untranslated": untranslated, "floor": floor}
    found: dict[str, dict[str, Figures]] = {}
    shown: dict[str, dict[str, Shown]] = {}
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
        found[name], pictures = _measure(model, name, tasks, classifier, notes, batch_size)
        if pictures:
            shown[name] = pictures
        on_epoch(name)
    notes.lines += relate_all(found, baselines, extractor)
    best, rule = choose(found, baselines, extractor, first.measured_by)
    metrics = {
        "best": best,
        "rule": rule,
        "extractor": extractor.label,
        "protocol": _protocol(held_out, train, tasks[0], seed, device) | _sampled(tasks) | dict(protocol or {}),
        "classifier": _judged(classifier, floor, held_out),
        "baselines": baselines,
        "epochs": found,
        "notes": notes.lines,
    }
    paired = first.measured_by == "pairs"
    ranked_by = (
        "L1 to the real output" if paired else "probability of the target side" if classifier else "distance to a real image"
    )
    return Evaluation(metrics, shown, held_out, ranked_by, paired)


# ------------------------------------------------------------------------------------------------------ the parts
def _tasks(
    model: Model, held_out: Piles, train: Piles, scaled: ScaledImages, extractor: Extractor, seed: int, within: bool
) -> list[_Task]:
    """A task for each direction of a model. Raises EvaluationError for a model that translates if there are no inputs."""
    features = [extractor(x) for x in scaled.held_out]
    training = [extractor(x) for x in scaled.train]
    if isinstance(model, Sampler):
        reference = Reference(extractor, features[-1], training[-1], seed, within)
        return [
            _Task("samples", None, held_out[-1], None, scaled.held_out[-1], None, reference, train[-1], len(held_out[0]), False)
        ]
    if len(held_out) != 2:
        raise EvaluationError("a translation is measured on images of both sides: give A and B")
    return [
        _Task(
            direction, held_out[i], held_out[j], scaled.held_out[i], scaled.held_out[j], features[i],
            Reference(extractor, features[j], training[j], seed, within), train[j], len(held_out[i]),
            model.measured_by == "pairs",
        )
        for direction, (i, j) in zip(model.directions, ((0, 1), (1, 0)), strict=False)
    ]  # fmt: skip


def _answers(task: _Task, classifier: Classifier | None, scaled: Tensor) -> Tensor | None:
    return None if classifier is None else answers_for(classifier, scaled, task.direction)


def _untranslated(task: _Task, classifier: Classifier | None, notes: Notes) -> Figures:
    where, x, scaled = f"untranslated, {task.direction}", task.inputs, task.scaled_inputs
    assert x is not None and scaled is not None and task.inputs_features is not None
    subject = Subject(task.inputs_features, task.reference, answers=_answers(task, classifier, scaled), outputs=x)
    if task.paired:
        return measure(replace(subject, truth=task.target), where, notes)
    subject = replace(subject, inputs=x, back=x, target=task.target, identity=task.target, others=x)
    return measure(subject, where, notes)


def _floor(task: _Task, classifier: Classifier | None, notes: Notes, seed: int) -> Figures:
    """The baseline "floor": a seeded choice of training images, against held-out and (for copies) other training images."""
    where, training = f"floor, {task.direction}", task.reference.training
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed))
    drawn, rest = order[: task.count], order[task.count :]
    if len(drawn) < task.count:
        notes.lines.append(f"{where}: {len(drawn)} training images stand for {task.count} outputs: there are no more")
    reference = replace(task.reference, training=training[rest])
    return measure(Subject(training[drawn], reference, answers=_answers(task, classifier, task.scaled_target)), where, notes)


def _measure(
    model: Model, name: str, tasks: list[_Task], classifier: Classifier | None, notes: Notes, batch_size: int
) -> tuple[dict[str, Figures], dict[str, Shown]]:
    """Returns (figures of one epoch, its part of the report), by direction; empty if its outputs hold NaN."""
    try:
        made = {
            task.direction: generate(model, task.direction, task.inputs, task.target, task.count, batch_size=batch_size)
            for task in tasks
        }
    except images.ImageError as error:
        notes.lines.append(f"{name}: no figures: {error}")
        return {task.direction: {} for task in tasks}, {}
    found, shown = {}, {}
    for task in tasks:
        direction, done = task.direction, made[task.direction]
        scaled = task.scaled(done.outputs)
        features, answers = task.reference.extractor(scaled), _answers(task, classifier, scaled)
        found[direction] = measure(_subject(task, done, features, answers), f"{name}, {direction}", notes)
        score = -distance_to(features, task.reference.held_out) if answers is None else answers[:, 0]
        if task.paired:
            score = -(done.outputs.float() - task.target.float()).abs().mean((1, 2, 3)) / 127.5
        order = score.argsort(descending=True, stable=True)
        best, worst = (_ranked(part[:SHOWN], score.abs(), done.outputs) for part in (order, order.flip(0)))
        back = None if done.back is None else done.back[:SHOWN]
        copies = _copies(task, features, done.outputs) if task.inputs is None else None
        shown[direction] = Shown(done.outputs[:SHOWN], back, best, worst, histogram(done.outputs), copies)
    return found, shown


def _subject(task: _Task, made: Generated, features: Tensor, answers: Tensor | None) -> Subject:
    """The subject of the outputs: with the real outputs for pairs, else with inputs and, if there are some, the ways back."""
    subject = Subject(features, task.reference, outputs=made.outputs, answers=answers)
    if task.paired:
        return replace(subject, truth=task.target)
    return replace(subject, inputs=task.inputs, inputs_features=task.inputs_features, back=made.back, identity=made.identity,
                   target=task.target)  # fmt: skip


def _copies(task: _Task, features: Tensor, outputs: Tensor) -> tuple[Ranked, Tensor]:
    """Returns (the samples nearest to a training image, nearest first; these images): copies would be found here."""
    distance, index = nearest_to(features, task.reference.training)
    order = distance.argsort(stable=True)[:SHOWN]
    return _ranked(order, distance, outputs), task.training[index[order]]


def _ranked(order: Tensor, score: Tensor, outputs: Tensor) -> Ranked:
    return Ranked(order.tolist(), score[order].tolist(), outputs[order])


def _judged(classifier: Classifier | None, floor: Mapping[str, Figures], held_out: Piles) -> dict[str, Any] | None:
    """The classifier, and its accuracy on real held-out images of each side: the success of the floor of a_to_b is that on B."""
    if classifier is None:
        return None
    accuracy = {
        f"accuracy_{side}": floor[direction]["success"]
        for side, direction in (("a", "b_to_a"), ("b", "a_to_b"), ("b", "samples"))
        if direction in floor
    }
    counts = {f"n_{side}": len(pile) for side, pile in zip("ab", held_out, strict=False)}
    return {"name": classifier.label, **accuracy, **counts}


def _sampled(tasks: list[_Task]) -> dict[str, Any]:
    """The lines of the protocol for a model that draws."""
    samples = [task for task in tasks if task.direction == "samples"]
    return {"n_samples": samples[0].count, "latents": f"seed {SAMPLES_SEED}, no truncation"} if samples else {}


def _protocol(held_out: Piles, train: Piles, task: _Task, seed: int, device: str | torch.device) -> dict[str, Any]:
    """The conditions that two evaluations must share to be comparable."""
    return {
        **{f"n_{side}": len(pile) for side, pile in zip("ab", held_out, strict=False)},
        **{f"n_training_{side}": len(pile) for side, pile in zip("ab", train, strict=False)},
        "image_size": held_out[0].shape[-1], "channels": held_out[0].shape[1],
        "size": f"{task.scaled_target.shape[-1]} px, {task.scaled_target.shape[1]} channels: what features are taken and sides "
                "judged at; outputs are brought there by Pillow's bicubic filter",
        "resize": "centred square by Pillow's Lanczos filter, antialiased; none where an image has that size",
        "codec": "8-bit pixels as a PNG holds them, in memory",
        "reference": "held-out images of the target side; for mifid and authenticity its training images",
        "kid": f"mean over subsets of min({SUBSET}, n), kid_std over these or, where one is everything, over subsets of half",
        "mmd": "100 x unbiased MMD², Gaussian kernel, features standardised by the real ones and clipped to +-6",
        "supports": _WITHIN if task.reference.within_supports else "alpha-precision and beta-recall count all rows",
        "intervals": "95 %, bootstrap over images, 1000 resamples",
        "content": "distance of input and output in the features, its share of that of two random inputs",
        "success": "taken for the target side, of three answers: target, source, neither",
        "floor": "as many training images of the target side as outputs, against its held-out and its other training "
                 "images; success: its held-out images",
        "mifid": "Kaggle's threshold of 0.1, which was chosen for Inception-v3 features",
        "l1": "on the scale of [-1, 1]",
        "seed": seed, "precision": "fp32", "device": torch.device(device).type,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": f"cyclegan_hub {__version__}, torch {torch.__version__}, Pillow {PIL.__version__}",
    }  # fmt: skip
