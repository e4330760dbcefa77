"""Trains the domain encoder: a small CNN that classifies images as domain A, domain B or neither.

accelerate launch train/encoder/train_encoder.py --data smile=FOLDER --data anime=FOLDER --out pretrained/encoder
python train/encoder/train_encoder.py --data FOLDER --domain mine --labels "day,night" --out runs/encoder-mine

Data is laid out as for a training: trainA, trainB and, if there are, testA, testB. One process; the same command and seed give
the same weights on the same machine. Minutes on a CPU; --mixed_precision bf16 halves them where the CPU supports it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported, as in train.py
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from classifiers import linear_accuracy
from degradations import heavily_degraded, slightly_degraded
from early_samples import early_training_samples
from encoder_fit import IMAGE_SIZE, LEARNING_RATE, LOAD_SIZE, NEITHER, SIDE_BATCH, early_model_count, fit, run_in_batches
from huggingface_hub import ModelCard, ModelCardData
from torch import Tensor

from cyclegan_hub import __version__
from cyclegan_hub.command_line import run_command
from cyclegan_hub.data.load import DomainImages, load_domains
from cyclegan_hub.data.reading import Reading, Selection
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError, DataSource
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.evaluation.features import device_of, weights_digest
from cyclegan_hub.files import base_name, write_folder
from cyclegan_hub.machine import processor
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.recipes.methods import RecipeError
from cyclegan_hub.templates import render_markdown
from cyclegan_hub.training.launch import make_accelerator

INTERRUPTED = "interrupted: nothing was written"  # before the end
SPREAD_IMAGES = 500  # images of a side from which the spread of the features is computed


@dataclass(frozen=True)
class DomainData:
    """One domain to train on."""

    name: str
    labels: tuple[str, str]
    sources: tuple[DataSource, DataSource]


@dataclass(frozen=True)
class Training:
    """Facts of a training for the card. `counts` and `accuracy` by domain; `sources` describes each side, without directories."""

    command: str
    licence: str
    about: Sequence[str]
    sources: dict[str, tuple[str, str]]
    counts: dict[str, tuple[int, int]]  # training images of A and of B
    accuracy: dict[str, dict[str, float]]
    steps: int
    seed: int
    precision: str
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Train an encoder that classifies images as domain A, domain B or neither."
    add = parser.add_argument
    add("--data", metavar="NAME=FOLDER_OR_ID", action="append", required=True,
        help="images of a domain: a folder or Hub dataset with trainA, trainB and, if there are, testA, testB; may be repeated. "
        f"NAME alone: the Hub datasets of one of {', '.join(DOMAINS)}")  # fmt: skip
    add("--domain", metavar="NAME", help="name of the domain where --data is only a folder")
    add("--labels", metavar="[NAME=]A,B", action="append", default=[], help="what A and B show, for a domain of your own")
    add("--out", type=Path, metavar="DIR", required=True, help="folder to write: weights, config, held-out accuracy, card")
    add("--steps", type=int, default=1500, help=f"updates, each with {SIDE_BATCH} images of every side (default: 1500)")
    add("--seed", type=int, default=0)
    add("--init", type=Path, metavar="DIR", help="start from this encoder of the same domains, at a quarter of the learning rate")
    add("--licence", default="research", help="what the images allow the weights to be used for (default: research)")
    add("--about", metavar="TEXT", action="append", default=[], help="a line of the card on where images come from; repeatable")


def find_domains(args: argparse.Namespace) -> list[DomainData]:
    """Raises DataError for data that does not exist, a domain named twice, or one without labels."""
    labels: dict[str, tuple[str, str]] = {}
    named = dict(_split_name(text, args.domain) for text in args.data)
    if len(named) != len(args.data):
        raise DataError(f"--data {', '.join(args.data)}: a domain is named twice")
    for text in args.labels:
        name, equals, pair = text.rpartition("=")
        parts = tuple(part.strip() for part in pair.split(","))
        name = name if equals or len(named) > 1 else next(iter(named))
        if name not in named or len(parts) != 2 or not all(parts) or parts[0] == parts[1]:
            raise DataError(f"--labels {text!r}: give two different names, e.g. 'day,night'; of several domains NAME=day,night")
        labels[name] = (parts[0], parts[1])
    found = []
    for name, data in named.items():
        known = DOMAINS.get(name)
        if name not in labels and known is None:
            raise DataError(f"domain {name!r} has no labels: give --labels '{name}=day,night'")
        a, b = labels.get(name) or known.labels  # type: ignore[union-attr]  # known, or it has labels
        found.append(DomainData(name, (a, b), resolve(known, data, None, None)))
    return found


def _split_name(text: str, domain: str | None) -> tuple[str, str | None]:
    """(name of the domain, its data or None for the Hub datasets of a known one)."""
    name, equals, data = text.partition("=")
    if domain is not None and not equals:
        return domain, text
    if name in DOMAINS and not equals:
        return name, None
    if not equals or not name or not data:
        raise DataError(f"--data {text!r}: give NAME=FOLDER, or the folder alone with --domain NAME")
    return name, data


def accuracy(
    encoder: SideEncoder, domain: str, held_out: tuple[Tensor, Tensor], accelerator: Accelerator, models: int
) -> dict[str, float]:
    """Shares in [0, 1] of a domain's held-out images, uint8 (N, 3, S, S) of A and of B, and their counts.

    "a" and "b": classified as their own side, out of three classes; "slight": the same after a slight degradation; "neither":
    classified as neither after a heavy one; "young": share of early-training samples classified as neither, from `models` new
    CycleGANs. Random numbers come from torch's global generator.
    """
    right = [int((run_in_batches(encoder, x, domain).argmax(1) == side).sum()) for side, x in enumerate(held_out)]
    slight = [_degraded(encoder, domain, x, slightly_degraded, side) for side, x in enumerate(held_out)]
    heavy = [_degraded(encoder, domain, x, heavily_degraded, NEITHER) for x in held_out]
    early = early_training_samples(held_out, models, encoder.image_size, accelerator)
    refused = int((run_in_batches(encoder, early, domain).argmax(1) == NEITHER).sum())
    n_a, n_b = (len(x) for x in held_out)
    n = n_a + n_b
    return {"a": right[0] / n_a, "b": right[1] / n_b, "n": n, "n_a": n_a, "n_b": n_b, "slight": sum(slight) / n,
            "neither": sum(heavy) / n, "young": refused / len(early), "n_young": len(early)}  # fmt: skip


def _degraded(encoder: SideEncoder, domain: str, x: Tensor, degrade: Callable[[Tensor], Tensor], wanted: int) -> int:
    """Number of uint8 images that are classified as `wanted` after a degradation at the encoder's input size."""
    with torch.inference_mode():
        logits = encoder.answer_logits(degrade(encoder.prepare(x.to(device_of(encoder)))), domain)
    return int((logits.argmax(1) == wanted).sum())


def command_of(args: argparse.Namespace, accelerator: Accelerator) -> str:
    """The command for the card; of a path only the last component is shown."""
    words = ["accelerate launch"]
    words += [f"--mixed_precision {accelerator.mixed_precision}"] if accelerator.mixed_precision != "no" else []
    words += ["train/encoder/train_encoder.py"]
    for text in args.data:
        name, data = _split_name(text, args.domain)
        words.append(f"--data {name}" if data is None else f"--data {name}={base_name(data)}")
    words += [f"--labels '{text}'" for text in args.labels]
    words += [f"--init {base_name(args.init)}"] if args.init else []
    return " ".join([*words, f"--steps {args.steps}", f"--seed {args.seed}", f"--out {base_name(args.out)}"])


def run(args: argparse.Namespace) -> int:
    """Reads, trains, measures, writes. Raises RecipeError or DataError for what one line explains."""
    if args.steps < 1:
        raise RecipeError(f"--steps {args.steps}: must be at least 1")
    domains = sorted(find_domains(args), key=lambda domain: domain.name)
    accelerator = make_accelerator()
    if accelerator.num_processes > 1:
        raise RecipeError(f"{accelerator.num_processes} processes: the encoder is small enough for one (--num_processes 1)")
    sides: dict[str, tuple[DomainImages, DomainImages]] = {}
    for domain in domains:
        a, b = load_domains(domain.sources, Reading(IMAGE_SIZE, LOAD_SIZE).for_domains(2), Selection(args.seed))
        sides[domain.name] = (a, b)
        for note in (*a.notes, *b.notes):
            accelerator.print(f"{domain.name}: {note}")
    datasets = [side.train for pair in sides.values() for side in pair if isinstance(side.train, Tensor)]
    if len(datasets) < 2 * len(domains):
        raise DataError(f"a dataset does not fit into memory at {LOAD_SIZE} px: give a part of it")
    set_seed(args.seed)
    encoder = SideEncoder({domain.name: domain.labels for domain in domains}, image_size=IMAGE_SIZE)
    rate = LEARNING_RATE
    if args.init is not None:
        encoder, rate = _earlier(args.init, encoder), LEARNING_RATE / 4
    encoder.to(accelerator.device)
    started = time.perf_counter()
    fit(encoder, datasets, args.steps, args.seed, accelerator, rate)
    seconds = time.perf_counter() - started

    encoder.eval().half().float()  # as it is stored, so that what is measured is what is loaded
    few = torch.cat([x[torch.linspace(0, len(x) - 1, min(SPREAD_IMAGES, len(x))).long()] for x in datasets])
    encoder.fit_spread(run_in_batches(encoder, few, None))
    encoder.half().float()
    models = early_model_count(args.steps, 2)
    scores = {name: accuracy(encoder, name, (a.held_out, b.held_out), accelerator, models) for name, (a, b) in sides.items()}
    for (name, (a, b)), train in zip(sides.items(), zip(datasets[::2], datasets[1::2], strict=True), strict=True):
        linear = linear_accuracy(train, (a.held_out, b.held_out), encoder.cpu().prepare)
        scores[name] |= dict(zip(("linear_a", "linear_b"), linear, strict=True))
        print(_accuracy_line(name, encoder.domains[name], scores[name]))
    training = Training(
        command_of(args, accelerator), args.licence, args.about,
        sources={d.name: (d.sources[0].describe(), d.sources[1].describe()) for d in domains},
        counts={name: (len(a.train), len(b.train)) for name, (a, b) in sides.items()},
        accuracy=scores, steps=args.steps, seed=args.seed, precision=accelerator.mixed_precision, seconds=seconds,
    )  # fmt: skip
    write_folder(args.out, files(encoder, training))
    print(f"{args.out}: weights sha256 {weights_digest(encoder.state_dict())[:12]}, {seconds:.0f} s of training")
    return 0


def _earlier(folder: Path, encoder: SideEncoder) -> SideEncoder:
    """The encoder in `folder`. Raises RecipeError unless it has the config of `encoder`."""
    earlier = SideEncoder.from_pretrained(folder)
    if earlier.config != encoder.config:
        raise RecipeError(f"--init {folder}: an encoder of {', '.join(earlier.domains)}, not of {', '.join(encoder.domains)}")
    earlier.get_buffer("spread").fill_(1.0)  # it is computed again at the end
    return earlier


def _accuracy_line(name: str, labels: tuple[str, str], s: dict[str, float]) -> str:
    return (
        f"{name}: held out, {s['a']:.1%} of {s['n_a']} {labels[0]}, {s['b']:.1%} of {s['n_b']} {labels[1]}; slightly degraded "
        f"{s['slight']:.1%}; heavily degraded: {s['neither']:.1%} neither; early-training samples: {s['young']:.1%} neither; "
        f"linear classifier: {s['linear_a']:.1%} and {s['linear_b']:.1%}"
    )


def files(encoder: SideEncoder, training: Training) -> dict[str, bytes]:
    """The files of an encoder's folder. metrics.json holds the digest of the weights that it was measured with."""
    metrics = {
        "sha256": weights_digest(encoder.state_dict()),
        "accuracy": training.accuracy,
        "training": {"steps": training.steps, "seed": training.seed, "images": training.counts, "data": training.sources},
    }
    text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    return encoder.files(dtype=torch.float16) | {"metrics.json": text.encode(), "README.md": card(encoder, training).encode()}


def card(encoder: SideEncoder, training: Training) -> str:
    """The model card: metadata for the Hub, then Markdown."""
    rows: list[tuple[str, ...]] = []
    for name, labels in encoder.domains.items():
        scores, counts = training.accuracy[name], training.counts[name]
        for side, label, count in zip("ab", labels, counts, strict=True):
            right = f"{scores[side]:.1%} of {scores[f'n_{side}']:g}"
            both = tuple(f"{scores[key]:.1%}" if side == "b" else "" for key in ("slight", "neither", "young"))
            rows.append((name, f"{side.upper()}: {label}", f"{count:,}", right, f"{scores[f'linear_{side}']:.1%}", *both))
    sources = [
        (f"{name}, {side}", source) for name, two in training.sources.items() for side, source in zip("AB", two, strict=True)
    ]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    precision = "float32" if training.precision == "no" else training.precision
    info = type(encoder)._hub_mixin_info.model_card_data
    metadata = ModelCardData(
        library_name=info.library_name, tags=list(info.tags or []), license="other", license_name=training.licence
    )
    text = render_markdown(
        "encoder_card.md",
        weights=f"{sum(p.numel() for p in encoder.parameters()):,}",
        digest=weights_digest(encoder.state_dict())[:12],
        rows=rows, sources=sources, training=training, steps=f"{training.steps:,}", seconds=f"{training.seconds:.0f}",
        machine=f"{device}, {torch.get_num_threads()} thread(s), {precision}, torch {torch.__version__}",
        version=__version__, date=f"{datetime.now(UTC):%Y-%m-%d}",
    )  # fmt: skip
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{text}"))


main = partial(run_command, __name__)

if __name__ == "__main__":
    sys.exit(main())
