"""The training loop: knows no method. One `Loop` takes a trainer through its schedule and keeps the run folder true."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from tqdm import tqdm

from cyclegan_hub import __version__
from cyclegan_hub.evaluation import rows
from cyclegan_hub.imaging import grids as image_grid
from cyclegan_hub.imaging import images, plots
from cyclegan_hub.machine import peak_memory
from cyclegan_hub.recipes.presets import compact_of
from cyclegan_hub.training.augment import BatchAugment
from cyclegan_hub.training.launch import Processes
from cyclegan_hub.training.run_folder import RunError, RunFolder
from cyclegan_hub.training.trainer import AlarmWatch, Trainer

if TYPE_CHECKING:
    from cyclegan_hub.training.plan import Batches, Plan

_CALMER = "Start anew in another --out with a lower lr, or without mixed precision"
Judge = Callable[[Any, Any], dict[str, float]]  # (published model, held-out images) -> figures, "score" the smaller the better
SAMPLES = 6  # held-out images of each side in a sample grid


class Loop:
    """Takes a trainer through `recipe.epochs` epochs, resuming where the run folder says."""

    def __init__(
        self, accelerator: Accelerator, plan: Plan, trainer: Trainer, batches: Batches, judge: Judge | None = None
    ) -> None:
        self.accelerator, self.recipe, self.trainer, self.batches = accelerator, plan.recipe, trainer, batches
        self.folder, self.processes = RunFolder(plan.out), Processes(accelerator, self._failed_write)
        self.identity = plan.identity | {"fingerprints": batches.fingerprints}
        self.seed, self.log_with, self.judge = plan.identity["seed"], accelerator.log_with, judge
        r = self.recipe
        self.augment = BatchAugment(image_size=r.trained_size, load_size=r.load_size or r.image_size, flip=r.flip)
        self.step = 0
        self.total = self.end = batches.steps_per_epoch * r.epochs  # of the schedule; of this run, which may stop earlier
        self.pairs = r.batch_size * accelerator.num_processes  # of a step
        self.watches = [AlarmWatch(alarm) for alarm in trainer.alarms]
        self.sums: dict[str, tuple[float, int]] = {}  # of each loss since the last line of the history: its sum, how often
        self.last_saved: int | None = None

    def run(self, max_steps: int | None) -> int:
        """Trains to the end of the schedule or to `max_steps`; returns the exit code."""
        try:
            self.processes.on_main(lambda: self.folder.open(self.identity))
            self.processes.on_main(lambda: self.folder.write_landmarks(self.batches.landmarks))
            with self.processes.listening():
                self.end = min(self.total, max_steps or self.total)
                return self._run()
        finally:
            self.folder.close()

    def _run(self) -> int:
        """From the newest state, if there is one, to step `self.end`."""
        self.trainer.prepare(self.accelerator.prepare)
        set_seed(self.seed + 1 + self.accelerator.process_index)  # augmentation and pools: other draws in each process
        self._resume()
        if self.step >= self.end:
            self.processes.on_main(self._draw_losses)
            self.accelerator.print(f"{self.folder.path}: already at step {self.step} of {self.total}, nothing to do")
            return 0
        if self.step == 0:
            self.processes.on_main(lambda: self._draw_samples(0))
        if self.log_with:
            self.accelerator.init_trackers("cyclegan_hub", config={k: str(v) for k, v in self.identity["recipe"].items()})
        first = self.step
        self.clock = (time.perf_counter(), first)
        self.progress = Progress(
            first=first, end=self.end, per_epoch=self.batches.steps_per_epoch, epochs=self.recipe.epochs, pairs=self.pairs,
            shown=self.accelerator.is_main_process,
            compact=compact_of(self.recipe) if self.accelerator.device.type == "cpu" else None,
        )  # fmt: skip
        while self.step < self.end and not self.processes.stopping():
            self._train_epoch()
        self.progress.close()
        self.accelerator.wait_for_everyone()  # a process that closes its connections early may abort one that still reads
        self.accelerator.end_training()
        self._print_summary(self.step - first)
        stopped = self.processes.stop_signal
        return 128 + stopped if self.step < self.end and stopped else 0

    def _train_epoch(self) -> None:
        """From the current step to the end of its epoch, or to `self.end`, or to a signal; saves before it returns."""
        r, per_epoch = self.recipe, self.batches.steps_per_epoch
        epoch, start = divmod(self.step, per_epoch)
        self.progress.start_epoch()
        for batch in self.batches.epoch(epoch, start):
            batch = self.augment({key: x.to(self.accelerator.device) for key, x in batch.items()})
            losses = self.trainer.step(batch, self.accelerator.backward)
            self.step += 1
            self._record(losses)
            at_end = self.step % per_epoch == 0 or self.step == self.end
            if at_end or self.processes.stopping():
                break
            if self.step % r.save_every == 0:
                self._save()
        self.progress.end_epoch()
        done, part = divmod(self.step, per_epoch)
        if part == 0:
            kept = done % r.snapshot_every == 0 or self.step == self.total
            if kept or done % r.sample_every == 0:
                self.processes.on_main(lambda: self._draw_samples(done))
            if kept:
                self.processes.on_main(lambda: self._keep_epoch(done))
            if self.judge and (done % (r.evaluate_every or 1) == 0 or self.step == self.total):
                self.processes.on_main(lambda: self._evaluate(done))
        self._save()
        self.processes.on_main(self._draw_losses)

    def _record(self, losses: dict[str, Tensor]) -> None:
        """Sums up, checks, and every `log_every` steps writes a line of `history.jsonl`."""
        values = dict(zip(losses, torch.stack([x.float() for x in losses.values()]).tolist(), strict=True))
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise RunError(f"step {self.step}: {', '.join(bad)} became {values[bad[0]]}; {self._what_is_safe()}. {_CALMER}")
        for name, value in values.items():
            total, times = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value, times + 1
        lines: list[dict[str, Any]] = []
        for watch in self.watches:
            if watch.update(values):
                lines.append({"step": self.step, "event": "alarm", "message": watch.alarm.message})
                self.processes.say(f"warning: {watch.alarm.message}")
        self.progress.update(self.step, values)
        if self.step % self.recipe.log_every == 0:
            means = self.processes.mean({name: total / times for name, (total, times) in self.sums.items()})
            self.sums = {}
            # Since the line before: an average over the run would carry the first steps' compilation along.
            now = time.perf_counter()
            speed = (self.step - self.clock[1]) * self.pairs / (now - self.clock[0])
            self.clock = (now, self.step)
            line = {"step": self.step, "epoch": round(self.step / self.batches.steps_per_epoch, 4)}
            rounded = {name: float(f"{value:.6g}") for name, value in means.items()}
            lines.append(line | rounded | {"pairs_per_s": round(speed, 3)})
            self.accelerator.log(means, step=self.step)
            self.progress.set_losses(means, speed)
        if lines and self.accelerator.is_main_process:
            self.processes.write(lambda: self.folder.append_history(lines))

    # ------------------------------------------------------------------------------------- saving and resuming
    def _save(self) -> None:
        """The whole state, then `last/`. After this call a kill loses nothing up to this step."""
        if self.last_saved == self.step:
            return
        accelerator, step = self.accelerator, self.step
        self._check_weights()
        own = {
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
            "trainer": self.trainer.own_state_dict(),
            "data": self.batches.state_dict(),
            "watches": [watch.state_dict() for watch in self.watches],
            "sums": self.sums,
        }
        shared = {
            "step": step,
            "steps_per_epoch": self.batches.steps_per_epoch,
            "trainer": self.trainer.state_dict(),
            "precision": accelerator.mixed_precision,
            "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
        }
        self.processes.on_main(lambda: self.folder.write_landmarks(self.batches.landmarks))  # of a stream there are new ones
        self.processes.on_main(lambda: self.folder.stage_state(step))
        self.processes.write(lambda: self.folder.write_rank(step, accelerator.process_index, own))
        accelerator.wait_for_everyone()
        self.processes.on_main(lambda: self.folder.commit_state(step, shared))
        self.last_saved = step
        self.processes.on_main(self._write_last)

    def _resume(self) -> None:
        """Takes up the newest state, if there is one."""
        accelerator = self.accelerator
        step = self.folder.latest_step()
        if step is None:
            self.processes.on_main(lambda: self.folder.trim_history(0))
            return
        resumes = self.identity.get("inexact_resumes", [])
        inexact = bool(resumes) and resumes[-1]["step"] == step
        shared, own = self.folder.load_state(step, accelerator.process_index, accelerator.num_processes, inexact)
        if shared["precision"] != accelerator.mixed_precision:
            raise RunError(
                f"{self.folder.path} holds another run: mixed_precision is {shared['precision']!r} there and "
                f"{accelerator.mixed_precision!r} now. Launch it as before, or give another folder with --out"
            )
        self.trainer.load_state_dict(shared["trainer"])
        self.trainer.load_own_state_dict(own["trainer"])
        if own["data"] is not None:
            self.batches.load_state_dict(own["data"])
        for watch, state in zip(self.watches, own["watches"], strict=True):
            watch.load_state_dict(state)
        self.sums = own["sums"]
        if accelerator.scaler is not None and shared["scaler"]:
            accelerator.scaler.load_state_dict(shared["scaler"])
        if own["random"] is None:  # of another number of processes: other draws, and not those of the first steps again
            set_seed((self.seed + 1 + accelerator.process_index + step) % 2**32)
            before, now = resumes[-1]["processes"]
            self.processes.say(f"resumed inexactly: {before} processes then, {now} now; a step has {self.pairs} pairs")
        else:
            torch.set_rng_state(own["random"])
        if own["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(own["cuda"])
        self.step = self.last_saved = step
        self.processes.on_main(lambda: self.folder.trim_history(step))
        self.processes.on_main(self._write_last)  # a kill right after the state was saved leaves an older one
        self.processes.say(f"resuming {self.folder.path} at step {step} of {self.total}")

    def _write_last(self) -> None:
        self.folder.write_last(self._files(self.step // self.batches.steps_per_epoch))

    def _draw_losses(self) -> None:
        keys = self.folder.measured()
        panels = self.trainer.panels | rows.panels(keys)
        plots.losses(self.folder.history(), self.folder.path / "losses.png", panels=panels)

    def _check_weights(self) -> None:
        """Finite losses say nothing of the update that followed them. Raises RunError: nothing of this step is written."""
        for name, network in self.trainer.networks.items():
            if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
                raise RunError(f"step {self.step}: weights of {name} are not finite; {self._what_is_safe()}. {_CALMER}")

    def _draw_samples(self, epoch: int) -> None:
        """`samples/epoch-NNN.png`. Raises RunError where a picture would hold NaN."""
        self._check_weights()
        device = self.accelerator.device
        held = (images.from_uint8(x[:SAMPLES]).to(device) for x in self.batches.held_out)
        try:
            samples = self.trainer.samples(*held)
        except images.ImageError as error:
            raise RunError(f"step {self.step}: translations are not finite; {self._what_is_safe()}. {_CALMER}") from error
        grids = [image_grid.grid(grid.rows, column_labels=grid.columns, cell=128) for grid in samples]
        self.folder.write_sample(epoch, images.png_bytes(image_grid.grid([grids])))

    def _keep_epoch(self, epoch: int) -> None:
        """`epochs/epoch-NNN/`, after its picture was drawn: what gives no picture is not kept as an epoch."""
        self.folder.write_epoch(epoch, self._files(epoch), self.recipe.keep_epochs)

    def _evaluate(self, epoch: int) -> None:
        """A light evaluation on held-out images: a line of the history, and `best/` if no earlier one scored as well."""
        assert self.judge is not None
        figures = self.judge(self.trainer.published(epoch), self.batches.held_out)
        earlier = [line["score"] for line in self.folder.history() if line.get("event") == "evaluation" and "score" in line]
        self.folder.append_history([{"step": self.step, "epoch": float(epoch), "event": "evaluation"} | figures])
        if "score" in figures and figures["score"] < min(earlier, default=math.inf):
            self.folder.write_best(self._files(epoch))
        self.accelerator.log(figures, step=self.step)
        self.processes.say(f"epoch {epoch}, held out: " + ", ".join(f"{name} {value:.3g}" for name, value in figures.items()))

    def _files(self, epoch: int) -> dict[str, bytes]:
        """The published model as it is now: content of `config.json` and `model.safetensors`."""
        metadata = {
            "epoch": str(epoch),
            "step": str(self.step),
            "recipe": self.recipe.name,
            "ema": str(getattr(self.recipe, "ema", 0.0)),
        }
        return self.trainer.published(epoch).files(metadata | {"cyclegan_hub": __version__})

    # ------------------------------------------------------------------------------------------------ words
    def _failed_write(self, error: OSError) -> RunError:
        """One line that says what is safe."""
        return RunError(
            f"cannot write to {self.folder.path} at step {self.step}: {error.strerror or error}; {self._what_is_safe()}. "
            "Free space, then run the same command again"
        )

    def _what_is_safe(self) -> str:
        if self.last_saved is None:
            return "no state was saved yet"
        return f"the state of step {self.last_saved} is safe in {self.folder.path / 'state'}"

    def _print_summary(self, steps: int) -> None:
        seconds, pairs, memory = self.progress.seconds(), steps * self.pairs, peak_memory()
        if self.step < self.end:
            self.processes.say(f"stopped at step {self.step} with everything saved: run the same command to go on")
        self.accelerator.print(
            f"step {self.step} of {self.total}: {pairs} pairs in {seconds:.0f} s ({pairs / seconds:.2f} pairs/s), "
            f"{'' if memory is None else f'peak memory {memory:.2f} GiB, '}{self.folder.path / 'last'}"
        )


# What a person sees of a training: a bar on a terminal; without one (nohup, a notebook, CI) lines.


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
