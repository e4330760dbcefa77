"""What the processes of a run do together: the main one writes, an error there ends all, and a signal to one stops all."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from tqdm import tqdm


class Processes:
    """`failed_write` turns a write that failed into the error of one line that says what is safe."""

    def __init__(self, accelerator: Accelerator, failed_write: Callable[[OSError], Exception]) -> None:
        self.accelerator, self.failed_write = accelerator, failed_write
        self.count, self.index, self.main = accelerator.num_processes, accelerator.process_index, accelerator.is_main_process
        self.stop_signal: int | None = None

    def write(self, action: Callable[[], object]) -> None:
        """Runs `action` in this process; a failed write is raised as `failed_write` explains it."""
        try:
            action()
        except OSError as error:
            raise self.failed_write(error) from error

    def on_main(self, action: Callable[[], object]) -> None:
        """Runs `action` in the main process; an error there ends every process, with the same words."""
        error: Exception | None = None
        if self.main:
            try:
                self.write(action)
            except Exception as caught:
                error = caught
        if self.count > 1:
            message: list[str | None] = [None if error is None else str(error)]
            broadcast_object_list(message)
            if message[0] is not None and not self.main:
                sys.exit(2)  # the main process says why
        if error is not None:
            raise error

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean over all processes."""
        if self.count == 1:
            return values
        own = torch.tensor(list(values.values()), dtype=torch.float64, device=self.accelerator.device)
        return dict(zip(values, self.accelerator.reduce(own, "mean").tolist(), strict=True))

    def say(self, text: str) -> None:
        """A line to stderr from the main process, above the bar."""
        if self.main:
            tqdm.write(text, file=sys.stderr)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for a stop, which `stopping` answers; a second one ends the process at once."""
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
