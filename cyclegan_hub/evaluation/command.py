"""`cyclegan-hub evaluate`: evaluates epochs of models on held-out images and writes metrics.json and report.html."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cyclegan_hub.command_line import add_alias
from cyclegan_hub.domains import Eyes
from cyclegan_hub.evaluation import features, report
from cyclegan_hub.evaluation.features import Extractor, FeatureError, SideClassifier
from cyclegan_hub.evaluation.inputs import (
    MAX_HELD_OUT,
    Images,
    Source,
    check_alike,
    find_data,
    first_translator,
    names_of,
    open_source,
    read_images,
    training_data,
)
from cyclegan_hub.evaluation.protocol import evaluate
from cyclegan_hub.evaluation.record import EvaluationError, Metrics, Rows, write_metrics
from cyclegan_hub.hub.records import HistoryError, processes_of, read_history, training_time
from cyclegan_hub.machine import peak_memory, plain_defaults

_EXAMPLES = """examples:

  cyclegan-hub evaluate runs/smile-compact --data my/faces --extractor encoder
  cyclegan-hub evaluate user/smile --epochs 5,10,20 --max-held-out 300 --out results/smile
  cyclegan-hub evaluate runs/one runs/two user/three --data my/faces --out results    # compared"""
ON_TRAINING = "images that were trained on, in place of held-out ones"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Evaluate models on held-out images; several sources are compared."
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help="a run folder, a model folder or a Hub repository (user/name)")
    add("--data", metavar="FOLDER_OR_ID", help="as for a training; without it what the run recorded, or the domain's own data")
    add("--data-a", metavar="SPEC", help="domain A, as for a training")
    add("--data-b", metavar="SPEC", help="domain B, likewise")
    add("--extractor", metavar="TEXT", help=f"{features.FORMS} (default: inception)")
    add("--size", type=int, default=128, metavar="PX", help="the one size at which features are taken and images are "
        "classified, whatever the models' own sizes (default: %(default)s)")  # fmt: skip
    add("--classifier", metavar="TEXT", help="encoder, encoder:FOLDER or none (default: encoder, where it knows the domain)")
    add("--epochs", default="all", metavar="all|5,10", help="which epochs (default: all)")
    held_out = "the most held-out images of a domain (default: %(default)s)"
    add_alias(parser, "--images", add("--max-held-out", type=int, default=MAX_HELD_OUT, metavar="N", help=held_out))
    train = "the most training images of a domain, for MiFID, authenticity and the floor (default: %(default)s)"
    add_alias(parser, "--training", add("--max-train-images", type=int, default=3000, metavar="N", help=train))
    add("--on-training", action="store_true", help="measure on images that were trained on in place of held-out ones: beside "
        "the usual metrics they show what was memorised; with an --out of its own")  # fmt: skip
    add("--within-supports", action="store_true", help="count alpha-precision and beta-recall within the supports at 0.9, as the "
        "paper's worked example does, instead of over all images")  # fmt: skip
    add("--batch-size", type=int, default=16, metavar="N", help="images that go through a generator together (default: 16)")
    add("--out", type=Path, metavar="DIR", help="where the results go (default: into the source's folder)")
    add("--seed", type=int, help="of every random choice (default: the run's own, else 0)")


@plain_defaults()
def run(args: argparse.Namespace) -> int:
    """Evaluates every source and prints the tables; returns 0."""
    started = time.perf_counter()
    for name, least in (("max_held_out", 1), ("max_train_images", 1), ("batch_size", 1), ("size", 16)):
        if getattr(args, name) < least:
            raise EvaluationError(f"--{name.replace('_', '-')} {getattr(args, name)}: must be at least {least}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
    several, names = len(args.sources) > 1, names_of(args.sources)
    places = [args.out / name if args.out and several else args.out for name in names]
    folders = [Path(text).resolve() for text in args.sources]
    if args.on_training and any(place is None or place.resolve() in folders for place in places):
        raise EvaluationError(
            "--on-training: give an --out of its own, so that these do not replace the metrics of held-out images"
        )
    opened = [open_source(text, args.epochs, out, name) for text, name, out in zip(args.sources, names, places, strict=True)]
    check_alike(opened)
    first = first_translator(opened)
    extractor = features.inception(device=device) if args.extractor is None else features.from_text(args.extractor, device=device)
    classifier, unclassified = _find_classifier(args.classifier, first, device)
    seed = args.seed if args.seed is not None else (first.record or {}).get("seed", 0)
    data = find_data((args.data, args.data_a, args.data_b), first)
    lines = {f"data_{letter}": source.describe() for letter, source in zip("ab", data, strict=False)}
    if args.on_training:
        lines["reference"] = ON_TRAINING
    channels, most = max(source.model.channels for source in opened), (args.max_held_out, args.max_train_images)
    read: dict[Any, Images] = {}  # by size, channels and where the eyes of faces lie
    found: dict[str, Metrics] = {}
    for source in opened:
        reader = first if source.model.measured_by == "samples" else source
        key = (shape := (source.model.image_size, source.model.channels), reader.eyes)
        if key not in read:
            read[key] = read_images(
                data, reader, seed, most, shape=shape, scaled=(args.size, channels), on_training=args.on_training
            )
        own = lines | _alignment(reader.eyes, read[key])
        found[source.name] = _evaluate(source, read[key], extractor, classifier, own, unclassified, args, seed, device)
    if several:
        _compare(opened, found, first.model.labels, args.out)
    memory = peak_memory()
    print(f"{time.perf_counter() - started:.0f} s" + ("" if memory is None else f", peak memory {memory:.2f} GiB"))
    return 0


def _alignment(eyes: Sequence[Eyes | None], read: Images) -> dict[str, str]:
    """Protocol lines on faces: where their eyes lie in the images of a side, and how many images were left out without one."""
    lines = {}
    for letter, places, side in zip("ab", eyes, read.sides, strict=False):
        if places is not None:
            shares = ", ".join(f"{share:.3f}" for share in places)
            lines[f"faces_{letter}"] = f"aligned, eyes at {shares} of the side; {side.counts['no_face']} without a face left out"
    return lines


def _find_classifier(text: str | None, source: Source, device: str) -> tuple[SideClassifier | None, str]:
    """Returns (classifier or None, the reason if there is none).

    Without --classifier (`text` None) it is the bundled encoder, for a model that translates without pairs. Raises FeatureError
    if the classifier of the command line does not know these sides.
    """
    if text is None and (len(source.model.labels) != 2 or source.paired):
        return None, ""
    try:
        return features.classifier_for(text, source.model.labels, device=device), ""
    except FeatureError as error:
        if text is not None:
            raise
        return None, f"no success: {error}"


def _evaluate(
    source: Source, read: Images, extractor: Extractor, classifier: SideClassifier | None, lines: dict[str, str],
    unclassified: str, args: argparse.Namespace, seed: int, device: str,
) -> Metrics:  # fmt: skip
    """Measures one source, writes and prints the results, and returns the metrics."""
    clock = [time.perf_counter()]
    own, others = training_data(source, read.sides)

    def on_epoch(name: str) -> None:
        clock.append(time.perf_counter())
        print(f"{source.name} {name}: {clock[-1] - clock[-2]:.1f} s", file=sys.stderr, flush=True)

    found = evaluate(
        source.epochs, read.held_out, read.train, extractor, classifier, scaled=read.scaled, batch_size=args.batch_size,
        seed=seed, within_supports=args.within_supports, device=device, protocol=lines | {"training_data": own},
        on_epoch=on_epoch,
    )  # fmt: skip
    found.metrics.notes[:0] = [ON_TRAINING] * args.on_training + [unclassified] * bool(unclassified) + [own] * others
    folder = source.out or Path(source.text)
    written = [
        write_metrics(found.metrics, folder),
        report.write_report(found, source.model.labels, source.name, folder),
    ]
    print(f"\n{report.summary(found.metrics, source.model.labels)}\n\n{', '.join(map(str, written))}")
    return found.metrics


def _compare(opened: list[Source], found: dict[str, Metrics], labels: tuple[str, ...], out: Path | None) -> None:
    """Prints and writes a comparison of several sources: their metrics, and how their trainings differ."""
    trainings = differences(opened)
    for arrow, rows in report.compare(found, labels).items():
        print(f"\n{arrow}\n{report.as_text(rows)}")
    print(f"\n{report.as_text(trainings)}")
    if out:
        print(", ".join(map(str, report.write_comparison(found, labels, out, trainings))))


_ALWAYS = ("name", "image_size", "channels")  # these have rows of their own, even if they are equal
_UNKNOWN = "not recorded"


def training_cost(folder: Path, recipe: Mapping[str, Any]) -> tuple[float | None, int | None]:
    """(hours of computing, pairs or images seen), from a run's `history.jsonl`; (None, None) if they were not recorded."""
    batch = recipe.get("batch_size", 1) * processes_of(folder)
    try:
        seconds, steps = training_time(read_history(folder / "history.jsonl"), batch)
    except (OSError, HistoryError):
        return None, None
    return (seconds / 3600, steps * batch) if steps else (None, None)


def differences(sources: Sequence[Source]) -> Rows:
    """A table with a column for each source: recipe, size, hours, images seen, and every field in which the recipes differ."""
    recipes = [source.recipe for source in sources]
    costs = [training_cost(Path(source.text), source.recipe) for source in sources]
    rows = [
        ["training", *(source.name for source in sources)],
        ["recipe", *(str(recipe.get("name", _UNKNOWN)) for recipe in recipes)],
        ["px", *(str(source.model.image_size) for source in sources)],
        ["channels", *(str(source.model.channels) for source in sources)],
        ["hours", *(_UNKNOWN if hours is None else f"{hours:.2f}" for hours, _ in costs)],
        ["seen", *(f"{n:,} {s.model.batch_unit}" if n else _UNKNOWN for s, (_, n) in zip(sources, costs, strict=True))],
    ]
    for name in dict.fromkeys(name for recipe in recipes for name in recipe):
        values = [json.dumps(recipe[name]) if name in recipe else "" for recipe in recipes]
        if name not in _ALWAYS and len({value for value, recipe in zip(values, recipes, strict=True) if recipe}) > 1:
            rows.append([name, *values])
    return rows
