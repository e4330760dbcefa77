"""Batches of one or two domains, which are not paired.

The order of the images follows from (seed, domain, epoch, position) alone, whatever the number of workers, so that a run resumes
exactly at any step without a saved state. `StreamingBatches` resumes from a saved position instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cyclegan_hub.data.load import DomainImages, LazyImages, load_domains
from cyclegan_hub.data.reading import Batching, Landmarks, Reading, Selection
from cyclegan_hub.data.specs import DataError, DataSource
from cyclegan_hub.data.streaming import StreamingBatches
from cyclegan_hub.errors import counted


def open_batches(
    sources: Sequence[DataSource], readings: Sequence[Reading], selection: Selection, batching: Batching
) -> UnpairedBatches | StreamingBatches:
    """Batches of one or two domains: `UnpairedBatches`, or `StreamingBatches` where `batching` says so.

    Both have the attributes held_out, fingerprints, counts, notes and landmarks. Raises DataError, also if streaming is combined
    with an option that needs all images to be read first.
    """
    if not batching.streaming:
        domains = load_domains(sources, readings, selection)
        return UnpairedBatches(domains, batching, selection.seed, readings[0].landmarks)
    given = {
        "balance": batching.balance,
        "equal_sides": selection.equal_sides,
        "max_images": selection.max_images is not None,
        "pairs": readings[0].halves,
    }
    if refused := [name for name, is_given in given.items() if is_given]:
        names = ", ".join(refused)
        raise DataError(f"streaming reads every image as it comes, so it cannot be combined with {names}: leave one of them out")
    return StreamingBatches(sources, readings, batching, selection.seed)


class UnpairedBatches(Dataset[dict[str, Tensor]]):
    """Endless seeded batches of two domains that are sampled independently, or of one, which is called "a".

    Without `steps_per_epoch` an epoch is one pass over the larger domain in a new random order, its last batch filled from
    another order: compiled graphs and process groups need batches of one size. The smaller domain, and with `steps_per_epoch`
    both, are read in one random order after another, which continue across the end of an epoch.

    With `balance` a pass over the smaller domain has as many entries as the larger one: each image once, and copies, which the
    batch marks in "a_copy" and "b_copy" for the caller to augment.

    Of each global batch of `world_size * batch_size` entries, process `rank` takes its contiguous part.
    """

    def __init__(
        self, domains: Sequence[DomainImages], batching: Batching, seed: int, landmarks: Landmarks | None = None
    ) -> None:
        rank, world_size, steps = batching.rank, batching.world_size, batching.steps_per_epoch
        if batching.batch_size < 1 or seed < 0 or not 0 <= rank < world_size or (steps is not None and steps < 1):
            raise DataError(
                f"batch_size {batching.batch_size} and steps_per_epoch {steps} must be at least 1, seed {seed} at least 0, "
                f"and rank {rank} below world_size {world_size}"
            )
        self.domains = dict(zip("ab", domains, strict=False))
        self.held_out = tuple(domain.held_out for domain in domains)
        self.fingerprints = {key: domain.fingerprint for key, domain in self.domains.items()}
        self.counts = {key: domain.counts for key, domain in self.domains.items()}
        self.notes = [note for domain in domains for note in domain.notes]
        self.batching, self.seed = batching, seed
        self.landmarks = landmarks or Landmarks()
        self._larger = max(len(domain.train) for domain in domains)
        self._entries_per_step = world_size * batching.batch_size
        self.steps_per_epoch = steps or math.ceil(self._larger / self._entries_per_step)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        """The batches of an epoch (from 0) after its first `start` steps.

        A batch is {"a": uint8 (B, C, S, S), "b": uint8 (B, C, S, S)}, with `balance` also "a_copy" and "b_copy", bool (B,).
        S is the load size in px, B the batch size of this process. With one domain there is no "b".
        """
        if epoch < 0 or not 0 <= start <= self.steps_per_epoch:
            raise DataError(f"epoch {epoch}, step {start}: epochs count from 0 and have {counted(self.steps_per_epoch, 'step')}")
        in_memory = all(isinstance(domain.train, Tensor) or domain.train.in_memory for domain in self.domains.values())
        loader: DataLoader[dict[str, Tensor]] = DataLoader(
            self,
            batch_size=None,
            sampler=[(epoch, step) for step in range(start, self.steps_per_epoch)],
            num_workers=0 if in_memory else self.batching.workers,
            generator=torch.Generator(),  # else every epoch takes a seed from the global generator, and resume is not exact
        )
        return iter(loader)

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Tensor]:
        """The batch of (epoch, step), as in `epoch`."""
        epoch, step = place
        batch: dict[str, Tensor] = {}
        for number, (key, domain) in enumerate(self.domains.items()):
            index, copy = self._entries(number, len(domain.train), epoch, step)
            random = np.random.default_rng([self.seed, number, epoch, step, self.batching.rank])
            batch[key] = _gather(domain.train, index, random)
            if self.batching.balance:
                batch[f"{key}_copy"] = torch.from_numpy(copy)
        return batch

    def _entries(self, domain: int, images: int, epoch: int, step: int) -> _Pass:
        """Image indices (B,) and copy marks (B,) of this process's part of a global batch."""
        length = self._larger if self.batching.balance else images
        position = step * self._entries_per_step + self.batching.rank * self.batching.batch_size
        if self.batching.steps_per_epoch is None and length == self._larger:
            key = epoch
        else:  # continues across the end of an epoch
            key = 0
            position += epoch * self.steps_per_epoch * self._entries_per_step
        parts = []
        missing = self.batching.batch_size
        while missing:
            number, offset = divmod(position, length)
            index, copy = _one_pass(self.seed, domain, key, number, images, length)
            parts.append((index[offset : offset + missing], copy[offset : offset + missing]))
            missing -= len(parts[-1][0])
            position += len(parts[-1][0])
        index, copy = (np.concatenate(part) for part in zip(*parts, strict=True))
        return index, copy

    def state_dict(self) -> dict[str, Any]:
        """Empty: the order follows from the step alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore. Raises DataError for the state of a streaming run."""
        if state:
            raise DataError("the saved position is that of a streaming run: resume with streaming, or start a new run")


_Pass = tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]  # of each entry: index of the image, whether it is a copy


@lru_cache(maxsize=8)
def _one_pass(seed: int, domain: int, epoch: int, number: int, originals: int, length: int) -> _Pass:
    """One pass over a domain in random order: (index of the image, whether it is a copy), `length` entries each.

    With `length` above `originals` every image comes once as an original; the other entries are copies. Each image has the same
    number of copies, or one more than another: (length - originals) / originals, rounded down or up.
    """
    random = np.random.default_rng([seed, domain, epoch, number])
    every, extra = divmod(length - originals, originals)
    index = np.concatenate([np.tile(np.arange(originals), 1 + every), random.permutation(originals)[:extra]])
    order = random.permutation(length)
    return index[order], (np.arange(length) >= originals)[order]


def _gather(train: Tensor | LazyImages, index: npt.NDArray[np.int64], random: np.random.Generator) -> Tensor:
    """The images of these indices, uint8 (B, C, S, S); `random` gives the place of the crop for the fit "random-crop"."""
    if isinstance(train, Tensor):
        return torch.from_numpy(train.numpy()[index])  # by numpy: torch would start its threads for every batch
    return torch.stack([train.at_random(i, random) for i in index.tolist()])
