"""What a person sees of a training: a bar on a terminal; without one (nohup, a notebook, CI) lines."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tqdm import tqdm

LINE_EVERY = 30.0  # seconds at most between two lines without a terminal
_NAMED = 6  # losses in a line: the first ones that a trainer returns
_MEASURED = 3  # steps that the hours expected on a CPU are taken from


class Progress:
    """Counts steps from `first` (done before) to `end`, `pairs` of images each, in epochs of `per_epoch` steps.

    With `shown` False (a process that is not the main one) it prints nothing. `compact` is the name of a recipe for a CPU, to
    be named beside the hours that this one will take; None: nothing is said of hours.
    """

    def __init__(
        self, *, first: int, end: int, per_epoch: int, epochs: int, pairs: int, shown: bool, compact: str | None = None
    ) -> None:
        self.first, self.end, self.per_epoch, self.epochs, self.pairs, self.compact = (
            first,
            end,
            per_epoch,
            epochs,
            pairs,
            compact,
        )
        self.bar = tqdm(total=end, initial=first, unit="step", disable=None if shown else True)
        self.lines, self.shown = shown and bool(self.bar.disable), shown
        self.started = self.epoch_started = self.line_time = time.perf_counter()
        self.line_step, self.step = first, first
        self.second_step: float | None = None  # when the first step, which may compile, was over
        self.sums: dict[str, tuple[float, int]] = {}  # since the last line

    def update(self, step: int, losses: Mapping[str, float]) -> None:
        """Takes the losses of one more step; prints a line if the last one is long ago."""
        self.step = step
        self.bar.update(1)
        for name, value in losses.items():
            total, times = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value, times + 1
        now = time.perf_counter()
        done = step - self.first
        if done == 1:
            self.second_step = now
        if self.compact and self.shown and done == min(_MEASURED, self.end - self.first):
            self._say_hours(now, done)
        if self.lines and now - self.line_time >= LINE_EVERY:
            self._print_line(now, "")

    def start_epoch(self) -> None:
        """Begins to count the seconds of an epoch: what was saved and drawn after the one before is no training."""
        self.epoch_started = self.line_time = time.perf_counter()

    def end_epoch(self) -> None:
        """Prints a line with the seconds of the epoch, or of the part of it that was trained now."""
        now = time.perf_counter()
        if self.lines:
            self._print_line(now, f", epoch in {duration(now - self.epoch_started)}")

    def set_losses(self, losses: Mapping[str, float], speed: float) -> None:
        """Shows means and pairs per second behind the bar."""
        self.bar.set_postfix_str(f"{speed:.1f} pairs/s {_text(losses)}")

    def close(self) -> None:
        self.bar.close()

    def seconds(self) -> float:
        """Since this object was made."""
        return time.perf_counter() - self.started

    def _print_line(self, now: float, more: str) -> None:
        rate = (self.step - self.line_step) / max(now - self.line_time, 1e-9)  # steps a second since the line before
        if self.step > self.line_step:
            more = f", {rate * self.pairs:.1f} pairs/s, {duration((self.end - self.step) / rate)} left{more}"
        means = {name: total / times for name, (total, times) in self.sums.items()}
        epoch = min(-(-self.step // self.per_epoch), self.epochs)
        print(f"epoch {epoch} of {self.epochs}, step {self.step} of {self.end}: {_text(means)}{more}", flush=True)
        self.line_time, self.line_step, self.sums = now, self.step, {}

    def _say_hours(self, now: float, done: int) -> None:
        since, steps = (self.second_step, done - 1) if done > 1 and self.second_step else (self.started, done)
        seconds = (now - since) / steps
        left = self.end - self.first
        tqdm.write(
            f"on this CPU the {left:,} steps to go will take about {left * seconds / 3600:.1f} hours ({seconds:.2g} s a step): "
            f"the recipe {self.compact} is made for a CPU"
        )


def duration(seconds: float) -> str:
    """ "45 s", "12 min" or "3.4 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _text(losses: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.3g}" for name, value in list(losses.items())[:_NAMED])
