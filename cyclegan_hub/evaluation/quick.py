"""A light evaluation, for a look during training: a few figures of some held-out images."""

from __future__ import annotations

from torch import Tensor

from cyclegan_hub import images
from cyclegan_hub.evaluation.extractor import Extractor
from cyclegan_hub.evaluation.generate import Piles, in_and_out, make, translate
from cyclegan_hub.evaluation.measures import Classifier, Notes, Reference, of_truth, success, towards_target
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.face_generator import FaceGenerator
from cyclegan_hub.models.paired_generator import PairedGenerator


def light(model: Model, held_out: Piles, extractor: Extractor, classifier: Classifier | None = None) -> dict[str, float]:
    """A few figures for a look during training, on uint8 held-out images of A and B (N, C, S, S); some 64 are enough.

    For each direction "kid[...]_a_to_b" and, with a classifier, "success_a_to_b"; and "score", the mean over both directions of
    KID over that of the untranslated inputs: 1 is as far from the target as these, 0 is as near as real images; smaller is
    better. A figure that does not exist is left out. The model's mode and place stay as they are.
    Of samples: "kid[...]", which is the score. Of pairs, or targets to make inputs of: "l1" to the real outputs, the score,
    "psnr" and "ssim".
    """
    match model:
        case FaceGenerator():
            return _light_samples(model, held_out[-1], extractor)
        case PairedGenerator():
            inputs, target = in_and_out(model, held_out[-1])
            outputs = make(model, "a_to_b", inputs, target, len(target), paired=True, batch_size=16).outputs
            values = of_truth(outputs, target, "", Notes())
            found = {name.removeprefix("truth_"): value for name, value in values.items() if value is not None}
            return found | ({"score": found["l1"]} if "l1" in found else {})
    features = [extractor(x) for x in held_out]
    notes, result, shares = Notes(), {}, []
    for direction, (i, j) in zip(model.directions, ((0, 1), (1, 0)), strict=True):
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


def _light_samples(model: FaceGenerator, target: Tensor, extractor: Extractor) -> dict[str, float]:
    outputs = make(model, "samples", None, target, len(target), paired=False, batch_size=64).outputs
    features = extractor(target)
    reference, name = Reference(extractor, features, features, seed=0), extractor.metric("kid")
    kid = Notes().attempt("", [name], lambda: [reference.kid(extractor(outputs))])[name]
    return {} if kid is None else {name: kid, "score": kid}
