"""The training loop: takes a trainer of any method through its schedule and writes the run folder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from tqdm import tqdm

from cyclegan_hub import __version__
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import counted
from cyclegan_hub.evaluation import features, registry
from cyclegan_hub.evaluation.quick import quick_metrics
from cyclegan_hub.imaging import grids, images, plots
from cyclegan_hub.machine import peak_memory
from cyclegan_hub.recipes.presets import compact_of
from cyclegan_hub.training.augment import BatchAugment
from cyclegan_hub.training.launch import Processes
from cyclegan_hub.training.plan import Batches, Plan
from cyclegan_hub.training.run_folder import RunError
from cyclegan_hub.training.trainer import AlarmWatch, Trainer

_REMEDY = "Start again in another --out with a lower lr, or without mixed precision"
SAMPLES = 6  # held-out images of each domain in a sample grid
EVALUATED = 64  # held-out images of each domain in a light evaluation
PLOT_EVERY = 10  # seconds: a plot takes one, as long as a very short epoch


class Loop:
    """Trains `recipe.epochs` epochs, from where the run folder says that the run stopped."""

    def __init__(self, accelerator: Accelerator, plan: Plan, trainer: Trainer, batches: Batches) -> None:
        r = self.recipe = plan.recipe
        self.accelerator, self.trainer, self.batches, self.folder = accelerator, trainer, batches, plan.folder
        self.processes = Processes(accelerator, self._failed_write)
        self.identity = plan.identity | {"fingerprints": batches.fingerprints}
        self.evaluator = light_evaluator(plan) if r.evaluate_every else None
        self.augment = BatchAugment(image_size=r.trained_size, load_size=r.load_size or r.image_size, flip=r.flip)
        self.watches = [AlarmWatch(alarm) for alarm in trainer.alarms]
        self.means = Means()  # of each loss since the last line of the history
        self.per_epoch = batches.steps_per_epoch
        self.pairs = r.batch_size * accelerator.num_processes  # of a step
        self.step = 0
        self.plotted = time.perf_counter()
        self.total = self.end = self.per_epoch * r.epochs  # of the schedule; of this run, which may stop earlier
        self.last_saved: int | None = None

    def run(self, max_steps: int | None) -> int:
        """Trains to the end of the schedule or to `max_steps`; returns the exit code."""
        self.end = min(self.total, max_steps or self.total)
        try:
            self.processes.on_main(lambda: self.folder.open(self.identity))
            self.processes.on_main(lambda: self.folder.write_landmarks(self.batches.landmarks))
            with self.processes.handle_signals():
                self.trainer.prepare(self.accelerator.prepare)
                # Augmentation and pools: other random numbers in each process.
                set_seed(self.identity["seed"] + 1 + self.accelerator.process_index)
                self._resume()
                if self.step < self.end:
                    return self._train()
            self.processes.on_main(self._plot_losses)
            self.accelerator.print(f"{self.folder.path}: already at step {self.step} of {self.total}, nothing to do")
            return 0
        finally:
            self.folder.close()

    def _train(self) -> int:
        """Trains from `self.step` to `self.end`, or to a signal; returns the exit code."""
        accelerator, first = self.accelerator, self.step
        if first == 0:
            self.processes.on_main(lambda: self._write_samples(0))
        if accelerator.log_with:
            accelerator.init_trackers("cyclegan_hub", config={k: str(v) for k, v in self.identity["recipe"].items()})
        self.progress = Progress(
            first=first, end=self.end, per_epoch=self.per_epoch, epochs=self.recipe.epochs, pairs=self.pairs,
            shown=accelerator.is_main_process,
            compact=compact_of(self.recipe) if accelerator.device.type == "cpu" else None,
        )  # fmt: skip
        self.clock = (time.perf_counter(), first)  # of the last line of the history
        while self.step < self.end and not self.processes.stopping():
            self.progress.start_epoch()
            for batch in self.batches.epoch(*divmod(self.step, self.per_epoch)):
                batch = self.augment({key: x.to(accelerator.device) for key, x in batch.items()})
                losses = self.trainer.step(batch, self.accelerator.backward)
                self.step += 1
                self._record(losses)
                if self.step % self.per_epoch == 0 or self.step == self.end or self.processes.stopping():
                    break
                if self.step % self.recipe.save_every == 0:
                    self._save()
            self.progress.end_epoch()
            if self.step % self.per_epoch == 0:
                self._end_epoch(self.step // self.per_epoch)
            self._save()
            self.processes.on_main(partial(self._plot_losses, at_most_every=PLOT_EVERY))
        self.processes.on_main(self._plot_losses)
        self.progress.bar.close()
        accelerator.wait_for_everyone()  # a process that closes its connections early may abort one that still reads
        accelerator.end_training()
        self._print_summary(self.step - first)
        stopped = self.processes.stop_signal
        return 128 + stopped if self.step < self.end and stopped else 0

    def _record(self, losses: dict[str, Tensor]) -> None:
        """Checks the losses of a step, and every `log_every` steps writes their means to `history.jsonl`."""
        values = dict(zip(losses, torch.stack([x.float() for x in losses.values()]).tolist(), strict=True))
        if bad := [name for name, value in values.items() if not math.isfinite(value)]:
            raise self._diverged(f"{', '.join(bad)} became {values[bad[0]]}")
        self.means.add(values)
        self.progress.update(self.step, values)
        lines: list[dict[str, Any]] = []
        for watch in self.watches:
            if watch.update(values):
                lines.append({"step": self.step, "event": "alarm", "message": watch.alarm.message})
                self.processes.print(f"warning: {watch.alarm.message}")
        if self.step % self.recipe.log_every == 0:
            means = self.processes.mean(self.means.take())
            # Since the line before: an average over the run would include the compilation in the first steps.
            now = time.perf_counter()
            speed = (self.step - self.clock[1]) * self.pairs / (now - self.clock[0])
            self.clock = (now, self.step)
            line = {"step": self.step, "epoch": round(self.step / self.per_epoch, 4)}
            rounded = {name: float(f"{value:.6g}") for name, value in means.items()}
            lines.append(line | rounded | {"pairs_per_s": round(speed, 3)})
            self.accelerator.log(means, step=self.step)
            self.progress.bar.set_postfix_str(f"{speed:.1f} pairs/s {losses_text(means)}")
        if lines and self.accelerator.is_main_process:
            self.processes.write(lambda: self.folder.append_history(lines))

    def _end_epoch(self, epoch: int) -> None:
        """Writes samples, an epoch and a light evaluation, as often as the recipe says. Samples first: no epoch without them."""
        r, last = self.recipe, self.step == self.total
        kept = epoch % r.snapshot_every == 0 or last
        if kept or epoch % r.sample_every == 0:
            self.processes.on_main(lambda: self._write_samples(epoch))
        if kept:
            self.processes.on_main(lambda: self.folder.write_epoch(epoch, self._files(epoch), r.keep_epochs))
        if self.evaluator and (epoch % (r.evaluate_every or 1) == 0 or last):
            self.processes.on_main(partial(self._evaluate, self.evaluator, epoch))

    def _write_samples(self, epoch: int) -> None:
        """`samples/epoch-NNN.png`. Raises RunError where an image would hold NaN."""
        self._check_weights()
        held_out = (images.from_uint8(x[:SAMPLES]).to(self.accelerator.device) for x in self.batches.held_out)
        try:
            samples = self.trainer.samples(*held_out)
        except images.ImageError as error:
            raise self._diverged("translations are not finite") from error
        sections = [grids.grid(one.rows, column_labels=one.headings, cell=128) for one in samples]
        self.folder.write_sample(epoch, images.png_bytes(grids.grid([sections])))

    def _evaluate(self, evaluator: Evaluator, epoch: int) -> None:
        """A light evaluation on held-out images: a line of the history, and `best/` if no earlier score was as good."""
        values = evaluator(self.trainer.published(epoch), self.batches.held_out)
        earlier = [line["score"] for line in self.folder.history() if line.get("event") == "evaluation" and "score" in line]
        self.folder.append_history([{"step": self.step, "epoch": float(epoch), "event": "evaluation"} | values])
        if "score" in values and values["score"] < min(earlier, default=math.inf):
            self.folder.write_model("best", self._files(epoch))
        self.accelerator.log(values, step=self.step)
        self.processes.print(f"epoch {epoch}, held out: " + ", ".join(f"{name} {value:.3g}" for name, value in values.items()))

    def _plot_losses(self, at_most_every: float = 0.0) -> None:
        """Writes `losses.png`, unless the last plot is less than `at_most_every` seconds old."""
        if time.perf_counter() - self.plotted < at_most_every:
            return
        panels = self.trainer.panels | registry.panels(self.folder.measured())
        plots.losses(self.folder.history(), self.folder.path / "losses.png", panels=panels)
        self.plotted = time.perf_counter()

    def _files(self, epoch: int) -> dict[str, bytes]:
        """The model as it would be published now: the content of `config.json` and `model.safetensors`."""
        ema = str(getattr(self.recipe, "ema", 0.0))
        metadata = {"epoch": str(epoch), "step": str(self.step), "recipe": self.recipe.name, "ema": ema}
        return self.trainer.published(epoch).files(metadata | {"cyclegan_hub": __version__})

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
            "sums": self.means.sums,
        }
        shared = {
            "step": step,
            "steps_per_epoch": self.per_epoch,
            "trainer": self.trainer.state_dict(),
            "precision": accelerator.mixed_precision,
            "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
        }
        self.processes.on_main(lambda: self.folder.write_landmarks(self.batches.landmarks))  # a stream brings new ones
        self.processes.on_main(lambda: self.folder.stage_state(step))
        self.processes.write(lambda: self.folder.write_rank(step, accelerator.process_index, own))
        accelerator.wait_for_everyone()
        self.processes.on_main(lambda: self.folder.commit_state(step, shared))
        self.last_saved = step
        self.processes.on_main(self._write_last)

    def _resume(self) -> None:
        """Loads the newest state, if there is one."""
        accelerator, step = self.accelerator, self.folder.latest_step()
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
        self.means.sums = own["sums"]
        if accelerator.scaler is not None and shared["scaler"]:
            accelerator.scaler.load_state_dict(shared["scaler"])
        if own["random"] is None:  # of another number of processes: new random numbers, but not those of the first steps
            set_seed((self.identity["seed"] + 1 + accelerator.process_index + step) % 2**32)
            before, now = resumes[-1]["processes"]
            self.processes.print(
                f"resumed inexactly: {counted(before, 'process')} then, {now} now; a step has {counted(self.pairs, 'pair')}"
            )
        else:
            torch.set_rng_state(own["random"])
        if own["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(own["cuda"])
        self.step = self.last_saved = step
        self.processes.on_main(lambda: self.folder.trim_history(step))
        self.processes.on_main(self._write_last)  # a kill right after the state was saved leaves an older one
        self.processes.print(f"resuming {self.folder.path} at step {step} of {self.total}")

    def _write_last(self) -> None:
        self.folder.write_model("last", self._files(self.step // self.per_epoch))

    def _check_weights(self) -> None:
        """Raises RunError unless all weights are finite, which finite losses do not say of the update that follows them."""
        for name, network in self.trainer.networks.items():
            if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
                raise self._diverged(f"weights of {name} are not finite")

    def _diverged(self, what: str) -> RunError:
        return RunError(f"step {self.step}: {what}; {self._saved_state()}. {_REMEDY}")

    def _failed_write(self, error: OSError) -> RunError:
        return RunError(
            f"cannot write to {self.folder.path} at step {self.step}: {error.strerror or error}; {self._saved_state()}. "
            "Free space, then run the same command again"
        )

    def _saved_state(self) -> str:
        if self.last_saved is None:
            return "no state was saved yet"
        return f"the state of step {self.last_saved} is safe in {self.folder.path / 'state'}"

    def _print_summary(self, steps: int) -> None:
        seconds, pairs, memory = time.perf_counter() - self.progress.started, steps * self.pairs, peak_memory()
        if self.step < self.end:
            self.processes.print(f"stopped at step {self.step} with everything saved: run the same command to resume")
        self.accelerator.print(
            f"step {self.step} of {self.total}: {counted(pairs, 'pair')} in {seconds:.0f} s ({pairs / seconds:.2f} pairs/s), "
            f"{'' if memory is None else f'peak memory {memory:.2f} GiB, '}{self.folder.path / 'last'}"
        )


# (published model, held-out images) -> metrics, of which a smaller "score" is better
Evaluator = Callable[[Any, Any], dict[str, float]]


def light_evaluator(plan: Plan) -> Evaluator:
    """Evaluates by the domain encoder, and by its classifier where it knows both domains. Raises UserError without an encoder."""
    domain, extractor = plan.recipe.domain, features.domain_encoder()
    known = domain in DOMAINS and plan.labels == DOMAINS[domain].labels and len(plan.labels) == 2
    classifier = features.side_classifier(domain) if known else None
    return lambda model, held_out: quick_metrics(model, tuple(x[:EVALUATED] for x in held_out), extractor, classifier)


class Means:
    """Means of named values since they were last taken. A value need not be there at every step."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}  # of each value: its sum, and how many there were

    def add(self, values: Mapping[str, float]) -> None:
        """Adds the values of one more step."""
        for name, value in values.items():
            total, times = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value, times + 1

    def take(self) -> dict[str, float]:
        """The means; the next ones start from nothing."""
        means = {name: total / times for name, (total, times) in self.sums.items()}
        self.sums = {}
        return means


# Progress for the terminal: a bar; without a terminal (nohup, a notebook, CI) lines.

LINE_EVERY = 30.0  # seconds at most between two lines without a terminal
_LOSSES = 6  # in a line
_TIMED = 3  # steps from which the hours on a CPU are estimated


class Progress:
    """Counts steps from `first` (done before) to `end`, each of `pairs` images or pairs, in epochs of `per_epoch` steps.

    `shown` False, in a process that is not the main one, prints nothing. `compact` names a recipe for a CPU, which is
    recommended beside the hours that this one will take; with None no hours are printed.
    """

    def __init__(
        self, *, first: int, end: int, per_epoch: int, epochs: int, pairs: int, shown: bool, compact: str | None = None
    ) -> None:
        self.first, self.end, self.per_epoch, self.epochs = first, end, per_epoch, epochs
        self.pairs, self.shown, self.compact = pairs, shown, compact
        self.bar = tqdm(total=end, initial=first, unit="step", disable=None if shown else True)
        self.lines = shown and bool(self.bar.disable)
        self.started = self.epoch_started = self.line_time = time.perf_counter()
        self.line_step, self.step = first, first
        self.second_step: float | None = None  # when the first step, which may compile, was over
        self.means = Means()  # since the last line

    def update(self, step: int, losses: Mapping[str, float]) -> None:
        """Takes the losses of one more step; prints a line if the last one is long ago."""
        self.step = step
        self.bar.update(1)
        self.means.add(losses)
        now = time.perf_counter()
        done = step - self.first
        if done == 1:
            self.second_step = now
        if self.compact and self.shown and done == min(_TIMED, self.end - self.first):
            self._print_hours(now, done)
        if self.lines and now - self.line_time >= LINE_EVERY:
            self._print_line(now, "")

    def start_epoch(self) -> None:
        """Starts the clock of an epoch: saving and samples after the one before do not count."""
        self.epoch_started = self.line_time = time.perf_counter()

    def end_epoch(self) -> None:
        """Prints a line with the seconds of the epoch, or of the part of it that was trained now."""
        now = time.perf_counter()
        if self.lines:
            self._print_line(now, f", epoch in {duration(now - self.epoch_started)}")

    def _print_line(self, now: float, more: str) -> None:
        rate = (self.step - self.line_step) / max(now - self.line_time, 1e-9)  # steps a second since the line before
        if self.step > self.line_step:
            more = f", {rate * self.pairs:.1f} pairs/s, {duration((self.end - self.step) / rate)} left{more}"
        epoch = min(-(-self.step // self.per_epoch), self.epochs)
        losses = losses_text(self.means.take())  # none since a line that was just printed
        print(f"epoch {epoch} of {self.epochs}, step {self.step} of {self.end}{losses and f': {losses}'}{more}", flush=True)
        self.line_time, self.line_step = now, self.step

    def _print_hours(self, now: float, done: int) -> None:
        since, steps = (self.second_step, done - 1) if done > 1 and self.second_step else (self.started, done)
        seconds, left = (now - since) / steps, self.end - self.first
        tqdm.write(
            f"on this CPU the {counted(left, 'step')} to go will take about {duration(left * seconds)} ({seconds:.2g} s a step): "
            f"the recipe {self.compact} is made for a CPU"
        )


def duration(seconds: float) -> str:
    """ "45 s", "12 min" or "3.4 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def losses_text(losses: Mapping[str, float]) -> str:
    """The first losses that a trainer returns."""
    return " ".join(f"{name}={value:.3g}" for name, value in list(losses.items())[:_LOSSES])
