"""Four classifiers of a domain's two sides on the same pixels: principal components, the domain encoder, transfer learning twice.

python train/classifiers.py smile --data my/smile

Transfer learning takes the ImageNet network that evaluation installs (EfficientNet-lite1): once frozen, and once with its last
blocks fine-tuned. Every number is of held-out images.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclegan_hub.data.load import load_domains
from cyclegan_hub.data.reading import Reading, Selection
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import exit_code
from cyclegan_hub.files import BUNDLED_ENCODER
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.training.encoder import through
from cyclegan_hub.training.encoder_fit import IMAGE_SIZE, LOAD_SIZE
from cyclegan_hub.training.linear_classifier import linear_accuracy

BLOCKS = 4  # that are fine-tuned, of 21
EPOCHS, BATCH = 5, 32
HEAD_RATE, BLOCK_RATE = 1e-3, 1e-4  # the new layer learns much, the fine-tuned blocks move little
Sides = tuple[Tensor, Tensor]  # of A and of B
Accuracy = tuple[float, float]  # shares in [0, 1] of the images of A and of B that are taken for their own side


@torch.no_grad()
def frozen_maps(network: EfficientNetLite, images: Tensor, prepare: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Maps (N, C, 7, 7) before the last BLOCKS blocks and means (N, 320) after them, of uint8 images (N, 3, H, W).

    `prepare` turns these into (N, 3, S, S) in [-1, 1]; the network sees them at 224 px, near what it was trained at.
    """
    maps, means = [], []
    for part in images.split(8):
        x = F.interpolate(prepare(part), size=(224, 224), mode="bilinear", align_corners=False, antialias=True)
        before, after = network(x, (len(network.blocks) - BLOCKS - 1, len(network.blocks) - 1))
        maps.append(before)
        means.append(after.mean((2, 3)))
    return torch.cat(maps), torch.cat(means)


def fine_tuned_accuracy(network: EfficientNetLite, train: Sides, held_out: Sides) -> Accuracy:
    """Of the network's last BLOCKS blocks and a new linear layer, trained on maps as `frozen_maps` gives them.

    `network` stays as it is. Random numbers from torch's global generator. Nothing was tuned on the held-out images.
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
    """By name of the classifier; all see the same squares, uint8 (N, 3, S, S), as the encoder prepares them."""
    answers = [through(encoder, images, domain).argmax(1) for images in held_out]
    of_a, of_b = (float((own == side).float().mean()) for side, own in enumerate(answers))
    network = EfficientNetLite("lite1")
    tuned = f"ImageNet network, last {BLOCKS} of {len(network.blocks)} blocks fine-tuned"
    maps, means = zip(*(frozen_maps(network, images, encoder.prepare) for images in (*train, *held_out)), strict=True)
    return {
        "logistic regression on 64 principal components of the pixels": linear_accuracy(train, held_out, encoder.prepare),
        "domain encoder, of three answers": (of_a, of_b),
        "ImageNet network, frozen: the same regression on its last features": linear_accuracy(means[:2], means[2:], torch.clone),
        tuned: fine_tuned_accuracy(network, maps[:2], maps[2:]),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains."""
    parser = argparse.ArgumentParser(description="Compare classifiers of a domain's two sides on held-out images.")
    add = parser.add_argument
    add("domain", choices=[name for name, domain in DOMAINS.items() if domain.b], help="whose sides to tell apart")
    add("--data", metavar="FOLDER_OR_ID", help="as for a training (default: the domain's Hub datasets)")
    add("--encoder", type=Path, default=BUNDLED_ENCODER, metavar="DIR", help="the domain encoder (default: the bundled one)")
    add("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    def run() -> int:
        domain, started = DOMAINS[args.domain], time.process_time()
        sources = resolve(domain, args.data, None, None)
        a, b = load_domains(sources, Reading(IMAGE_SIZE, LOAD_SIZE).for_domains(2), Selection(args.seed))
        if not (isinstance(a.train, Tensor) and isinstance(b.train, Tensor)):
            raise DataError(f"a side does not fit into memory at {LOAD_SIZE} px: give a part of it")
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

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
