"""The training loop of the domain encoder: batches, losses, schedule. `train_encoder.py` is the command around it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from degradations import heavily_degraded, patches_of_others, slightly_degraded
from early_samples import early_training_samples
from torch import Tensor

from cyclegan_hub.data.balance import random_flip
from cyclegan_hub.evaluation.features import device_of
from cyclegan_hub.imaging import images
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.training.augment import BatchAugment

IMAGE_SIZE, LOAD_SIZE = 64, 72  # px; random crops of the first size out of images of the second
SIDE_BATCH = 12  # images of each side in a step: all sides are seen equally often, however many images they have
LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 2e-3, 0.05, 0.1
SMOOTHING = 0.1  # of the labels: calibrated probabilities, and some faces are in the sets of several domains
EARLY_MODELS = 6  # CycleGANs of each domain whose early samples are examples of "neither"; fewer for a short training
STEPS_PER_EARLY_MODEL = 250  # training steps of the encoder for each of them
NEITHER = 2  # the third class of each domain; 0 is A, 1 is B


@dataclass(frozen=True)
class Batch:
    """Images (N, 3, S, S) in [-1, 1], the index of each one's domain, and its class there."""

    images: Tensor
    domains: Tensor
    classes: Tensor

    def __add__(self, other: Batch) -> Batch:
        return Batch(*(torch.cat([getattr(one, name) for one in (self, other)]) for name in ("images", "domains", "classes")))


def jitter(x: Tensor) -> Tensor:
    """Random brightness, saturation and contrast, by 20, 30 and 20 %, for each of (N, 3, H, W) in [-1, 1]."""

    def factor(share: float) -> Tensor:
        return 1 + share * (2 * torch.rand(len(x), 1, 1, 1) - 1).to(x)

    x = (x + 1) * factor(0.2) - 1
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * factor(0.3) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return ((x - mean) * factor(0.2) + mean).clamp(-1, 1)


def side_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy over the sides of all domains, from logits (N, D, 3) and targets (N,): 2 d for A of domain d, 2 d + 1 for B.

    It makes the features tell domains apart too.
    """
    return F.cross_entropy(logits[:, :, :NEITHER].flatten(1), targets, label_smoothing=SMOOTHING)


def class_loss(logits: Tensor, domains: Tensor, classes: Tensor) -> Tensor:
    """Mean cross-entropy over the three classes of each image's own domain.

    logits (N, D, 3), domains (N,), classes (N,). Other domains are left out, since three of ours have human faces as domain A.
    """
    own = logits[torch.arange(len(logits), device=logits.device), domains]
    return F.cross_entropy(own, classes, label_smoothing=SMOOTHING)


def fit(
    encoder: SideEncoder, datasets: Sequence[Tensor], steps: int, seed: int, accelerator: Accelerator, rate: float = LEARNING_RATE
) -> None:
    """Trains `encoder` on uint8 images (N, 3, L, L): A and B of each of its domains, in their order."""
    set_seed(seed)
    pairs = list(zip(datasets[::2], datasets[1::2], strict=True))
    models = early_model_count(steps, EARLY_MODELS)
    early = [early_training_samples(pair, models, IMAGE_SIZE, accelerator) for pair in pairs]
    accelerator.print(f"{sum(map(len, early)):,} early-training samples of {models * len(early)} models", flush=True)
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
        sides, neither = compose(datasets, early, accelerator.device)
        batch = sides + neither
        model.train()
        logits = model(batch.images.contiguous(memory_format=torch.channels_last)).float()
        logits = logits.view(len(logits), -1, NEITHER + 1)
        loss = side_loss(logits[: len(sides.images)], 2 * sides.domains + sides.classes)
        loss = loss + class_loss(logits, batch.domains, batch.classes)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        schedule.step()
        seen += len(batch.images)
        if step % 100 == 0 or step == steps:
            speed = seen / (time.perf_counter() - started)
            accelerator.print(f"step {step}/{steps}: loss {loss.item():.3f}, {speed:.0f} images/s", flush=True)


def early_model_count(steps: int, maximum: int) -> int:
    """Number of CycleGANs of each domain for an encoder training of `steps` steps, from 1 to `maximum`."""
    return min(maximum, -(-steps // STEPS_PER_EARLY_MODEL))


def compose(datasets: Sequence[Tensor], early: Sequence[Tensor], device: torch.device) -> tuple[Batch, Batch]:
    """The batch of the sides and the batch of "neither".

    Sides: SIDE_BATCH images of each, half of them slightly degraded. Neither: a third as many heavily degraded ones, as many
    early-training samples of the domain and, of several domains, patches of the others.
    """
    count = max(1, SIDE_BATCH // 3)
    chosen = torch.cat([images_of[torch.randint(len(images_of), (SIDE_BATCH + count,))] for images_of in datasets]).to(device)
    augment = BatchAugment(image_size=IMAGE_SIZE, load_size=LOAD_SIZE, flip=True)
    halves = dict(zip("ab", chosen.chunk(2), strict=True))  # two batches of the same kind
    x = jitter(torch.cat(list(augment(halves).values()))).view(len(datasets), -1, 3, IMAGE_SIZE, IMAGE_SIZE)
    shown, hidden = x[:, :SIDE_BATCH], x[:, SIDE_BATCH:].flatten(0, 1)
    half = SIDE_BATCH // 2
    shown = torch.cat([shown[:, :half], slightly_degraded(shown[:, half:].flatten(0, 1)).view_as(shown[:, half:])], 1)
    side = torch.arange(len(datasets), device=device)
    sides = Batch(shown.flatten(0, 1), (side // 2).repeat_interleave(SIDE_BATCH), (side % 2).repeat_interleave(SIDE_BATCH))
    neither = Batch(heavily_degraded(hidden), (side // 2).repeat_interleave(count), _filled(len(hidden), NEITHER, device))
    for domain, outputs in enumerate(early):
        y = jitter(images.from_uint8(random_flip(outputs[torch.randint(len(outputs), (2 * count,))].to(device))))
        neither += Batch(y, _filled(len(y), domain, device), _filled(len(y), NEITHER, device))
    for domain in range(len(datasets) // 2 if len(datasets) > 2 else 0):
        foreign = [images_of for i, images_of in enumerate(x.unbind(0)) if i // 2 != domain]
        patches = patches_of_others(foreign, max(1, count // 2), IMAGE_SIZE)
        neither += Batch(patches, _filled(len(patches), domain, device), _filled(len(patches), NEITHER, device))
    return sides, neither


def _filled(count: int, value: int, device: torch.device) -> Tensor:
    return torch.full((count,), value, device=device)


def run_in_batches(encoder: SideEncoder, x: Tensor, domain: str | None, batch: int = 256) -> Tensor:
    """The (N, 3) logits of a domain's classes for uint8 images (N, C, H, W), or without a domain the (N, D) features."""
    with torch.inference_mode():
        parts = [encoder.prepare(part.to(device_of(encoder))) for part in x.split(batch)]
        return torch.cat([encoder.features(y) if domain is None else encoder.answer_logits(y, domain) for y in parts]).cpu()
