"""The training of the domain encoder: its batches, its loss, its loop. `training/encoder.py` is the command around it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor

from cyclegan_hub.data.balance import random_flip
from cyclegan_hub.imaging import images
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.training.augment import BatchAugment
from cyclegan_hub.training.degradations import heavily_degraded, patches_of_others, slightly_degraded
from cyclegan_hub.training.early_samples import outputs_of_young_models

IMAGE_SIZE, LOAD_SIZE = 64, 72  # px; squares of the one are cropped at random out of the other
SIDE_BATCH = 12  # images of each side in a step: no side is seen more often than another, however large the piles are
LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 2e-3, 0.05, 0.1
SMOOTHING = 0.1  # of the labels: probabilities that mean something, and faces that are in the sets of several domains
YOUNG_MODELS = 6  # CycleGANs of each domain whose first outputs count as neither side; fewer for a short training
STEPS_A_MODEL = 250  # of the encoder for each of them
NEITHER = 2  # what a picture counts as in its domain; 0 is A, 1 is B


@dataclass(frozen=True)
class Batch:
    """Pictures (N, 3, S, S) in [-1, 1], the index of each one's domain, and what it counts as there."""

    pictures: Tensor
    domains: Tensor
    answers: Tensor

    def __add__(self, other: Batch) -> Batch:
        return Batch(*(torch.cat([getattr(one, name) for one in (self, other)]) for name in ("pictures", "domains", "answers")))


def jitter(x: Tensor) -> Tensor:
    """Brightness, saturation and contrast of (N, 3, H, W) in [-1, 1], within 20, 30 and 20 %, a draw for each image."""

    def factor(share: float) -> Tensor:
        return 1 + share * (2 * torch.rand(len(x), 1, 1, 1) - 1).to(x)

    x = (x + 1) * factor(0.2) - 1
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * factor(0.3) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return ((x - mean) * factor(0.2) + mean).clamp(-1, 1)


def side_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy over the sides of all domains, from logits (N, D, 3) and targets (N,), 2 d for A of domain d, 2 d + 1 for B.

    It makes the features tell domains apart too.
    """
    return F.cross_entropy(logits[:, :, :NEITHER].flatten(1), targets, label_smoothing=SMOOTHING)


def answer_loss(logits: Tensor, domains: Tensor, answers: Tensor) -> Tensor:
    """The mean over pictures of the cross-entropy of the three answers of each one's own domain.

    logits (N, D, 3), domains (N,), answers (N,). Of one domain only, since three of ours have human faces on side A.
    """
    own = logits[torch.arange(len(logits), device=logits.device), domains]
    return F.cross_entropy(own, answers, label_smoothing=SMOOTHING)


def fit(
    encoder: SideEncoder, piles: Sequence[Tensor], steps: int, seed: int, accelerator: Accelerator, rate: float = LEARNING_RATE
) -> None:
    """Trains `encoder` on the piles of its sides, uint8 (N, 3, L, L) each: A and B of each of its domains, in their order."""
    set_seed(seed)
    pairs = list(zip(piles[::2], piles[1::2], strict=True))
    models = young_models_for(steps, YOUNG_MODELS)
    young = [outputs_of_young_models(pair, models, IMAGE_SIZE, accelerator) for pair in pairs]
    accelerator.print(f"{sum(map(len, young)):,} outputs of {models * len(young)} young models", flush=True)
    decayed = [p for p in encoder.parameters() if p.ndim > 1]  # neither biases nor the scales of the norms
    others = [p for p in encoder.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs know it with other arguments only
    model, optimizer = accelerator.prepare(encoder, torch.optim.AdamW(groups, rate))
    warm = max(1, round(WARM_UP * steps))

    def share(step: int) -> float:
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    started, seen = time.perf_counter(), 0
    for step in range(1, steps + 1):
        sides, batch = compose(piles, young, accelerator.device)
        model.train()
        pictures = torch.cat([sides.pictures, batch.pictures]).contiguous(memory_format=torch.channels_last)
        logits = model(pictures).float().view(len(pictures), -1, NEITHER + 1)
        own = sides + batch
        loss = side_loss(logits[: len(sides.pictures)], 2 * sides.domains + sides.answers)
        loss = loss + answer_loss(logits, own.domains, own.answers)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        schedule.step()
        seen += len(pictures)
        if step % 100 == 0 or step == steps:
            speed = seen / (time.perf_counter() - started)
            accelerator.print(f"step {step}/{steps}: loss {loss.item():.3f}, {speed:.0f} images/s", flush=True)


def young_models_for(steps: int, most: int) -> int:
    """How many young CycleGANs of each domain a training of so many steps makes: at least 1, at most `most`."""
    return min(most, -(-steps // STEPS_A_MODEL))


def compose(piles: Sequence[Tensor], young: Sequence[Tensor], device: torch.device) -> tuple[Batch, Batch]:
    """SIDE_BATCH images of each side, half of them slightly degraded; and what is neither: a third as many that are heavily
    degraded, as many outputs of the domain's young models and, of several domains, patches of the others."""
    spoilt = max(1, SIDE_BATCH // 3)
    chosen = torch.cat([pile[torch.randint(len(pile), (SIDE_BATCH + spoilt,))] for pile in piles]).to(device)
    augment = BatchAugment(image_size=IMAGE_SIZE, load_size=LOAD_SIZE, flip=True)
    halves = dict(zip("ab", chosen.chunk(2), strict=True))  # two batches of the same kind
    x = jitter(torch.cat(list(augment(halves).values()))).view(len(piles), -1, 3, IMAGE_SIZE, IMAGE_SIZE)
    shown, hidden = x[:, :SIDE_BATCH], x[:, SIDE_BATCH:].flatten(0, 1)
    half = SIDE_BATCH // 2
    shown = torch.cat([shown[:, :half], slightly_degraded(shown[:, half:].flatten(0, 1)).view_as(shown[:, half:])], 1)
    side = torch.arange(len(piles), device=device)
    sides = Batch(shown.flatten(0, 1), (side // 2).repeat_interleave(SIDE_BATCH), (side % 2).repeat_interleave(SIDE_BATCH))
    neither = Batch(heavily_degraded(hidden), (side // 2).repeat_interleave(spoilt), _answers(len(hidden), NEITHER, device))
    for domain, outputs in enumerate(young):
        y = jitter(images.from_uint8(random_flip(outputs[torch.randint(len(outputs), (2 * spoilt,))].to(device))))
        neither += Batch(y, _answers(len(y), domain, device), _answers(len(y), NEITHER, device))
    for domain in range(len(piles) // 2 if len(piles) > 2 else 0):
        foreign = [pile for i, pile in enumerate(x.unbind(0)) if i // 2 != domain]
        patches = patches_of_others(foreign, max(1, spoilt // 2), IMAGE_SIZE)
        neither += Batch(patches, _answers(len(patches), domain, device), _answers(len(patches), NEITHER, device))
    return sides, neither


def _answers(count: int, value: int, device: torch.device) -> Tensor:
    return torch.full((count,), value, device=device)
