"""Measures the epochs of a model on held-out images: metrics.json, a table, and report.html with pictures.

python train/evaluate.py runs/smile-compact --data my/faces --extractor encoder
python train/evaluate.py user/smile --epochs 5,10,20 --images 300 --out results/smile
python train/evaluate.py runs/one runs/two user/three --data my/faces --out results      # side by side
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: as in train.py

import argparse
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclegan_hub import FaceGenerator, PairedGenerator
from cyclegan_hub.checkpoints import list_epochs, load
from cyclegan_hub.data.load_sides import Side, load_sides
from cyclegan_hub.data.resolve import resolve, resolve_pairs, resolve_pile
from cyclegan_hub.data.specs import SideSource
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation import domain_encoder, report, tables
from cyclegan_hub.evaluation import extractor_by_name as features
from cyclegan_hub.evaluation import protocol as evaluation
from cyclegan_hub.evaluation.extractor import Extractor, FeatureError
from cyclegan_hub.evaluation.generate import in_and_out
from cyclegan_hub.evaluation.results import EvaluationError, write
from cyclegan_hub.hub.model_folder import epoch_name
from cyclegan_hub.hub.run_record import RunRecord, read_run_record
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.encoder import SideEncoder

_OTHERS = "not the images the run was trained with, so held-out ones may be among those it was trained on"
MOST = 1000  # held-out images of a side that a training sets apart at most


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    parser = argparse.ArgumentParser(description="Measure models on held-out images; several sources are put side by side.")
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help="a run folder, a model folder or a Hub repository (user/name)")
    add("--data", metavar="FOLDER_OR_ID", help="as for train.py; without it what the run recorded, or the domain's own data")
    add("--data-a", metavar="SPEC", help="side A, as for train.py")
    add("--data-b", metavar="SPEC", help="side B, likewise")
    add("--extractor", metavar="TEXT", help="inception[:FILE], encoder[:FOLDER] or package.module:name (default: inception)")
    add("--classifier", metavar="TEXT", help="encoder, encoder:FOLDER or none (default: encoder, where it knows the domain)")
    add("--epochs", default="all", metavar="all|5,10", help="which epochs (default: all)")
    add("--images", type=int, default=MOST, metavar="N", help="held-out images of a side at most (default: %(default)s)")
    add("--training", type=int, default=3000, metavar="N", help="training images of a side at most, for MiFID, authenticity and "
        "the floor (default: %(default)s)")  # fmt: skip
    add("--batch-size", type=int, default=16, metavar="N", help="images that go through a generator together (default: 16)")
    add("--out", type=Path, metavar="DIR", help="where the results go (default: into the source's folder)")
    add("--seed", type=int, help="of every random choice (default: the run's own, else 0)")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Source:
    """A model to be measured: its epochs, one of them loaded for what all share, and where its results go."""

    text: str
    name: str
    epochs: dict[str, Callable[[], Model]]
    model: Model
    record: RunRecord | None
    out: Path | None


def open_source(text: str, wanted: str, out: Path | None, name: str) -> Source:
    """Lists the epochs. Raises ModelError, and EvaluationError for an epoch that is not there or results without a place."""
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


def check_alike(sources: Sequence[Source]) -> None:
    """Raises EvaluationError, naming all, unless the sources translate the same in the same size."""
    words = {s.name: f"{' → '.join(s.model.labels)}, {s.model.image_size} px, {s.model.channels} channels" for s in sources}
    # Samples and translations into the same are alike: both are measured against that.
    same = {(s.model.labels[-1], s.model.image_size, s.model.channels) for s in sources}
    inputs = {s.model.labels[0] for s in sources if not isinstance(s.model, FaceGenerator)}
    if len(same) > 1 or len(inputs) > 1 or len({is_paired(s.model) for s in sources}) > 1:
        listed = "; ".join(f"{name}: {what}" for name, what in words.items())
        raise EvaluationError(f"these cannot be compared ({listed}): evaluate them apart")


def is_paired(model: Model) -> bool:
    """Whether a model is measured on pairs: not one that is trained on what is made of paintings, and applied to photos."""
    return isinstance(model, PairedGenerator) and model.pairs != "repaint"


def find_data(args: argparse.Namespace, sources: Sequence[Source]) -> tuple[SideSource, ...]:
    """The data of the command line, else the run's, else the domain's. Raises DataError, or EvaluationError that asks for it.

    Two sides, if any source translates without pairs; else one pile, or pairs.
    """
    source = next((s for s in sources if not isinstance(s.model, FaceGenerator)), sources[0])
    model, domain = source.model, DOMAINS.get(source.model.domain)
    given = (args.data, args.data_a, args.data_b)
    side = (source.record or {}).get("recipe", {}).get("side", "a")
    if is_paired(model) and model.pairs == "given":
        find, own = resolve_pairs, None
    elif is_paired(model) or isinstance(model, FaceGenerator):
        find = partial(resolve_pile, domain, side)
        own = find(None, None, None) if domain and model.labels[-1] in domain.labels else None
    else:
        find = partial(resolve, domain)
        own = find(None, None, None) if domain and domain.labels == model.labels else None
    if any(given):
        return find(*given)
    if source.record is None or (isinstance(model, PairedGenerator) and not is_paired(model)):
        if own is None:
            raise EvaluationError(f"{source.text} does not say what it was trained on: give --data")
        return own
    recorded = list(source.record["data"].values())
    if own and [pile.describe() for pile in own] == recorded:
        return own
    specs = [hub_spec(text) for text in recorded]
    if all(specs):
        found = find(None, *specs, *[None] * (2 - len(specs)))
        if [pile.describe() for pile in found] == recorded:
            return found
    raise EvaluationError(
        f"{source.text} was trained on {' and on '.join(recorded)}: give --data where that lies on this machine"
    )


def hub_spec(text: str) -> str | None:
    """A side's recorded description as `resolve` takes it; None unless it is a dataset of the Hub."""
    train, _, held_out = text.partition(", held out: ")
    if not re.match(r"hf:[^/?]+/", train):  # of a local folder only its last component is recorded
        return None
    test = re.match(r"hf:[^?]+\?(?:.*&)?split=([^&]+)", held_out)
    return f"{train}&test_split={test[1]}" if test else train


def read_data(sides: tuple[SideSource, ...], source: Source, seed: int, most: int) -> tuple[Side, ...]:
    """The sides, the pile or the pairs as the run read them, at the model's size."""
    recipe = source.record["recipe"] if source.record else {}
    return load_sides(
        *sides, image_size=source.model.image_size, channels=source.model.channels, seed=seed,
        max_images=recipe.get("max_images"), equal_sides=recipe.get("equal_sides", False), max_held_out=max(most, MOST),
        halves=getattr(source.model, "pairs", None) == "given", swapped=recipe.get("direction") == "b_to_a",
        fit=recipe.get("fit", "crop"), value_range=getattr(source.model, "value_range", None),
    )  # fmt: skip


def some(pile: Any, most: int, seed: int) -> Tensor:
    """At most so many images of a side, a seeded choice in file order: uint8 (n, C, S, S)."""
    chosen = torch.randperm(len(pile), generator=torch.Generator().manual_seed(seed))[:most].sort().values
    return pile[chosen] if isinstance(pile, Tensor) else torch.stack([pile[i] for i in chosen.tolist()])


def find_extractor(text: str | None, device: str) -> Extractor:
    """Raises FeatureError that says what to pass."""
    return features.default(device=device) if text is None else features.from_text(text, device=device)


def find_classifier(text: str | None, model: Model, device: str) -> domain_encoder.SideClassifier | None:
    """Raises FeatureError where the encoder does not know these sides. They are looked up by their labels: a model of one's
    own data carries the name of the domain whose recipe it was trained with."""
    kind, _, rest = (text or "encoder").partition(":")
    if kind == "none":
        return None
    if kind != "encoder":
        raise FeatureError(f"--classifier {text!r}: give encoder, encoder:FOLDER or none")
    folder = Path(rest).expanduser() if rest else None
    where = folder or domain_encoder.BUNDLED
    known = SideEncoder.from_pretrained(where).domains if where.is_dir() else {}
    domain = next((name for name, labels in known.items() if labels == model.labels), None)
    if known and domain is None:
        sides = "; ".join(f"{a} and {b}" for a, b in known.values())
        raise FeatureError(f"the encoder does not tell {model.labels[0]} from {model.labels[1]}, only {sides}: train one with "
                           "train/encoder.py and pass --classifier encoder:FOLDER, or pass --classifier none")  # fmt: skip
    return domain_encoder.side_classifier(domain or model.domain, folder, device=device)


def same_data(source: Source, sides: tuple[Side, ...]) -> str:
    """Whether these are the images that the run was trained on: else the held-out ones may be among those."""
    then = (source.record or {}).get("fingerprints")
    if not then:
        return "not recorded"
    own = sides[-len(then) :]  # of two sides, that of a method with one pile is the target
    differ = [f"side {side.upper()}" for side, read in zip("ab", own, strict=False) if then.get(side) != read.fingerprint]
    return f"{' and '.join(differ)}: {_OTHERS}" if differ else "the run's own"


def run(args: argparse.Namespace) -> None:
    """Evaluates every source and prints what came out."""
    started = time.perf_counter()
    for name in ("images", "training", "batch_size"):
        if getattr(args, name) < 1:
            raise EvaluationError(f"--{name.replace('_', '-')} {getattr(args, name)}: must be at least 1")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
    several = len(args.sources) > 1
    names = names_of(args.sources)
    places = [args.out / name if args.out and several else args.out for name in names]
    opened = [open_source(text, args.epochs, out, name) for text, name, out in zip(args.sources, names, places, strict=True)]
    check_alike(opened)
    first = next((source for source in opened if not isinstance(source.model, FaceGenerator)), opened[0])
    extractor = find_extractor(args.extractor, device)
    unjudged = ""
    try:
        classifier = None
        if args.classifier is not None or (len(first.model.labels) == 2 and not is_paired(first.model)):
            classifier = find_classifier(args.classifier, first.model, device)
    except FeatureError as error:
        if args.classifier is not None:
            raise
        classifier, unjudged = None, f"no success: {error}"
    seed = args.seed if args.seed is not None else (first.record or {}).get("seed", 0)
    piles = find_data(args, opened)
    sides = read_data(piles, first, seed, args.images)
    held_out, train = (tuple(some(pile, n, seed) for pile in of) for of, n in (
        ([side.held_out for side in sides], args.images), ([side.train for side in sides], args.training)))  # fmt: skip
    if is_paired(first.model):
        held_out, train = in_and_out(first.model, *held_out), in_and_out(first.model, *train)
    lines = {f"data_{letter}": pile.describe() for letter, pile in zip("ab", piles, strict=False)}
    results: dict[str, dict[str, Any]] = {}
    for source in opened:
        clock, own = [time.perf_counter()], same_data(source, sides)

        def say(name: str, source: Source = source, clock: list[float] = clock) -> None:
            clock.append(time.perf_counter())
            print(f"{source.name} {name}: {clock[-1] - clock[-2]:.1f} s", file=sys.stderr, flush=True)

        found = evaluation.evaluate(
            source.epochs, held_out, train, extractor, classifier, paired=is_paired(source.model), batch_size=args.batch_size,
            seed=seed, device=device, protocol=lines | {"training_data": own}, say=say,
        )  # fmt: skip
        found.metrics["notes"][:0] = [unjudged] * bool(unjudged) + [own] * (_OTHERS in own)
        folder = source.out or Path(source.text)
        written = [write(found, folder), report.write_report(found, source.model.labels, source.name, folder)]
        print(f"\n{tables.screen(found.metrics, source.model.labels)}\n\n{', '.join(map(str, written))}")
        results[source.name] = found.metrics
    if several:
        for arrow, rows in tables.compare(results, first.model.labels).items():
            print(f"\n{arrow}\n{tables.as_text(rows)}")
        if args.out:
            print(", ".join(map(str, report.write_comparison(results, first.model.labels, args.out))))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30
    print(f"{time.perf_counter() - started:.0f} s, peak memory {peak:.2f} GiB")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains."""
    args = parse(argv)
    try:
        run(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
