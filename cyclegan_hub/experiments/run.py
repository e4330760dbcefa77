"""Runs an experiment's trainings and measures them, each as the command a user would type, some at a time, pinned to cores."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cyclegan_hub import checkpoints
from cyclegan_hub.experiments.plan import Planned, nearest_epochs
from cyclegan_hub.experiments.registry import ExperimentError
from cyclegan_hub.hub.records import epoch_number
from cyclegan_hub.training.run_folder import RunFolder

POLL = 0.5  # seconds between two looks at the processes
TRAIN, EVALUATE = ("-m", "cyclegan_hub.training"), ("-m", "cyclegan_hub.cli", "evaluate")


@dataclass(frozen=True)
class Measured:
    """How every run is measured."""

    extractor: str | None = None  # None: as `evaluate` takes it
    training: int | None = None  # training images of a side at most; None: as `evaluate` takes them


@dataclass
class _Job:
    """A training that is under way, and then its measuring, in one process at a time."""

    planned: Planned
    cores: list[int]
    commands: list[list[str]]  # what is left to do
    process: subprocess.Popen[bytes] | None = None
    done: int = 0  # steps, as far as the progress line knows
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        out = self.planned.plan.out
        self.log = out.with_name(f"{out.name}.log")  # beside the run folder: that takes nothing it does not know


def core_groups(jobs: int) -> list[list[int]]:
    """The cores that this process may use, in `jobs` groups. Raises ExperimentError for more jobs than cores."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if not 1 <= jobs <= len(cores):
        raise ExperimentError(f"--jobs {jobs}: there are {len(cores)} cores here, and each job gets one or more of its own")
    return [cores[i::jobs] for i in range(jobs)]


def is_done(planned: Planned) -> bool:
    """Whether a run was trained to its end and measured."""
    return not _commands(planned, Measured())


def run_all(planned: Sequence[Planned], jobs: int, how: Measured) -> None:
    """Trains and measures what is not done yet. What is done stays done, whatever happens to the rest.

    Raises ExperimentError with the last line of the first command that failed; the others are stopped, with everything saved.
    """
    waiting = [_Job(one, [], _commands(one, how)) for one in planned if not is_done(one)]
    running: list[_Job] = []
    free = core_groups(jobs)
    total = sum(one.steps for one in planned)
    bar = tqdm(total=total, initial=total - sum(job.planned.steps for job in waiting), unit="step", disable=None)
    try:
        while waiting or running:
            while waiting and free:
                job = waiting.pop(0)
                job.cores = free.pop()
                _start(job)
                running.append(job)
            time.sleep(POLL)
            for job in [job for job in running if not _look(job, bar)]:
                running.remove(job)
                free.append(job.cores)
                if bar.disable:
                    print(f"{job.planned.name}: done, {len(waiting) + len(running)} to go", file=sys.stderr, flush=True)
            bar.set_postfix_str(", ".join(job.planned.name for job in running))
    finally:
        bar.close()
        _stop(running)


def _look(job: _Job, bar: tqdm[object]) -> bool:
    """Whether a job goes on. Starts its next command where one has ended; raises ExperimentError where one has failed."""
    steps = max((line["step"] for line in _history(job)), default=0)
    bar.update(steps - job.done)
    job.done = steps
    assert job.process is not None
    code = job.process.poll()
    if code is None:
        return True
    if code:
        said = job.log.read_text("utf-8", errors="replace").replace("\r", "\n").strip().splitlines()
        errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")] or said or ["nothing was said"]
        stopped = code - 128 if code > 128 else -code  # by which signal, of a training that saved first or of one that could not
        why = f"something else stopped it (signal {stopped})" if stopped > 0 else errors[-1]
        raise ExperimentError(
            f"{job.planned.name}: {why}. What is done stays done, and the same command goes on; all that was said is in {job.log}"
        )
    if job.commands:
        _start(job)
        return True
    return False


def _start(job: _Job) -> None:
    """Starts the next command of a job on its cores; what it says goes to a file beside the run folder."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    command = job.commands.pop(0)
    if job.planned.shown and tuple(command[1 : 1 + len(EVALUATE)]) == EVALUATE:
        kept = [epoch.name for epoch in checkpoints.list_epochs(job.planned.plan.out)]
        command = [*command, "--epochs", ",".join(str(epoch_number(name)) for name in nearest_epochs(job.planned, kept))]
    talk = os.environ | {"OMP_NUM_THREADS": str(len(job.cores)), "OMP_WAIT_POLICY": "PASSIVE"}
    with job.log.open("ab") as log:
        job.process = subprocess.Popen(command, stdout=log, stderr=log, env=talk)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(job.process.pid, job.cores)


def _stop(jobs: Sequence[_Job]) -> None:
    """Asks what still runs to save and stop, and waits for it."""
    for job in jobs:
        if job.process is not None and job.process.poll() is None:
            job.process.terminate()
    for job in jobs:
        if job.process is not None:
            job.process.wait()


def _history(job: _Job) -> list[dict[str, Any]]:
    return RunFolder(job.planned.plan.out).history()


def _trained(planned: Planned) -> bool:
    step = RunFolder(planned.plan.out).latest_step()
    return step is not None and step >= planned.steps


def _commands(planned: Planned, how: Measured) -> list[list[str]]:
    train = [sys.executable, *TRAIN, *planned.arguments]
    left = [command for command in _evaluations(planned, how) if not _measured_file(planned, command).is_file()]
    return [*([] if _trained(planned) else [train]), *left]


def _evaluations(planned: Planned, how: Measured) -> list[list[str]]:
    """The commands that measure a run: on held-out images, and for some rows on images it was trained on."""
    out = planned.plan.out
    command = [sys.executable, *EVALUATE, str(out)]
    command += [] if how.extractor is None else ["--extractor", how.extractor]
    command += [] if how.training is None else ["--training", str(how.training)]
    command += [] if planned.data is None else ["--data", planned.data]
    also = [[*command, "--on-training", "--out", str(on_training_folder(planned))]] if planned.run.on_training else []
    return [command, *also]


def on_training_folder(planned: Planned) -> Path:
    """Where the figures on training images go."""
    return planned.plan.out.with_name(f"{planned.plan.out.name}-on-training-images")


def _measured_file(planned: Planned, command: Sequence[str]) -> Path:
    return (on_training_folder(planned) if "--out" in command else planned.plan.out) / "metrics.json"
