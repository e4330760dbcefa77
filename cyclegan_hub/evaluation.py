"""The protocol: all epochs of a model on the same held-out images, in both directions, beside two baselines.

"untranslated" are the inputs themselves, measured as if they were translations. "floor" are as many real training images of
the target side as there are translations, measured as if they had been generated: no generator can be expected to do better.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
from torch import Tensor

from cyclegan_hub import __version__, images
from cyclegan_hub.best import choose_best, relate
from cyclegan_hub.extractors import Extractor
from cyclegan_hub.figures import (
    SUBSET,
    Classifier,
    Figures,
    Notes,
    Reference,
    distance_to,
    of_pixels,
    others_l1,
    success,
    towards_target,
)
from cyclegan_hub.files import write_atomic
from cyclegan_hub.models.cycle_generator import CycleGenerator, Direction

DIRECTIONS: tuple[Direction, Direction] = ("a_to_b", "b_to_a")
SHOWN = 8  # images of a row in the report
Pair = tuple[Tensor, Tensor]


class EvaluationError(ValueError):
    """An evaluation that cannot be done as asked; the message names what and the remedy."""


@dataclass(frozen=True)
class Ranked:
    """Translations from one end of the ranking, the extreme one first: `indices` into the inputs, and their scores."""

    indices: list[int]
    scores: list[float]
    outputs: Tensor  # uint8 (n, C, S, S)


@dataclass(frozen=True)
class Shown:
    """What a report shows of one epoch and direction: of the first inputs their translations (uint8) and ways back, the best
    and the worst translations, and the colours of all of them (see `histogram`)."""

    first: Tensor
    back: Tensor
    best: Ranked
    worst: Ranked
    colours: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """`metrics` as metrics.json holds them; `shown[epoch][direction]`; `ranked_by` says what best and worst mean."""

    metrics: dict[str, Any]
    shown: dict[str, dict[str, Shown]]
    held_out: Pair
    ranked_by: str


@dataclass(frozen=True)
class _Course:
    """One direction: uint8 images of both sides, and what its translations are measured against."""

    direction: Direction
    inputs: Tensor
    target: Tensor
    inputs_features: Tensor
    reference: Reference


def evaluate(
    epochs: Mapping[str, Callable[[], CycleGenerator]],
    held_out: Pair,
    train: Pair,
    extractor: Extractor,
    classifier: Classifier | None = None,
    *,
    protocol: Mapping[str, Any] | None = None,
    batch_size: int = 16,
    seed: int = 0,
    device: str | torch.device = "cpu",
    say: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Measures every epoch. `epochs` maps its name ("epoch-005", or "main") to what loads it; one at a time is in memory.

    `held_out` and `train` are uint8 (N, C, S, S) of A and of B, S the models' image size. Translations count as the 8-bit
    images that a PNG holds, also on their way back. `protocol` adds lines to the recorded ones; `say` is told of each epoch.
    Raises EvaluationError for no epoch, and for images that are not of the models' size or channels.
    """
    if not epochs:
        raise EvaluationError("no epoch to evaluate: name at least one")
    notes = Notes()
    courses = _courses(held_out, train, extractor, seed)
    untranslated = {c.direction: _untranslated(c, classifier, notes) for c in courses}
    floor = {c.direction: _floor(c, classifier, notes, seed) for c in courses}
    baselines = {"untranslated": untranslated, "floor": floor}
    found: dict[str, dict[str, Figures]] = {}
    shown: dict[str, dict[str, Shown]] = {}
    for name, load in epochs.items():
        model = load().to(device)
        if (model.channels, model.image_size, model.image_size) != tuple(held_out[0].shape[1:]):
            raise EvaluationError(
                f"{name} was trained on {model.channels} x {model.image_size} x {model.image_size} and the held-out images are "
                f"{' x '.join(map(str, held_out[0].shape[1:]))}: evaluate models of one size and number of channels together"
            )
        found[name], pictures = _measure(model, name, courses, classifier, notes, batch_size)
        if pictures:
            shown[name] = pictures
        say(name)
    kid, relative = extractor.metric("kid"), extractor.metric("kid_relative")
    notes.lines += relate(found, baselines, kid, relative)
    best, rule = choose_best(found, baselines, kid, relative)
    metrics = {
        "best": best,
        "rule": rule,
        "extractor": extractor.label,
        "protocol": _protocol(held_out, train, seed, device) | dict(protocol or {}),
        "classifier": _judged(classifier, floor, held_out),
        "baselines": baselines,
        "epochs": found,
        "notes": notes.lines,
    }
    return Evaluation(metrics, shown, held_out, "probability of the target side" if classifier else "distance to a real image")


def light(model: CycleGenerator, held_out: Pair, extractor: Extractor, classifier: Classifier | None = None) -> dict[str, float]:
    """A few figures for a look during training, on uint8 held-out images of A and B (N, C, S, S); some 64 are enough.

    For each direction "kid[...]_a_to_b" and, with a classifier, "success_a_to_b"; and "score", the mean over both directions of
    KID over that of the untranslated inputs: 1 is as far from the target as these, 0 is as near as real images; smaller is
    better. A figure that does not exist is left out. The model's mode and place stay as they are.
    """
    features = [extractor(x) for x in held_out]
    notes, result, shares = Notes(), {}, []
    for direction, (i, j) in zip(DIRECTIONS, ((0, 1), (1, 0)), strict=True):
        try:
            outputs = translate(model, held_out[i], direction)
        except images.ImageError:  # translations that hold NaN: the training says so itself
            continue
        reference = Reference(extractor, features[j], features[j], seed=0)
        names = ["kid", "untranslated"]
        values = notes.attempt(direction, names, lambda r=reference, y=outputs, i=i: [r.kid(extractor(y)), r.kid(features[i])])
        kid, before = (values[name] for name in names)
        if kid is not None and before is not None:
            result[f"{extractor.metric('kid')}_{direction}"] = kid
            shares += [kid / before] if before > 0 else []
        if classifier is not None:
            result[f"success_{direction}"] = success(towards_target(classifier, outputs, direction))
    return result | ({"score": sum(shares) / 2} if len(shares) == 2 else {})


def translate(model: CycleGenerator, x: Tensor, direction: Direction, batch_size: int = 16) -> Tensor:
    """uint8 (N, C, H, W) -> uint8 (N, C, H, W), as `model.translate` gives them. Raises ImageError if they hold NaN."""
    pictures = model.translate(list(x), direction, resolution="original", batch_size=batch_size)
    return torch.stack([images.to_uint8_tensor(picture) for picture in pictures])


def write(evaluation: Evaluation, folder: Path) -> Path:
    """Writes `metrics.json` into `folder`, in one go, and returns its path. Raises EvaluationError if it cannot be written."""
    path = folder / "metrics.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(evaluation.metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}. Free space, or give another --out") from error
    return path


def histogram(x: Tensor) -> np.ndarray:
    """uint8 (N, C, H, W) -> (C, 64): the share of the pixels of each channel in each of 64 ranges, in percent."""
    counts = [torch.bincount(channel.flatten().long() // 4, minlength=64) for channel in x.unbind(1)]
    return 100 * torch.stack(counts).double().numpy() / (x.numel() / x.shape[1])


# ------------------------------------------------------------------------------------------------------ the parts
def _courses(held_out: Pair, train: Pair, extractor: Extractor, seed: int) -> list[_Course]:
    features = [extractor(x) for x in held_out]
    training = [extractor(x) for x in train]
    return [
        _Course(
            direction, held_out[i], held_out[j], features[i], Reference(extractor, features[j], training[j], seed)
        )
        for direction, (i, j) in zip(DIRECTIONS, ((0, 1), (1, 0)), strict=True)
    ]  # fmt: skip


def _untranslated(course: _Course, classifier: Classifier | None, notes: Notes) -> Figures:
    where, x = f"untranslated, {course.direction}", course.inputs
    judged = {"success": success(towards_target(classifier, x, course.direction))} if classifier else {}
    figures = course.reference.figures(course.inputs_features, where, notes)
    return figures | judged | of_pixels(x, x, x, course.target, course.target, where, notes) | {"others_l1": others_l1(x)}


def _floor(course: _Course, classifier: Classifier | None, notes: Notes, seed: int) -> Figures:
    """Of a seeded choice of training images, measured against the held-out ones and, for copies, the rest of the training."""
    where, training = f"floor, {course.direction}", course.reference.training
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(seed))
    drawn, rest = order[: len(course.inputs)], order[len(course.inputs) :]
    if len(drawn) < len(course.inputs):
        notes.lines.append(
            f"{where}: {len(drawn)} training images stand for {len(course.inputs)} translations: there are no more"
        )
    judged = {"success": success(towards_target(classifier, course.target, course.direction))} if classifier else {}
    return course.reference.figures(training[drawn], where, notes, training=training[rest]) | judged


def _measure(
    model: CycleGenerator, name: str, courses: list[_Course], classifier: Classifier | None, notes: Notes, batch_size: int
) -> tuple[dict[str, Figures], dict[str, Shown]]:
    """The figures of one epoch by direction, and what is shown of it; empty ones if its translations hold NaN."""
    try:
        made = {c.direction: _made(model, c, batch_size) for c in courses}
    except images.ImageError as error:
        notes.lines.append(f"{name}: no figures: {error}")
        return {c.direction: {} for c in courses}, {}
    found, shown = {}, {}
    for course in courses:
        direction, where = course.direction, f"{name}, {course.direction}"
        outputs, back, kept = made[direction]
        features = course.reference.extractor(outputs)
        figures = course.reference.figures(features, where, notes)
        if classifier is not None:
            score = towards_target(classifier, outputs, direction)
            figures["success"] = success(score)
        else:
            score = -distance_to(features, course.reference.held_out)
        figures |= of_pixels(course.inputs, outputs, back, course.target, kept, where, notes)
        found[direction] = figures
        order = score.argsort(descending=True, stable=True)
        best, worst = (_ranked(part[:SHOWN], score.abs(), outputs) for part in (order, order.flip(0)))
        shown[direction] = Shown(outputs[:SHOWN], back[:SHOWN], best, worst, histogram(outputs))
    return found, shown


def _made(model: CycleGenerator, course: _Course, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Translations of the inputs, these translated back, and what the same generator makes of its own target side."""
    direction = course.direction
    opposite: Direction = "b_to_a" if direction == "a_to_b" else "a_to_b"
    outputs = translate(model, course.inputs, direction, batch_size)
    return outputs, translate(model, outputs, opposite, batch_size), translate(model, course.target, direction, batch_size)


def _ranked(order: Tensor, score: Tensor, outputs: Tensor) -> Ranked:
    return Ranked(order.tolist(), score[order].tolist(), outputs[order])


def _judged(classifier: Classifier | None, floor: Mapping[str, Figures], held_out: Pair) -> dict[str, Any] | None:
    """The classifier and how often it is right on the very images that are translated: real B is the floor of a_to_b."""
    if classifier is None:
        return None
    b, a = (floor[direction]["success"] for direction in DIRECTIONS)
    counts = {"n_a": len(held_out[0]), "n_b": len(held_out[1])}
    return {"name": classifier.label, "accuracy_a": a, "accuracy_b": b, **counts}


def _protocol(held_out: Pair, train: Pair, seed: int, device: str | torch.device) -> dict[str, Any]:
    """What has to be the same for two evaluations to be compared."""
    return {
        "n_a": len(held_out[0]), "n_b": len(held_out[1]), "n_training_a": len(train[0]), "n_training_b": len(train[1]),
        "image_size": held_out[0].shape[-1], "channels": held_out[0].shape[1],
        "resize": "centred square by Pillow's Lanczos filter, antialiased; none where an image has that size",
        "codec": "8-bit pixels as a PNG holds them, in memory",
        "reference": "held-out images of the target side; for mifid and authenticity its training images",
        "kid": f"mean over subsets of min({SUBSET}, n), kid_std over these or, where one is everything, over subsets of half",
        "floor": "as many training images of the target side as translations, against its held-out and its other training "
                 "images; success: its held-out images",
        "mifid": "Kaggle's threshold of 0.1, which was chosen for Inception-v3 features",
        "l1": "on the scale of [-1, 1]",
        "seed": seed, "precision": "fp32", "device": torch.device(device).type,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": f"cyclegan_hub {__version__}, torch {torch.__version__}, Pillow {PIL.__version__}",
    }  # fmt: skip
