"""Trainings in processes of their own that need not import anything first: each is forked from a process that has.

A start takes some hundredths of a second instead of four seconds. That process runs nothing itself, so that nothing of a test
is inherited. Where the system cannot fork, each process imports for itself.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from cyclegan_hub.command_line import run_command
from cyclegan_hub.training.command import leave

_context = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
if hasattr(_context, "set_forkserver_preload"):
    _context.set_forkserver_preload(
        [
            "cyclegan_hub.training.loop",
            "cyclegan_hub.training.cyclegan",
            "cyclegan_hub.data.batches",
            # What libraries import when they are first used.
            "matplotlib.pyplot",
            "sympy",
        ]
    )


class WarmProcess:
    """`python -m cyclegan_hub.training ARGUMENTS` with some environment variables set; `prepare` is called there first."""

    def __init__(
        self, arguments: Sequence[object], variables: dict[str, str] | None = None, prepare: Callable[[], None] | None = None
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cyclegan_hub-test-"))
        environment = dict(os.environ) | (variables or {})
        self.process = _context.Process(
            target=_run, args=([str(one) for one in arguments], environment, self.folder, prepare), daemon=True
        )
        self.process.start()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """As of Popen."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, number)

    def wait(self, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Its exit code and what it printed. Ends it after so many seconds."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"it did not end in {timeout:.0f} s:\n{(self.folder / 'err').read_text()}")
        out, err = ((self.folder / name).read_text() if (self.folder / name).exists() else "" for name in ("out", "err"))
        return subprocess.CompletedProcess([], self.process.exitcode, out, err)


def two_processes(
    arguments: Sequence[object], prepare: Callable[[], None] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A training of two processes on the CPU, as `torchrun --nproc_per_node 2` starts them; what both of them printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    world |= {"ACCELERATE_USE_CPU": "true"}
    started = [WarmProcess(arguments, variables | world | {"RANK": rank, "LOCAL_RANK": rank}, prepare) for rank in "01"]
    done = [one.wait() for one in started]
    code = next((one.returncode for one in done if one.returncode), 0)
    return subprocess.CompletedProcess([], code, done[0].stdout + done[1].stdout, done[0].stderr + done[1].stderr)


def _run(arguments: list[str], environment: dict[str, str], folder: Path, prepare: Callable[[], None] | None) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False, buffering=1) for number in (1, 2))  # noqa: SIM115
    if prepare is not None:
        prepare()
    leave(run_command("cyclegan_hub.training.command", arguments))
