"""Makes batches of two unpaired piles of images, or of one.

`resolve` finds the piles, `load_sides` reads them, `UnpairedBatches` draws from them.

The order of the images depends only on (seed, side, epoch, position). So a run can resume exactly at any step without a saved
state, and the number of DataLoader workers does not change the order. `StreamingBatches` does the same for
piles that are too large to be read before the first step; it resumes from a saved position instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cyclegan_hub.data.reading import Fit, Landmarks
from cyclegan_hub.data.scan import LazyImages
from cyclegan_hub.data.sides import Side, load_sides
from cyclegan_hub.data.specs import DataError, SideSource
from cyclegan_hub.data.streaming import StreamingBatches
from cyclegan_hub.domains import Eyes

_Pass = tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]  # of each entry: index of the image, whether it is a copy


@lru_cache(maxsize=8)
def _one_pass(seed: int, side: int, epoch: int, number: int, originals: int, length: int) -> _Pass:
    """One pass over a side in random order: (index of the image, whether it is a copy), `length` entries each.

    With `length` above `originals` every image comes once as an original; the other entries are copies. Each image has the same
    number of copies, or one more than another: (length - originals) / originals, rounded down or up.
    """
    random = np.random.default_rng([seed, side, epoch, number])
    every, extra = divmod(length - originals, originals)
    index = np.concatenate([np.tile(np.arange(originals), 1 + every), random.permutation(originals)[:extra]])
    order = random.permutation(length)
    return index[order], (np.arange(length) >= originals)[order]


class UnpairedBatches:
    """Endless seeded batches of two sides that are drawn independently, or of one side, which is called "a".

    Without `steps_per_epoch` an epoch is one pass over the larger side, in a new random order. If its last batch is not full, it
    is filled from the start of another random order, because compiled graphs and process groups need batches of one size.
    The smaller side is read in one random order after another, and goes on across the end of an epoch. With
    `steps_per_epoch` both sides are read in that way.

    `balance`: a pass over the smaller side has as many entries as the larger side: each image once, and copies. The batch
    marks copies in "a_copy" and "b_copy"; the caller augments them.

    `batch_size` is per process: of each global batch of `world_size * batch_size` entries, process `rank` takes its
    contiguous part. `workers` processes decode images that are not in memory. torch's global random numbers are not used.
    """

    def __init__(
        self,
        *sides: Side,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        steps_per_epoch: int | None = None,
        balance: bool = False,
        workers: int = 0,
        landmarks: Landmarks | None = None,
    ) -> None:
        if batch_size < 1 or seed < 0 or not 0 <= rank < world_size or (steps_per_epoch is not None and steps_per_epoch < 1):
            raise DataError(
                f"batch_size {batch_size} and steps_per_epoch {steps_per_epoch} must be at least 1, seed {seed} at least 0, "
                f"and rank {rank} below world_size {world_size}"
            )
        self.sides = dict(zip("ab", sides, strict=False))
        self.held_out = tuple(side.held_out for side in sides)
        self.fingerprints = {key: side.fingerprint for key, side in self.sides.items()}
        self.counts = {key: side.counts for key, side in self.sides.items()}
        self.notes = [note for side in sides for note in side.notes]
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.balance, self.workers = balance, workers
        self.landmarks = landmarks or Landmarks()
        self._larger = max(len(side.train) for side in sides)
        self._passes_are_epochs = steps_per_epoch is None
        self.steps_per_epoch = steps_per_epoch or math.ceil(self._larger / (world_size * batch_size))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        """The batches of an epoch (from 0) after its first `start` steps.

        A batch is {"a": uint8 (B, C, S, S), "b": uint8 (B, C, S, S)}, with `balance` also "a_copy" and "b_copy", bool (B,).
        S is the load size in px, B the batch size of this process. With one side there is no "b".
        """
        if epoch < 0 or not 0 <= start <= self.steps_per_epoch:
            raise DataError(f"epoch {epoch}, step {start}: epochs count from 0 and have {self.steps_per_epoch} steps")
        in_memory = all(isinstance(side.train, Tensor) or side.train.in_memory for side in self.sides.values())
        loader: DataLoader[dict[str, Tensor]] = DataLoader(
            _Epoch(self, epoch),
            batch_size=None,
            sampler=range(start, self.steps_per_epoch),
            num_workers=0 if in_memory else self.workers,
            generator=torch.Generator(),  # else every epoch draws a seed from the global generator, and resume is not exact
        )
        return iter(loader)

    def batch(self, epoch: int, step: int) -> dict[str, Tensor]:
        """The batch of one step, as in `epoch`."""
        batch: dict[str, Tensor] = {}
        for number, (key, side) in enumerate(self.sides.items()):
            index, copy = self._entries(number, len(side.train), epoch, step)
            random = np.random.default_rng([self.seed, number, epoch, step, self.rank])
            batch[key] = _gather(side.train, index, random)
            if self.balance:
                batch[f"{key}_copy"] = torch.from_numpy(copy)
        return batch

    def _entries(self, side: int, images: int, epoch: int, step: int) -> _Pass:
        """Image indices (B,) and copy marks (B,) of this process's part of a global batch."""
        length = self._larger if self.balance else images
        position = (step * self.world_size + self.rank) * self.batch_size
        if self._passes_are_epochs and length == self._larger:
            key = epoch
        else:  # goes on across the end of an epoch
            key = 0
            position += epoch * self.steps_per_epoch * self.world_size * self.batch_size
        parts = []
        missing = self.batch_size
        while missing:
            number, offset = divmod(position, length)
            index, copy = _one_pass(self.seed, side, key, number, images, length)
            parts.append((index[offset : offset + missing], copy[offset : offset + missing]))
            missing -= len(parts[-1][0])
            position += len(parts[-1][0])
        index, copy = (np.concatenate(part) for part in zip(*parts, strict=True))
        return index, copy

    def state_dict(self) -> dict[str, Any]:
        """Empty: the order is known from the step alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore. Raises DataError for the state of a streaming run."""
        if state:
            raise DataError("the saved position is one of a streaming run: resume with streaming, or start a new run")


@dataclass
class _Epoch(Dataset[dict[str, Tensor]]):
    """One epoch as a map from step to batch, for DataLoader."""

    batches: UnpairedBatches
    epoch: int

    def __len__(self) -> int:
        return self.batches.steps_per_epoch

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return self.batches.batch(self.epoch, step)


def _gather(train: Tensor | LazyImages, index: npt.NDArray[np.int64], random: np.random.Generator) -> Tensor:
    """The images of these indices, uint8 (B, C, S, S); `random` gives the place of the crop for the fit "random-crop"."""
    if isinstance(train, Tensor):
        return torch.from_numpy(train.numpy()[index])  # by numpy: torch would start its threads for every batch
    return torch.stack([train.at_random(i, random) for i in index.tolist()])


def open_batches(
    *sources: SideSource,
    image_size: int,
    batch_size: int,
    seed: int,
    load_size: int | None = None,
    channels: int = 3,
    max_images: int | None = None,
    equal_sides: bool = False,
    balance: bool = False,
    streaming: bool = False,
    steps_per_epoch: int | None = None,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    halves: bool = False,
    swapped: bool = False,
    fit: Fit = "crop",
    value_range: tuple[int, int] | None = None,
    eyes: Sequence[Eyes | None] = (),
    landmarks: Landmarks | None = None,
) -> UnpairedBatches | StreamingBatches:
    """Opens one or two sources as `UnpairedBatches` (read by `load_sides`), or with `streaming` as `StreamingBatches`.

    Both have the attributes held_out, fingerprints, counts and notes. Images come at `load_size` px (None: `image_size`),
    held-out ones at `image_size` px. `eyes`: of each side, where the eyes of its faces are brought to (None: it is not aligned);
    `landmarks` holds those that were found before, and takes up new ones.

    `workers`: processes that decode images which are neither in memory nor streamed. Raises DataError if `streaming` is combined
    with an option that needs all images to be read first.
    """
    if not streaming:
        sides = load_sides(
            *sources,
            image_size=image_size,
            load_size=load_size,
            channels=channels,
            seed=seed,
            max_images=max_images,
            equal_sides=equal_sides,
            halves=halves,
            swapped=swapped,
            fit=fit,
            value_range=value_range,
            eyes=eyes,
            landmarks=landmarks,
        )
        return UnpairedBatches(
            *sides,
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            steps_per_epoch=steps_per_epoch,
            balance=balance,
            workers=workers,
            landmarks=landmarks,
        )
    given = {"balance": balance, "equal_sides": equal_sides, "max_images": max_images is not None, "pairs": halves}
    if refused := [name for name, is_given in given.items() if is_given]:
        names = ", ".join(refused)
        raise DataError(f"streaming reads every image as it comes, so it cannot be combined with {names}: leave one of them out")
    return StreamingBatches(
        *sources,
        image_size=image_size,
        batch_size=batch_size,
        seed=seed,
        steps_per_epoch=steps_per_epoch,
        load_size=load_size,
        channels=channels,
        fit=fit,
        value_range=value_range,
        eyes=eyes,
        landmarks=landmarks,
        rank=rank,
        world_size=world_size,
    )


# The augmentation of the copies that bring the smaller of two piles to the size of the larger one.


def balance_augment(x: Tensor) -> Tensor:
    """Augmented copies that bring the smaller pile to parity: x (B, C, H, W) in [-1, 1] -> the same shape, type and range.

    The set that the smile source gave Keras' `ImageDataGenerator`, drawn for each sample: rotation within 30 degrees,
    shifts within 15 % of each side, horizontal shear factor within 0.25 (about 14 degrees), zoom of each axis within
    25 %, brightness factor 0.8 to 1.2 on values in [0, 1], mirrored with probability 0.5. What enters from outside
    repeats the nearest edge pixel (`fill_mode="nearest"`).
    """
    from kornia.geometry.transform import warp_affine  # half a second of import that only this function needs

    if len(x) == 0:
        return x
    matrix = random_affine(len(x), x.shape[-2], x.shape[-1]).to(x.device)
    brightness = uniform(x, 0.8, 1.2)
    # In float32: grid_sample takes no bfloat16 image with a float32 grid.
    y = warp_affine(x.float(), matrix, (x.shape[-2], x.shape[-1]), padding_mode="border", align_corners=False).to(x.dtype)
    y = ((y + 1) * brightness - 1).clamp(-1, 1)
    return random_flip(y)


def random_affine(count: int, height: int, width: int) -> Tensor:
    """`count` random source-to-target matrices in pixels, float32 (count, 2, 3) on the CPU, about the image's centre."""
    from kornia.geometry.transform import get_affine_matrix2d

    draw = torch.rand(count, 6) * 2 - 1
    matrix = get_affine_matrix2d(
        translations=draw[:, 0:2] * 0.15 * torch.tensor([width, height]),
        center=torch.tensor([[(width - 1) / 2, (height - 1) / 2]]).expand(count, 2),
        scale=1 + 0.25 * draw[:, 2:4],
        angle=30 * draw[:, 4],
        sx=torch.atan(0.25 * draw[:, 5]),
    )
    return matrix[:, :2]


def random_flip(x: Tensor) -> Tensor:
    """(B, C, H, W), each sample mirrored left to right with probability 0.5."""
    mirrored = (torch.rand(len(x)) < 0.5).to(x.device)
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


def uniform(x: Tensor, low: float, high: float) -> Tensor:
    """One number in [low, high) for each sample of x, (B, 1, 1, 1), in the type and on the device of x."""
    return (torch.rand(len(x), 1, 1, 1) * (high - low) + low).to(x)
