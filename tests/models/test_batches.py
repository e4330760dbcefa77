"""models/batches.py: inputs of one size share a batch, and a failure stays with the job that caused it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image

from cyclegan_hub.imaging.decoding import ImageError
from cyclegan_hub.models.batches import Job, run_in_batches
from cyclegan_hub.models.photograph import Work
from support.translations import picture


def job(name: str, *widths: int) -> Job[str]:
    """A job with inputs of these widths, whose result is as wide as all its outputs and one pixel."""
    inputs = [picture(width, 8) for width in widths]
    return Job(name, Work(inputs, lambda outputs: Image.new("L", (1 + sum(one.width for one in outputs), 1))))


def test_jobs_of_no_one_and_several_inputs_share_batches() -> None:
    batches: list[list[int]] = []

    def run(inputs: Sequence[Image.Image]) -> Sequence[Image.Image]:
        batches.append([one.width for one in inputs])
        return inputs

    jobs = [job("none"), job("two", 8, 16), job("one", 8), job("three", 16, 8, 8)]
    results = {one.name: one.result() for one in run_in_batches(run, jobs, 3)}
    assert {name: result.width - 1 for name, result in results.items()} == {"none": 0, "two": 24, "one": 8, "three": 32}
    assert sorted(batches) == [[8], [8, 8, 8], [16, 16]]


def test_a_failure_stays_with_its_job() -> None:
    broken = job("broken", 8, 8)

    def run(inputs: Sequence[Image.Image]) -> Sequence[Image.Image]:
        if any(one is broken.work.inputs[0] for one in inputs):
            raise ImageError("broken")
        return inputs

    done = list(run_in_batches(run, [job("a", 8), broken, job("b", 8)], 8))
    assert sorted(one.name for one in done) == ["a", "b", "broken"]
    with pytest.raises(ImageError, match="broken"):
        broken.result()
