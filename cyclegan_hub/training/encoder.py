"""The command that trains the domain encoder: a small CNN that tells the sides of all the domains given apart, and from neither.

accelerate launch -m cyclegan_hub.training.encoder --data smile=FOLDER --data anime=FOLDER --out pretrained/encoder
cyclegan-hub encoder --data FOLDER --domain mine --labels "day,night" --out runs/encoder-mine

A set is laid out as for a training: trainA, trainB and, if it has them, testA, testB. One process; the same command and seed
give the same weights on the same machine. Minutes on a CPU; --mixed_precision bf16 halves them where the CPU has it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor

from cyclegan_hub.data.load import DomainImages, load_domains
from cyclegan_hub.data.reading import Reading, Selection
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError, DataSource
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import exit_code
from cyclegan_hub.evaluation.features import device_of, weights_digest
from cyclegan_hub.files import base_name, write_folder
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.recipes.methods import RecipeError
from cyclegan_hub.training.degradations import heavily_degraded, slightly_degraded
from cyclegan_hub.training.early_samples import outputs_of_young_models
from cyclegan_hub.training.encoder_card import Training, files
from cyclegan_hub.training.encoder_fit import IMAGE_SIZE, LEARNING_RATE, LOAD_SIZE, NEITHER, SIDE_BATCH, fit, young_models_for
from cyclegan_hub.training.launch import make_accelerator
from cyclegan_hub.training.linear_classifier import linear_accuracy

PER_SPREAD = 500  # images of a side that the spread of the features is taken from


@dataclass(frozen=True)
class Domain:
    """One domain to train on."""

    name: str
    labels: tuple[str, str]
    sources: tuple[DataSource, DataSource]


def parse(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    parser = argparse.ArgumentParser(prog=prog, description="Train an encoder that tells the sides of domains apart.")
    add = parser.add_argument
    add("--data", metavar="NAME=FOLDER_OR_ID", action="append", required=True,
        help="a domain's images: a folder or Hub dataset with trainA, trainB and, if it has them, testA, testB; may be repeated. "
        f"NAME alone: the Hub datasets of one of {', '.join(DOMAINS)}")  # fmt: skip
    add("--domain", metavar="NAME", help="the name of the domain where --data is only a folder")
    add("--labels", metavar="[NAME=]A,B", action="append", default=[], help="what the sides of a domain of your own show")
    add("--out", type=Path, metavar="DIR", required=True, help="folder to write: weights, config, held-out accuracy, card")
    add("--steps", type=int, default=1500, help=f"updates, each of {SIDE_BATCH} images of every side (default: 1500)")
    add("--seed", type=int, default=0)
    add("--init", type=Path, metavar="DIR", help="go on from this encoder of the same domains, at a quarter of the rate")
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
        a, b = labels.get(name) or known.labels  # type: ignore[union-attr]  # known, or it has labels
        found.append(Domain(name, (a, b), resolve(known, data, None, None)))
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


def through(encoder: SideEncoder, images: Tensor, domain: str | None, batch: int = 256) -> Tensor:
    """Over uint8 images (N, C, H, W): the (N, 3) logits of a domain's answers, or with None the (N, D) features."""
    with torch.inference_mode():
        parts = [encoder.prepare(images[i : i + batch].to(device_of(encoder))) for i in range(0, len(images), batch)]
        return torch.cat([encoder.features(x) if domain is None else encoder.answer_logits(x, domain) for x in parts]).cpu()


def accuracy(
    encoder: SideEncoder, domain: str, held_out: tuple[Tensor, Tensor], accelerator: Accelerator, models: int
) -> dict[str, float]:
    """Shares in [0, 1] of the held-out images of a domain, uint8 (N, 3, S, S) of A and of B, and the counts.

    "a" and "b": taken for their own side, out of three answers; "slight": the same when they are slightly degraded; "neither":
    taken for neither side when they are heavily degraded; "young": of what `models` young models make of them, others than those
    that the encoder was trained with, the share that is taken for neither. Random numbers from torch's global generator.
    """
    right = [int((through(encoder, x, domain).argmax(1) == side).sum()) for side, x in enumerate(held_out)]
    slight = [_degraded(encoder, domain, x, slightly_degraded, side) for side, x in enumerate(held_out)]
    heavy = [_degraded(encoder, domain, x, heavily_degraded, NEITHER) for x in held_out]
    young = outputs_of_young_models(held_out, models, encoder.image_size, accelerator)
    refused = int((through(encoder, young, domain).argmax(1) == NEITHER).sum())
    n_a, n_b = (len(x) for x in held_out)
    n = n_a + n_b
    return {"a": right[0] / n_a, "b": right[1] / n_b, "n": n, "n_a": n_a, "n_b": n_b, "slight": sum(slight) / n,
            "neither": sum(heavy) / n, "young": refused / len(young), "n_young": len(young)}  # fmt: skip


def _degraded(encoder: SideEncoder, domain: str, x: Tensor, degrade: Callable[[Tensor], Tensor], answer: int) -> int:
    """How many of uint8 images get that answer once they are degraded, at the size that the encoder sees."""
    with torch.inference_mode():
        return int((encoder.answer_logits(degrade(encoder.prepare(x.to(device_of(encoder)))), domain).argmax(1) == answer).sum())


def command_of(args: argparse.Namespace, accelerator: Accelerator) -> str:
    """The command for the card; of a path only the last component is shown."""
    words = ["accelerate launch"]
    words += [f"--mixed_precision {accelerator.mixed_precision}"] if accelerator.mixed_precision != "no" else []
    words += ["train/encoder.py"]
    for text in args.data:
        name, data = _named(text, args.domain)
        words.append(f"--data {name}" if data is None else f"--data {name}={base_name(data)}")
    words += [f"--labels '{text}'" for text in args.labels]
    words += [f"--init {base_name(args.init)}"] if args.init else []
    return " ".join([*words, f"--steps {args.steps}", f"--seed {args.seed}", f"--out {base_name(args.out)}"])


def run(args: argparse.Namespace) -> int:
    """Reads, trains, measures, writes. Raises RecipeError or DataError for what one line explains."""
    domains = sorted(domains_of(args), key=lambda domain: domain.name)
    accelerator = make_accelerator()
    if accelerator.num_processes > 1:
        raise RecipeError(f"{accelerator.num_processes} processes: the encoder is small enough for one (--num_processes 1)")
    sides: dict[str, tuple[DomainImages, DomainImages]] = {}
    for domain in domains:
        a, b = load_domains(domain.sources, Reading(IMAGE_SIZE, LOAD_SIZE).for_domains(2), Selection(args.seed))
        sides[domain.name] = (a, b)
        for note in (note for side in sides[domain.name] for note in side.notes):
            accelerator.print(f"{domain.name}: {note}")
    piles = [side.train for pair in sides.values() for side in pair if isinstance(side.train, Tensor)]
    if len(piles) < 2 * len(domains):
        raise DataError(f"a set does not fit into memory at {LOAD_SIZE} px: give a part of it")
    set_seed(args.seed)
    encoder = SideEncoder({domain.name: domain.labels for domain in domains}, image_size=IMAGE_SIZE)
    rate = LEARNING_RATE
    if args.init is not None:
        earlier = SideEncoder.from_pretrained(args.init)
        if earlier.config != encoder.config:
            raise RecipeError(
                f"--init {args.init}: an encoder of {', '.join(earlier.domains)}, not of {', '.join(encoder.domains)}"
            )
        encoder, rate = earlier, LEARNING_RATE / 4
        encoder.get_buffer("spread").fill_(1.0)  # it is fitted anew at the end
    encoder.to(accelerator.device)
    started = time.perf_counter()
    fit(encoder, piles, args.steps, args.seed, accelerator, rate)
    seconds = time.perf_counter() - started

    encoder.eval().half().float()  # as it is stored, so that what is measured is what is loaded
    few = torch.cat([pile[torch.linspace(0, len(pile) - 1, min(PER_SPREAD, len(pile))).long()] for pile in piles])
    encoder.fit_spread(through(encoder, few, None))
    encoder.half().float()
    models = young_models_for(args.steps, 2)
    scores = {name: accuracy(encoder, name, (a.held_out, b.held_out), accelerator, models) for name, (a, b) in sides.items()}
    for (name, (a, b)), train in zip(sides.items(), zip(piles[::2], piles[1::2], strict=True), strict=True):
        linear = linear_accuracy(train, (a.held_out, b.held_out), encoder.cpu().prepare)
        scores[name] |= dict(zip(("linear_a", "linear_b"), linear, strict=True))
    for domain in domains:
        s = scores[domain.name]
        first, second = domain.labels
        print(
            f"{domain.name}: held out, {s['a']:.1%} of {s['n_a']} {first}, {s['b']:.1%} of {s['n_b']} {second}; slightly "
            f"degraded {s['slight']:.1%}; heavily degraded: {s['neither']:.1%} neither; of young models: {s['young']:.1%} neither"
            f"; a linear classifier has {s['linear_a']:.1%} and {s['linear_b']:.1%}"
        )
    training = Training(
        command_of(args, accelerator), args.licence, args.about,
        sources={d.name: (d.sources[0].describe(), d.sources[1].describe()) for d in domains},
        counts={name: (len(a.train), len(b.train)) for name, (a, b) in sides.items()},
        accuracy=scores, steps=args.steps, seed=args.seed, precision=accelerator.mixed_precision, seconds=seconds,
    )  # fmt: skip
    write_folder(args.out, files(encoder, training))
    print(f"{args.out}: weights sha256 {weights_digest(encoder.state_dict())[:12]}, {seconds:.0f} s of training")
    return 0


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains, 130 interrupted (nothing is written before the end)."""
    try:
        args = parse(argv, prog)
        return exit_code(lambda: run(args))
    except SystemExit as stop:  # argparse
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
