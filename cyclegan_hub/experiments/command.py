"""`cyclegan-hub experiment` and, in a clone, `train/experiments.py`: trains and measures what an experiment compares.

No torch on import, so that wrong arguments are answered at once.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclegan_hub.errors import exit_code, limit_threads
from cyclegan_hub.experiments.registry import EXPERIMENTS, Experiment, ExperimentError, find_experiment
from cyclegan_hub.files import write_atomic


def parse(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    listed = "\n".join(f"  {e.name:<16} {e.question}" for e in EXPERIMENTS.values())
    parser = argparse.ArgumentParser(
        prog=prog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train and measure what a source compared, and write its table. The same command again goes on with what\n"
        "is missing.",
        epilog=f"experiments:\n{listed}\n\nPrecision: accelerate's own variable, e.g. ACCELERATE_MIXED_PRECISION=bf16.",
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="which experiment")
    add("--data", metavar="[NAME=]FOLDER_OR_ID", action="append", default=[], help="a set of images, as for train; NAME where an "
        "experiment takes several; without it the domain's own data sets of the Hub")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="where runs, report.html and table.md go (default: runs/experiments/NAME)")
    add("--scale", type=float, default=1.0, metavar="S", help="train this share of every schedule: 0.1 "
        "shortens each epoch to a tenth")  # fmt: skip
    add("--size", choices=("full", "small"), default="full", help="small: every row at 64 px and width 24")
    add("--jobs", type=int, default=1, metavar="N", help="trainings at a time, each on cores of its own (default: 1)")
    add("--extractor", default="encoder", metavar="TEXT", help="as for evaluate (default: encoder)")
    add("--training", type=int, default=3000, metavar="N", help="as for evaluate: training images of a side, for MiFID, "
        "authenticity and the floor (default: 3000)")  # fmt: skip
    add("--dry-run", action="store_true", help="list the trainings with their steps, estimate the hours, and stop")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> int:
    """Plans, estimates, trains, measures and reports. Returns the exit code."""
    experiment = find_experiment(arguments.name)
    if arguments.training < 1:
        raise ExperimentError(f"--training {arguments.training}: must be at least 1")
    out = arguments.out or Path("runs") / "experiments" / experiment.name
    data = named_data(experiment, arguments.data)
    settings = {"experiment": experiment.name} | {
        name: getattr(arguments, name) for name in ("scale", "size", "extractor", "training")
    }
    check_same(out, settings)
    from cyclegan_hub.experiments.plan import plan_runs
    from cyclegan_hub.experiments.run import Measured, core_groups, is_done, run_all

    cores = core_groups(arguments.jobs)
    planned = plan_runs(experiment, data, out, scale=arguments.scale, size=arguments.size)
    left = [one for one in planned if not is_done(one)]
    for one in planned:
        print(f"{one.name}: {one.plan.recipe.name}, {one.steps:,} steps, {one.pairs:,} pairs{'' if one in left else ', done'}")
    if left:
        from cyclegan_hub.experiments.estimate import estimate_hours

        hours = estimate_hours(left, len(cores[0]), arguments.jobs)
        print(
            f"{len(left)} of {len(planned)} trainings to do: about {hours:.2g} hours, and minutes to measure each",
            flush=True,
        )
    if arguments.dry_run:
        return 0
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "experiment.json", (json.dumps(settings, indent=2) + "\n").encode())
    run_all(left, arguments.jobs, Measured(arguments.extractor, arguments.training))
    from cyclegan_hub.experiments.report import write_report
    from cyclegan_hub.experiments.table import collect

    written = write_report(collect(experiment, planned), planned, out, scale=arguments.scale, size=arguments.size)
    print((out / "table.md").read_text("utf-8"))
    print(", ".join(map(str, written)))
    return 0


def named_data(experiment: Experiment, given: Sequence[str]) -> dict[str, str]:
    """`--data` by the names that the experiment uses. Raises ExperimentError where one is missing or there twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals or name not in experiment.data:
            if len(experiment.data) > 1:
                raise ExperimentError(f"--data {text}: say which it is, e.g. --data {experiment.data[0]}={text}")
            name, rest = experiment.data[0], text
        if name in found:
            raise ExperimentError(f"--data {text}: {name} is given twice")
        found[name] = rest
    return found


def check_same(out: Path, settings: dict[str, object]) -> None:
    """Raises ExperimentError where `experiment.json` says that the folder was begun with other settings."""
    path = out / "experiment.json"
    if not path.is_file():
        return
    try:
        before = json.loads(path.read_bytes())
        differing = [name for name, value in settings.items() if before[name] != value]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{path} is damaged ({type(error).__name__})"
        raise ExperimentError(f"{reason}: move the folder away, or give another --out") from None
    if differing:
        name = differing[0]
        was = f"{out} was begun with {name} {before[name]}, not {settings[name]}"
        raise ExperimentError(f"{was}: go on with that, or give another --out")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains, 128 + n stopped by signal n with everything saved."""
    arguments = parse(argv, prog)
    limit_threads()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return exit_code(lambda: run(arguments))
    except KeyboardInterrupt as stop:
        print("stopped: what is done stays done; the same command goes on", file=sys.stderr)
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    """A request to end is answered as Ctrl-C is: the trainings are asked to save and stop, and waited for."""
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    sys.exit(main(prog="python -m cyclegan_hub.experiments.command"))
