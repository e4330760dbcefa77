"""The inputs of many images through a network: those of one size share a batch. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from PIL import Image

from cyclegan_hub.errors import UserError
from cyclegan_hub.imaging.decoding import ImageError
from cyclegan_hub.models.checks import is_positive
from cyclegan_hub.models.photograph import Work

BATCH_PIXELS = 2**21  # of a bounded batch: 8 images of 512 x 512; larger ones go through the network fewer at a time
HELD_PIXELS = 2**26  # of photographs whose faces wait for a batch: 8 of 8 megapixels
GROUPS = 4  # how many full batches may wait, over all sizes

K = TypeVar("K")
Run = Callable[[Sequence[Image.Image]], Sequence[Image.Image]]


@dataclass(eq=False)
class Job(Generic[K]):
    """The work of one image; the outputs of its inputs arrive in any order."""

    name: K
    work: Work
    outputs: dict[int, Image.Image] = field(default_factory=dict)
    error: ImageError | None = None  # why it failed; its other inputs are dropped

    @property
    def complete(self) -> bool:
        """Whether all outputs are there, or it failed."""
        return self.error is not None or len(self.outputs) == len(self.work.inputs)

    def result(self) -> Image.Image:
        """The finished image. Raises the ImageError of a job that failed."""
        if self.error is not None:
            raise self.error
        return self.work.finish([self.outputs[i] for i in range(len(self.outputs))])


_Input = tuple[Job[K], int, Image.Image]  # an input of a job, and its place there


def run_in_batches(run: Run, jobs: Iterable[Job[K]], batch_size: int, *, bounded: bool = False) -> Iterator[Job[K]]:
    """Yields each job when it is complete; at most `batch_size` inputs of one size go through `run` together.

    `jobs` may be endless. With `bounded` the constants above limit the pixels of a batch (one input may have more) and of
    what waits; without, an input waits until its batch is full. An ImageError of a batch fails only the job that caused it:
    the inputs run again one by one. Raises UserError for a batch size below 1.
    """
    if not is_positive(batch_size):
        raise UserError(f"batch_size={batch_size!r}: give how many images of one size go through the network at a time")
    waiting: dict[tuple[int, int], list[_Input[K]]] = {}  # by size
    for job in jobs:
        if job.complete:
            yield job
            continue
        for place, image in enumerate(job.work.inputs):
            group = waiting.setdefault(image.size, [])
            group.append((job, place, image))
            full = bounded and (len(group) + 1) * image.width * image.height > BATCH_PIXELS
            if full or len(group) == batch_size:
                yield from _run_batch(run, waiting.pop(image.size))
        while bounded and waiting and _too_much(waiting, batch_size):
            yield from _run_batch(run, waiting.pop(max(waiting, key=lambda size: len(waiting[size]))))
    for group in waiting.values():
        yield from _run_batch(run, group)


def _too_much(waiting: dict[tuple[int, int], list[_Input[K]]], batch_size: int) -> bool:
    inputs = [one for group in waiting.values() for one in group]
    return (
        len(inputs) > GROUPS * batch_size
        or sum(image.width * image.height for _, _, image in inputs) > GROUPS * BATCH_PIXELS
        or sum(job.work.pixels for job in {job for job, _, _ in inputs}) > HELD_PIXELS
    )


def _run_batch(run: Run, group: list[_Input[K]]) -> Iterator[Job[K]]:
    group = [one for one in group if one[0].error is None]
    if not group:
        return
    try:
        outputs = run([image for _, _, image in group])
    except ImageError as error:
        if len(group) > 1:
            for one in group:
                yield from _run_batch(run, [one])
        else:
            group[0][0].error = error
            yield group[0][0]
        return
    for (job, place, _), output in zip(group, outputs, strict=True):
        job.outputs[place] = output
        if job.complete:
            yield job
