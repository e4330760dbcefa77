"""A quick evaluation during training: a few metrics on a small number of held-out images."""

from __future__ import annotations

import torch

from cyclegan_hub.evaluation.features import Extractor, SideClassifier
from cyclegan_hub.evaluation.generate import ImageSets, generate, inputs_and_targets, run_in_batches, translate
from cyclegan_hub.evaluation.registry import METRICS, Metric, Reference, Subject, base_name, classify, measure, selection_metric
from cyclegan_hub.imaging import images
from cyclegan_hub.models.protocols import MeasuredBy, PairedTranslator, Sampler, Translator


def quick_metrics(
    model: Translator | Sampler, held_out: ImageSets, extractor: Extractor, classifier: SideClassifier | None = None
) -> dict[str, float]:
    """A few metrics during training, on held-out images of A and B, uint8 (N, C, S, S); about 64 of each are enough.

    Translation without pairs: for each direction "kid[...]_a_to_b" and, with a classifier, "success_a_to_b"; and "score", the
    mean over both directions of KID divided by that of the untranslated inputs. A score of 1 is as far from the target as the
    inputs, 0 as near as real images; smaller is better. Samples: "kid[...]", which is also the score. Pairs: "l1" to the real
    outputs, which is also the score, "psnr" and "ssim". A metric that cannot be computed is left out. The model's mode
    (training or evaluation) and device are not changed.
    """
    target = held_out[-1]
    if isinstance(model, Sampler):
        outputs, real = generate(model, "samples", None, target, len(target), batch_size=64).outputs, extractor(target)
        return _with_score(Subject(extractor(outputs), Reference(extractor, real, real, seed=0)), "samples")
    if isinstance(model, PairedTranslator):
        inputs, target = inputs_and_targets(model, target)
        outputs, nothing = run_in_batches(model, inputs, model.directions[0]), torch.empty(0, 1)
        subject = Subject(nothing, Reference(extractor, nothing, nothing, seed=0), outputs=outputs, truth=target)
        return _with_score(subject, "pairs")
    features = [extractor(x) for x in held_out]
    result: dict[str, float] = {}
    shares = []
    for direction, (i, j) in zip(model.directions, ((0, 1), (1, 0)), strict=False):
        try:
            outputs = translate(model, held_out[i], direction)
        except images.ImageError:  # translations that hold NaN: the training reports that itself
            continue
        probabilities = None if classifier is None else classify(classifier, outputs, direction)
        reference = Reference(extractor, features[j], features[j], seed=0)
        found = _measure(Subject(extractor(outputs), reference, probabilities=probabilities))
        before = _measure(Subject(features[i], reference))
        result |= {f"{key}_{direction}": value for key, value in found.items()}
        key = extractor.metric(selection_metric("sides").quick)
        if key in found and before.get(key, 0) > 0:
            shares.append(found[key] / before[key])
    return result | ({"score": sum(shares) / len(shares)} if len(shares) == len(model.directions) else {})


def _measure(subject: Subject) -> dict[str, float]:
    """The values of the quick evaluation by their short names; those of features keep the extractor, as in "kid[encoder]"."""

    def wanted(row: Metric) -> bool:
        return bool(row.quick) and (subject.truth is None or not row.of_features)

    found = measure(subject, "", [], wanted)
    return {key.replace(base_name(key), METRICS[base_name(key)].quick): v for key, v in found.items() if v is not None}


def _with_score(subject: Subject, measured_by: MeasuredBy) -> dict[str, float]:
    """The values, with "score": the one by which epochs of such models are chosen."""
    found = _measure(subject)
    score = next((value for key, value in found.items() if base_name(key) == selection_metric(measured_by).quick), None)
    return found | ({} if score is None else {"score": score})
