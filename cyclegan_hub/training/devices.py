"""The accelerator of a run: what `accelerate launch` decides, checked for what a training here can do with it."""

from __future__ import annotations

import os
import resource
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, filter_trackers
from accelerate.utils import ProjectConfiguration

from cyclegan_hub.recipes.fields import RecipeError


def make_accelerator(log_with: str | None = None, out: Path | None = None) -> Accelerator:
    """Devices, processes and precision as `accelerate launch` says. Raises RecipeError for a tracker that is not to be had."""
    if log_with is not None:
        known = sorted(str(name) for name in LOGGER_TYPE_TO_CLASS)
        if log_with not in known:
            raise RecipeError(f"--log-with {log_with!r}: must be one of {', '.join(known)}")
        if not filter_trackers([log_with], logging_dir=out):
            raise RecipeError(f"--log-with {log_with}: not installed (pip install {log_with})")
    accelerator = Accelerator(
        log_with=log_with,
        project_config=ProjectConfiguration(project_dir=str(out), logging_dir=str(out / "logs")) if log_with else None,
        # No network here has buffers that processes would have to share; and the others wait while the main one reads the data.
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=timedelta(hours=2)),
        ],
    )
    if accelerator.gradient_accumulation_steps != 1:
        raise RecipeError(
            f"gradient_accumulation_steps={accelerator.gradient_accumulation_steps}: a step here is one update; "
            "set batch_size instead"
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    launched, threads = "ACCELERATE_MIXED_PRECISION" in os.environ, torch.get_num_threads()
    if accelerator.device.type == "cpu" and accelerator.num_processes == 1 and launched and (threads == 1 or threads > cores):
        # accelerate launch gives a CPU process one thread by default, half the speed on two cores; or, told of one process, as
        # many as the machine has cores: more than this process may use would wait for each other by spinning.
        torch.set_num_threads(cores)
    return accelerator


def peak_memory() -> float:
    """GiB: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
