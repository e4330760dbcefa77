"""The accelerator of a run, as `accelerate launch` asks for it, and what the processes of a run do together."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.commands.config import load_config_from_file
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, filter_trackers
from accelerate.utils import ProjectConfiguration, broadcast_object_list
from tqdm import tqdm

from cyclegan_hub.errors import counted, first_line
from cyclegan_hub.machine import processor
from cyclegan_hub.recipes.methods import RecipeError

_PRECISIONS = ("no", "bf16", "fp16")


def make_accelerator(log_with: str | None = None, out: Path | None = None) -> Accelerator:
    """Devices, processes and precision as `accelerate launch` says. Raises RecipeError for what this machine cannot do."""
    if log_with is not None:
        known = sorted(str(name) for name in LOGGER_TYPE_TO_CLASS)
        if log_with not in known:
            raise RecipeError(f"--log-with {log_with!r}: must be one of {', '.join(known)}")
        if not filter_trackers([log_with], logging_dir=out):
            raise RecipeError(f"--log-with {log_with}: not installed (pip install {log_with})")
    precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision not in _PRECISIONS:
        raise RecipeError(
            f"mixed_precision {precision!r}: must be one of {', '.join(_PRECISIONS)}; no network here has fp8 layers"
        )
    try:
        accelerator = Accelerator(
            log_with=log_with,
            project_config=ProjectConfiguration(project_dir=str(out), logging_dir=f"{out}/logs") if log_with else None,
            # No network here has buffers that processes would have to share; the others wait while the main one reads the data.
            kwargs_handlers=[
                DistributedDataParallelKwargs(broadcast_buffers=False),
                InitProcessGroupKwargs(timeout=timedelta(hours=2)),
            ],
        )
    except (ValueError, ImportError) as error:  # what this machine cannot do, such as bf16 on an old GPU or an unknown backend
        raise RecipeError(f"accelerate cannot start as it was launched: {first_line(error)}. Launch otherwise") from error
    if precision == "fp16" and accelerator.device.type == "cpu":  # accelerate would ignore it
        raise RecipeError("mixed_precision 'fp16' needs a GPU: launch with --mixed_precision bf16, or no, on this CPU")
    _check_backend(accelerator)
    asked = processes_asked_for()
    if accelerator.num_processes == 1 and asked > 1:
        print(
            f"note: {asked} processes were asked for and one was started, as `accelerate launch` does without several GPUs: on a "
            f"CPU start them with ACCELERATE_USE_CPU=true torchrun --nproc_per_node {asked} …",
            file=sys.stderr,
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


def hardware(accelerator: Accelerator) -> str:
    """The machine of a training as one line for its record: "2 x NVIDIA H100, bf16", "AMD EPYC 7B13, 1 thread, fp32"."""
    count = accelerator.num_processes
    precision = "fp32" if accelerator.mixed_precision == "no" else accelerator.mixed_precision
    times = f"{count} x " if count > 1 else ""
    if accelerator.device.type == "cpu":
        return f"{times}{processor()}, {counted(torch.get_num_threads(), 'thread')}, {precision}"
    name = torch.cuda.get_device_name() if accelerator.device.type == "cuda" else str(accelerator.device.type)
    return f"{times}{name}, {precision}"


def processes_asked_for(command: Sequence[str] | None = None) -> int:
    """The processes that the `accelerate launch` that started this one was asked for, 1 where no number is found.

    The launcher does not pass the number on, so it is read from its command line (None: that of the parent process), or from
    the configuration that it read.
    """
    if command is None:
        try:
            import psutil  # type: ignore[import-untyped,unused-ignore]  # which accelerate needs

            parent = psutil.Process().parent()
            command = parent.cmdline() if parent else []
        except Exception:  # of another user, ended, or unknown to the system
            return 1
    if "launch" not in command:
        return 1
    options = " ".join(command[command.index("launch") :])
    if found := re.search(r"--num[_-]processes[= ](\d+)", options):
        return int(found[1])
    given = re.search(r"--config[_-]file[= ](\S+)", options)
    if not given and re.search(r"--cpu\b", options):  # the launcher then reads no default configuration
        return 1
    try:
        return int(load_config_from_file(given[1] if given else None).num_processes or 1)
    except Exception:  # no configuration, or one of another kind
        return 1


def _check_backend(accelerator: Accelerator) -> None:
    """Raises RecipeError unless `torch.compile` works with the backend that was asked for, tried on one addition."""
    plugin = accelerator.state.dynamo_plugin
    backend = plugin.backend.value.lower()
    if backend == "no":
        return
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise RecipeError(f"dynamo_backend {backend!r}: torch {torch.__version__} has none of that name, only {', '.join(known)}")
    try:
        torch.compile(lambda x: x + 1, backend=backend)(torch.zeros(2, device=accelerator.device))
    except Exception as error:  # whatever a backend raises where its compiler or library is missing
        raise RecipeError(
            f"dynamo_backend {backend!r} does not work here ({first_line(error)}): install what it needs, or launch with "
            "--dynamo_backend no"
        ) from error


class Processes:
    """The processes of a run: the main one writes, an error there ends all, and a signal to one stops all.

    `failed_write` turns a failed write into the error that is raised.
    """

    def __init__(self, accelerator: Accelerator, failed_write: Callable[[OSError], Exception]) -> None:
        self.accelerator, self.failed_write = accelerator, failed_write
        self.count, self.main = accelerator.num_processes, accelerator.is_main_process
        self.stop_signal: int | None = None

    def write(self, action: Callable[[], object]) -> None:
        """Runs `action` in this process. Raises `failed_write(error)` for an OSError."""
        try:
            action()
        except OSError as error:
            raise self.failed_write(error) from error

    def on_main(self, action: Callable[[], object]) -> None:
        """Runs `action` in the main process. An error there is raised, and ends the other processes too."""
        error: Exception | None = None
        if self.main:
            try:
                self.write(action)
            except Exception as caught:
                error = caught
        if self.count > 1:
            failed = [error is not None]
            broadcast_object_list(failed)
            if failed[0] and not self.main:
                sys.exit(2)  # the main process prints the error
        if error is not None:
            raise error

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean over all processes."""
        if self.count == 1:
            return values
        own = torch.tensor(list(values.values()), dtype=torch.float64, device=self.accelerator.device)
        return dict(zip(values, self.accelerator.reduce(own, "mean").tolist(), strict=True))

    def print(self, text: str) -> None:
        """Prints a line to stderr in the main process, above the progress bar."""
        if self.main:
            tqdm.write(text, file=sys.stderr)

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for a stop, which `stopping` returns; a second one ends the process at once.

        In another thread than the main one, which alone may handle signals, they stay as they are.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for number in before:
                signal.signal(number, self._ask_to_stop)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stopping(self) -> bool:
        """Whether any process was asked to stop; the same answer in all of them."""
        asked = self.stop_signal or 0
        if self.count > 1:
            flag = torch.tensor([asked], device=self.accelerator.device)
            asked = int(self.accelerator.gather(flag).max().item())
            self.stop_signal = asked or None
        return bool(asked)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_signal = number
        signal.signal(number, signal.SIG_DFL)
