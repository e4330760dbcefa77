"""Outputs of CycleGANs in their first steps: they show neither domain yet, and the encoder learns "neither" from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from cyclegan_hub.imaging import images
from cyclegan_hub.recipes.methods import CycleGANRecipe
from cyclegan_hub.training.augment import BatchAugment
from cyclegan_hub.training.cyclegan import CycleGANTrainer

SNAPSHOTS = (0, 2, 5, 8, 12, 16, 20, 25, 30, 36, 43, 51, 60)  # steps after which outputs are kept
SAMPLE_SIZE = 6  # images of each domain that are translated at every snapshot


def early_training_samples(pair: Sequence[Tensor], models: int, size: int, accelerator: Accelerator) -> Tensor:
    """Translations by `models` CycleGANs with random settings during their first 60 steps, as uint8 (N, 3, size, size).

    `pair`: the images of domain A and of domain B, uint8 (N, 3, L, L) with L at least `size`. None of these models has a skip, so
    no output is a copy. Random numbers come from torch's global generator. N = models x snapshots x 2 x SAMPLE_SIZE.
    """
    outputs = []
    for _ in range(models):
        recipe = _random_recipe(size)
        trainer = CycleGANTrainer(recipe, total_steps=SNAPSHOTS[-1], labels=("A", "B"))
        for network in trainer.networks.values():
            network.to(accelerator.device)
        trainer.prepare(accelerator.prepare)
        for step in range(SNAPSHOTS[-1] + 1):
            if step in SNAPSHOTS:
                outputs.append(_translate(trainer, _batch(pair, SAMPLE_SIZE, size, recipe, accelerator.device), size))
            trainer.step(_batch(pair, recipe.batch_size, size, recipe, accelerator.device), accelerator.backward)
        accelerator.free_memory()
    return torch.cat(outputs).cpu()


def _random_recipe(size: int) -> CycleGANRecipe:
    """Random settings within the usual ranges; half of the models work at twice `size`, with finer textures."""

    def one_of(*choices: float) -> float:
        return choices[int(torch.randint(len(choices), ()))]

    return CycleGANRecipe(
        name="early",
        domain="",
        image_size=size * int(one_of(1, 2)),
        batch_size=int(one_of(1, 1, 2, 4)),
        lr=2e-4 * 5 ** float(torch.rand(())),
        init_std=one_of(0.02, 0.02, 0.04),
        width=int(torch.randint(8, 25, ())),
        blocks=int(torch.randint(2, 7, ())),
        upsample="transpose" if torch.rand(()) < 0.4 else "resize",
        padding="zeros" if torch.rand(()) < 0.5 else "reflect",
        norm_init_mean=one_of(1, 1, 0),
        disc_channels=(16, 32, 64),
        adversarial="lsgan" if torch.rand(()) < 0.6 else "bce",
        cycle=one_of(5, 10, 20),
        identity_a=one_of(0, 1, 5, 10),
        identity_b=one_of(0, 1, 5, 10),
    )


def _batch(pair: Sequence[Tensor], count: int, size: int, recipe: CycleGANRecipe, device: torch.device) -> dict[str, Tensor]:
    """Random images of both domains, (count, 3, S, S) in [-1, 1] with S the recipe's size."""
    chosen = {side: dataset[torch.randint(len(dataset), (count,))].to(device) for side, dataset in zip("ab", pair, strict=True)}
    cropped = BatchAugment(image_size=size, load_size=pair[0].shape[-1], flip=True)(chosen)
    if recipe.image_size == size:
        return cropped
    larger = (recipe.image_size, recipe.image_size)
    return {side: F.interpolate(x, larger, mode="bicubic", align_corners=False).clamp(-1, 1) for side, x in cropped.items()}


@torch.no_grad()
def _translate(trainer: CycleGANTrainer, batch: dict[str, Tensor], size: int) -> Tensor:
    """The outputs of both directions as uint8 (2 x count, 3, size, size)."""
    y = torch.cat([trainer.a_to_b(batch["a"]), trainer.b_to_a(batch["b"])]).float()
    if y.shape[-1] != size:
        y = F.interpolate(y, (size, size), mode="bicubic", align_corners=False, antialias=True)
    return images.to_uint8(y)
