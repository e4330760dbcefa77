"""Trains the domain encoder: a small CNN that tells the sides of all the domains given apart (models/encoder.py).

accelerate launch train/encoder.py --data smile=FOLDER --data anime=FOLDER --out pretrained/encoder
accelerate launch train/encoder.py --data FOLDER --domain mine --labels "day,night" --out runs/encoder-mine

A set is laid out as for train.py: trainA, trainB and, if it has them, testA, testB. One process; the same command and seed
give the same weights on the same machine. Minutes on a CPU; --mixed_precision bf16 halves them where the CPU has it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in train.py
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor

from cyclegan_hub.data.load_sides import Side, load_sides
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError, SideSource
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation.extractor import weights_digest
from cyclegan_hub.files import write_folder
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.publishing.encoder_card import Training, files
from cyclegan_hub.recipes.fields import RecipeError
from cyclegan_hub.training.augment import BatchAugment
from cyclegan_hub.training.devices import make_accelerator

IMAGE_SIZE, LOAD_SIZE = 64, 72  # px; squares of the one are cropped at random out of the other
SIDE_BATCH = 16  # images of each side in a step: no side is seen more often than another, however large the piles are
LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 2e-3, 0.05, 0.1
SMOOTHING = 0.1  # of the labels: probabilities that mean something, and faces that are in the sets of several domains
PER_SPREAD = 500  # images of a side that the spread of the features is taken from


@dataclass(frozen=True)
class Domain:
    """One domain to train on."""

    name: str
    labels: tuple[str, str]
    sources: tuple[SideSource, SideSource]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    parser = argparse.ArgumentParser(description="Train an encoder that tells the sides of domains apart.")
    add = parser.add_argument
    add("--data", metavar="NAME=FOLDER_OR_ID", action="append", required=True,
        help="a domain's images: a folder or Hub dataset with trainA, trainB and, if it has them, testA, testB; may be repeated. "
        f"NAME alone: the Hub datasets of one of {', '.join(DOMAINS)}")  # fmt: skip
    add("--domain", metavar="NAME", help="the name of the domain where --data is only a folder")
    add("--labels", metavar="[NAME=]A,B", action="append", default=[], help="what the sides of a domain of your own show")
    add("--out", type=Path, metavar="DIR", required=True, help="folder to write: weights, config, held-out accuracy, card")
    add("--steps", type=int, default=1500, help=f"updates, each of {SIDE_BATCH} images of every side (default: 1500)")
    add("--seed", type=int, default=0)
    add("--licence", default="research", help="what the images allow the weights to be used for (default: research)")
    add("--about", metavar="TEXT", action="append", default=[], help="a line of the card on where images come from; repeatable")
    args = parser.parse_args(argv)
    if args.steps < 1:
        parser.error(f"--steps {args.steps}: must be at least 1")
    return args


def domains_of(args: argparse.Namespace) -> list[Domain]:
    """Raises DataError for a set that is not there, a domain named twice, or one without labels."""
    labels: dict[str, tuple[str, str]] = {}
    named = dict(_named(text, args.domain) for text in args.data)
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
        found.append(Domain(name, labels.get(name) or known.labels, resolve(known, data, None, None)))
    return found


def _named(text: str, domain: str | None) -> tuple[str, str | None]:
    """(name of the domain, its data or None for the Hub datasets of a known one)."""
    name, equals, data = text.partition("=")
    if domain is not None and not equals:
        return domain, text
    if name in DOMAINS and not equals:
        return name, None
    if not equals or not name or not data:
        raise DataError(f"--data {text!r}: give NAME=FOLDER, or the folder alone with --domain NAME")
    return name, data


def jitter(x: Tensor) -> Tensor:
    """Brightness, saturation and contrast of (N, 3, H, W) in [-1, 1], within 20, 30 and 20 %, a draw for each image."""

    def factor(share: float) -> Tensor:
        return 1 + share * (2 * torch.rand(len(x), 1, 1, 1) - 1).to(x)

    x = (x + 1) * factor(0.2) - 1
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * factor(0.3) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return ((x - mean) * factor(0.2) + mean).clamp(-1, 1)


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy over all sides, plus over the two sides of each image's own domain.

    logits (N, S), targets (N,) with the two sides of a domain at 2 d and 2 d + 1. The second term alone makes the sides of
    a domain comparable where two domains show nearly the same thing (three of ours have human faces on side A).
    """
    own = logits.unflatten(1, (-1, 2))[torch.arange(len(logits), device=logits.device), targets // 2]
    overall = F.cross_entropy(logits, targets, label_smoothing=SMOOTHING)
    return overall + F.cross_entropy(own, targets % 2, label_smoothing=SMOOTHING)


def fit(encoder: SideEncoder, piles: Sequence[Tensor], steps: int, seed: int, accelerator: Accelerator) -> None:
    """Trains `encoder` on the piles of its sides, uint8 (N, 3, L, L) each, in the order of its `sides`."""
    set_seed(seed)
    decayed = [p for p in encoder.parameters() if p.ndim > 1]  # neither biases nor the scales of the norms
    others = [p for p in encoder.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    model, optimizer = accelerator.prepare(
        encoder.to(memory_format=torch.channels_last), torch.optim.AdamW(groups, LEARNING_RATE)
    )
    warm = max(1, round(WARM_UP * steps))

    def rate(step: int) -> float:
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    augment = BatchAugment(image_size=IMAGE_SIZE, load_size=LOAD_SIZE, flip=True)
    targets = torch.arange(len(piles), device=accelerator.device).repeat_interleave(SIDE_BATCH)
    started = time.perf_counter()
    model.train()
    for step in range(1, steps + 1):
        chosen = torch.cat([pile[torch.randint(len(pile), (SIDE_BATCH,))] for pile in piles]).to(accelerator.device)
        halves = dict(zip("ab", chosen.chunk(2), strict=True))
        x = jitter(torch.cat(list(augment(halves).values()))).contiguous(memory_format=torch.channels_last)
        loss = loss_of(model(x).float(), targets)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            speed = step * len(targets) / (time.perf_counter() - started)
            accelerator.print(f"step {step}/{steps}: loss {loss.item():.3f}, {speed:.0f} images/s", flush=True)


def through(encoder: SideEncoder, images: Tensor, domain: str | None, batch: int = 256) -> Tensor:
    """Over uint8 images: the (N, 2) logits of a domain's sides, or with None the (N, D) features."""
    with torch.inference_mode():
        parts = [encoder.prepare(part.to(encoder.spread.device)) for part in images.split(batch)]
        return torch.cat([encoder.features(x) if domain is None else encoder.side_logits(x, domain) for x in parts]).cpu()


def accuracy(encoder: SideEncoder, domain: str, held_out: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Shares of the held-out images of A and of B that are taken for their own side rather than the other, and the counts."""
    right = [int((through(encoder, x, domain).argmax(1) == side).sum()) for side, x in enumerate(held_out)]
    n_a, n_b = (len(x) for x in held_out)
    return {"a": right[0] / n_a, "b": right[1] / n_b, "n": n_a + n_b, "n_a": n_a, "n_b": n_b}


def command_of(args: argparse.Namespace, accelerator: Accelerator) -> str:
    """The command for the card; of a path only the last component is shown."""
    words = ["accelerate launch"]
    words += [f"--mixed_precision {accelerator.mixed_precision}"] if accelerator.mixed_precision != "no" else []
    words += ["train/encoder.py"]
    for text in args.data:
        name, data = _named(text, args.domain)
        words.append(f"--data {name}" if data is None else f"--data {name}={Path(data).name}")
    words += [f"--labels '{text}'" for text in args.labels]
    return " ".join([*words, f"--steps {args.steps}", f"--seed {args.seed}", f"--out {args.out.name}"])


def run(args: argparse.Namespace) -> None:
    """Reads, trains, measures, writes. Raises RecipeError or DataError for what one line explains."""
    domains = sorted(domains_of(args), key=lambda domain: domain.name)
    accelerator = make_accelerator()
    if accelerator.num_processes > 1:
        raise RecipeError(f"{accelerator.num_processes} processes: the encoder is small enough for one (--num_processes 1)")
    sides: dict[str, tuple[Side, Side]] = {}
    for domain in domains:
        options = dict(image_size=IMAGE_SIZE, load_size=LOAD_SIZE, seed=args.seed)
        sides[domain.name] = load_sides(*domain.sources, **options)
        for note in (note for side in sides[domain.name] for note in side.notes):
            accelerator.print(f"{domain.name}: {note}")
    piles = [side.train for pair in sides.values() for side in pair]
    if not all(isinstance(pile, Tensor) for pile in piles):
        raise DataError(f"a set does not fit into memory at {LOAD_SIZE} px: give a part of it")
    set_seed(args.seed)
    encoder = SideEncoder({domain.name: domain.labels for domain in domains}, image_size=IMAGE_SIZE).to(accelerator.device)
    started = time.perf_counter()
    fit(encoder, piles, args.steps, args.seed, accelerator)
    seconds = time.perf_counter() - started

    encoder.eval().half().float()  # as it is stored, so that what is measured is what is loaded
    few = torch.cat([pile[torch.linspace(0, len(pile) - 1, min(PER_SPREAD, len(pile))).long()] for pile in piles])
    encoder.fit_spread(through(encoder, few, None))
    encoder.half().float()
    scores = {name: accuracy(encoder, name, (a.held_out, b.held_out)) for name, (a, b) in sides.items()}
    for domain in domains:
        s = scores[domain.name]
        first, second = domain.labels
        print(f"{domain.name}: held out, {s['a']:.1%} of {s['n_a']} {first}, {s['b']:.1%} of {s['n_b']} {second}")
    training = Training(
        command_of(args, accelerator), args.licence, args.about,
        sources={d.name: (d.sources[0].describe(), d.sources[1].describe()) for d in domains},
        counts={name: (len(a.train), len(b.train)) for name, (a, b) in sides.items()},
        accuracy=scores, steps=args.steps, seed=args.seed, precision=accelerator.mixed_precision, seconds=seconds,
    )  # fmt: skip
    write_folder(args.out, files(encoder, training))
    print(f"{args.out}: weights sha256 {weights_digest(encoder.state_dict())[:12]}, {seconds:.0f} s of training")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains, 130 interrupted (nothing is written before the end)."""
    try:
        run(parse(argv))
    except SystemExit as stop:  # argparse
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
