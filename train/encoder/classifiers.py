"""Compares four classifiers of domain A against domain B on the same pixels, by their accuracy on held-out images.

python train/encoder/classifiers.py smile --data my/smile

They are logistic regression on principal components, the domain encoder, and transfer learning with the ImageNet network of
evaluation (EfficientNet-lite1), once frozen and once with its last blocks fine-tuned.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from encoder_fit import IMAGE_SIZE, LOAD_SIZE, run_in_batches
from torch import Tensor, nn

from cyclegan_hub.command_line import run_command
from cyclegan_hub.data.load import load_domains
from cyclegan_hub.data.reading import Reading, Selection
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.files import BUNDLED_ENCODER
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite
from cyclegan_hub.models.encoder import SideEncoder

COMPONENTS = 64  # principal components of the pixels, each scaled to unit deviation over the training images
PENALTY = 1e-2  # of the squared weights of the regression
BLOCKS = 4  # of 21 that are fine-tuned
EPOCHS, BATCH = 5, 32
HEAD_RATE, BLOCK_RATE = 1e-3, 1e-4  # a new layer learns faster than fine-tuned blocks
Sides = tuple[Tensor, Tensor]  # of A and of B
Accuracy = tuple[float, float]  # of the images of A and of B, shares in [0, 1]


def linear_accuracy(train: Sides, held_out: Sides, prepare: Callable[[Tensor], Tensor]) -> Accuracy:
    """Accuracy of a logistic regression on the principal components of both training sets together.

    `prepare` turns uint8 (N, 3, H, W) into (N, 3, S, S), S the same for all. Both sides count equally, however many images they
    have. Random numbers come from torch's global generator.
    """
    pixels = [torch.cat([prepare(part).flatten(1) for part in side.split(256)]) for side in (*train, *held_out)]
    x = torch.cat(pixels[:2])
    mean = x.mean(0)
    _, _, axes = torch.pca_lowrank(x - mean, q=min(COMPONENTS, len(x), x.shape[1]), center=False, niter=4)
    scale = ((x - mean) @ axes).std(0).clamp(min=1e-6)
    a, b, *others = [(side - mean) @ axes / scale for side in pixels]
    weights = torch.zeros(axes.shape[1] + 1, requires_grad=True)  # the last one is the bias
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def logits(x: Tensor) -> Tensor:
        return x @ weights[:-1] + weights[-1]  # of B

    def loss() -> Tensor:
        optimizer.zero_grad()
        sides = F.softplus(logits(a)).mean() + F.softplus(-logits(b)).mean()
        value: Tensor = sides / 2 + PENALTY * weights[:-1].square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        is_b_of_a, is_b_of_b = (logits(side) > 0 for side in others)
    return int((~is_b_of_a).sum()) / len(is_b_of_a), int(is_b_of_b.sum()) / len(is_b_of_b)


@torch.no_grad()
def frozen_maps(network: EfficientNetLite, images: Tensor, prepare: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Feature maps (N, C, 7, 7) before the last BLOCKS blocks and means (N, 320) after them, of uint8 images (N, 3, H, W).

    `prepare` turns these into (N, 3, S, S) in [-1, 1]; the network sees them at 224 px, near its training size.
    """
    maps, means = [], []
    for part in images.split(8):
        x = F.interpolate(prepare(part), size=(224, 224), mode="bilinear", align_corners=False, antialias=True)
        before, after = network(x, (len(network.blocks) - BLOCKS - 1, len(network.blocks) - 1))
        maps.append(before)
        means.append(after.mean((2, 3)))
    return torch.cat(maps), torch.cat(means)


def fine_tuned_accuracy(network: EfficientNetLite, train: Sides, held_out: Sides) -> Accuracy:
    """Accuracy of the network's last BLOCKS blocks with a new linear layer, trained on maps from `frozen_maps`.

    `network` is not changed. Random numbers come from torch's global generator. Nothing was tuned on the held-out images.
    """
    blocks = nn.Sequential(*copy.deepcopy(list(network.blocks[-BLOCKS:]))).requires_grad_(True)
    head = nn.Linear(network.widths[-1], 2)
    groups = [{"params": head.parameters(), "lr": HEAD_RATE}, {"params": blocks.parameters(), "lr": BLOCK_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-2)
    x = torch.cat(train)
    y = torch.cat([torch.full((len(maps),), side) for side, maps in enumerate(train)])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * -(-len(x) // BATCH))

    def logits(maps: Tensor) -> Tensor:
        out: Tensor = head(blocks(maps).mean((2, 3)))
        return out

    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(logits(x[chosen]), y[chosen], label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        of_a, of_b = (torch.cat([logits(part).argmax(1) for part in maps.split(64)]) for maps in held_out)
    return float((of_a == 0).float().mean()), float((of_b == 1).float().mean())


def compare(train: Sides, held_out: Sides, encoder: SideEncoder, domain: str) -> dict[str, Accuracy]:
    """Accuracy by name of the classifier; all see the same images, uint8 (N, 3, S, S), as the encoder prepares them."""
    classes = [run_in_batches(encoder, images, domain).argmax(1) for images in held_out]
    of_a, of_b = (float((own == side).float().mean()) for side, own in enumerate(classes))
    network = EfficientNetLite("lite1")
    tuned = f"ImageNet network, last {BLOCKS} of {len(network.blocks)} blocks fine-tuned"
    maps, means = zip(*(frozen_maps(network, images, encoder.prepare) for images in (*train, *held_out)), strict=True)
    return {
        "logistic regression on 64 principal components of the pixels": linear_accuracy(train, held_out, encoder.prepare),
        "domain encoder, of three classes": (of_a, of_b),
        "ImageNet network, frozen: the same regression on its last features": linear_accuracy(means[:2], means[2:], torch.clone),
        tuned: fine_tuned_accuracy(network, maps[:2], maps[2:]),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compare classifiers of domain A against domain B on held-out images."
    add = parser.add_argument
    add("domain", choices=[name for name, domain in DOMAINS.items() if domain.b], help="the two domains to classify")
    add("--data", metavar="FOLDER_OR_ID", help="as for a training (default: the domain's Hub datasets)")
    add("--encoder", type=Path, default=BUNDLED_ENCODER, metavar="DIR", help="the domain encoder (default: the bundled one)")
    add("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Trains and compares them, and prints a Markdown table; returns 0."""
    domain, started = DOMAINS[args.domain], time.process_time()
    sources = resolve(domain, args.data, None, None)
    a, b = load_domains(sources, Reading(IMAGE_SIZE, LOAD_SIZE).for_domains(2), Selection(args.seed))
    if not (isinstance(a.train, Tensor) and isinstance(b.train, Tensor)):
        raise DataError(f"a dataset does not fit into memory at {LOAD_SIZE} px: give a part of it")
    encoder = SideEncoder.from_pretrained(args.encoder).eval()
    torch.manual_seed(args.seed)
    found = compare((a.train, b.train), (a.held_out, b.held_out), encoder, domain.name)
    heads = (f"{len(side.held_out)} {label}" for side, label in zip((a, b), domain.labels, strict=True))
    print(f"| {domain.name}, held out | {' | '.join(heads)} |\n|---|--:|--:|")
    for name, (of_a, of_b) in found.items():
        print(f"| {name} | {of_a:.1%} | {of_b:.1%} |")
    seconds = time.process_time() - started
    print(f"trained on {len(a.train)} and {len(b.train)} images, seed {args.seed}, {datetime.now(UTC):%Y-%m-%d}, ", end="")
    print(f"{seconds:.0f} s of CPU")
    return 0


main = partial(run_command, __name__)

if __name__ == "__main__":
    sys.exit(main())
