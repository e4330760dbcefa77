"""Distances of groups of held-out photographs, for the card: of darker and lighter skin, and of labels given by eye.

python train/groups.py runs/cartoon --data my/faces --label glasses=train/groups/cartoon-glasses.txt
python train/groups.py pretrained/smile --data my/faces --by-eye "darker half=7 of 16" --sheets groups

Of the best epoch in metrics.json, which `evaluate` has to write first; the result is added to that file, and the card shows it.
A label's file has a line for each image that has it: its content hash. `--sheets` writes grids of the first 16 of each group, to
be counted by eye: they show the photographs, so do not publish them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from cyclegan_hub.command_line import run_command
from cyclegan_hub.evaluation import features
from cyclegan_hub.evaluation.generate import resize, translate
from cyclegan_hub.evaluation.groups import KEY, Group, GroupTable, halves, typology_angles
from cyclegan_hub.evaluation.inputs import MAX_HELD_OUT, Images, Source, find_data, open_source, read_images
from cyclegan_hub.evaluation.record import EvaluationError, read_metrics, write_metrics
from cyclegan_hub.evaluation.registry import Reference, Subject, base_name, measure
from cyclegan_hub.files import write_atomic
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.machine import plain_defaults
from cyclegan_hub.models.inference import optimize_for_cpu
from cyclegan_hub.models.protocols import Translator

SHOWN = 16  # images of a group in its grid
FEWEST = 10  # photographs of a group: the interval of a distance of fewer would say nothing
DIRECTION = "a_to_b"
Members = dict[tuple[str, str], list[int]]  # (split, name of the group) -> indices of its photographs


def members_of(read: Images, source: Source, labels: dict[str, Path]) -> Members:
    """The groups of the held-out photographs of A. Raises EvaluationError for a group of fewer than FEWEST."""
    eyes = source.eyes[0]
    assert eyes is not None
    darker, lighter = halves(typology_angles(read.held_out[0], eyes))
    found: Members = {("skin", "darker half"): darker, ("skin", "lighter half"): lighter}
    hashes = read.sides[0].held_out_hashes
    for name, path in labels.items():
        marked = set(path.read_text("utf-8").split())
        found[name, name] = [i for i, digest in enumerate(hashes) if digest in marked]
        found[name, f"without {name}"] = [i for i, digest in enumerate(hashes) if digest not in marked]
    for (_, group), rows in found.items():
        if len(rows) < FEWEST:
            raise EvaluationError(f"{group}: {len(rows)} of {len(hashes)} held-out photographs, and {FEWEST} are needed")
    return found


def measure_groups(
    model: Translator, read: Images, members: Members, extractor: features.Extractor, epoch: str, seed: int
) -> tuple[GroupTable, Tensor]:
    """The table, and the translations of all photographs, uint8 (N, C, S, S)."""
    outputs = translate(model, read.held_out[0], DIRECTION)
    scaled = read.scaled.held_out
    target = extractor(scaled[1])
    reference = Reference(extractor, target, target, seed)
    of_outputs, of_inputs = extractor(resize(outputs, *scaled[1].shape[:0:-2])), extractor(scaled[0])
    groups, notes = [], list[str]()
    for (split, name), rows in members.items():
        values, before = (
            {base_name(key): x for key, x in measure(Subject(x[rows], reference), name, notes, _of_distance).items()}
            for x in (of_outputs, of_inputs)
        )
        if notes:
            raise EvaluationError(notes[0])
        numbers: Any = [values["mmd"], values["mmd_low"], values["mmd_high"], before["mmd"]]
        groups.append(Group(split, name, len(rows), *(round(x, 3) for x in numbers)))
    return GroupTable(epoch, DIRECTION, extractor.metric("mmd"), tuple(groups)), outputs


def _of_distance(row: Any) -> bool:
    return row.name in ("mmd", "mmd_low", "mmd_high")


def write_sheets(folder: Path, read: Images, outputs: Tensor, members: Members) -> None:
    """A grid for each group: the first photographs in file order, each beside its translation."""
    folder.mkdir(parents=True, exist_ok=True)
    for (_, name), rows in members.items():
        cells = [[images.to_pil(images.from_uint8(x[i])) for x in (read.held_out[0], outputs)] for i in rows[:SHOWN]]
        pairs = [cells[i] + (cells[i + 1] if i + 1 < len(cells) else []) for i in range(0, len(cells), 2)]
        write_atomic(folder / f"{name.replace(' ', '-')}.png", images.png_bytes(grids.grid(pairs, cell=128)))


def _given(texts: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE texts. Raises EvaluationError for another form."""
    found = {name.strip(): value.strip() for name, _, value in (text.partition("=") for text in texts)}
    if not all(name and value for name, value in found.items()):
        raise EvaluationError(f"--{option} {' '.join(texts)}: give NAME=VALUE")
    return found


@plain_defaults()
def run(args: argparse.Namespace) -> int:
    """Measures the groups, adds them to metrics.json and prints them; returns 0."""
    labels = {name: Path(path) for name, path in _given(args.label, "label").items()}
    if missing := [path for path in labels.values() if not path.is_file()]:
        raise EvaluationError(f"--label: there is no file {missing[0]}")
    names = ["darker half", "lighter half", *(group for name in labels for group in (name, f"without {name}"))]
    counts, folder = _given(args.by_eye, "by-eye"), Path(args.source)
    if unknown := counts.keys() - set(names):
        raise EvaluationError(f"--by-eye {min(unknown)}: the groups are {', '.join(names)}")
    metrics = read_metrics(folder / "metrics.json")
    if metrics is None:
        raise EvaluationError(f"{folder} has no metrics.json: run `cyclegan-hub evaluate` first")
    source = open_source(str(folder), "all", None, folder.name)
    model = source.epochs[metrics.best]()
    if not isinstance(model, Translator) or DIRECTION not in model.directions:
        raise EvaluationError(f"{folder}: groups are measured of models that translate A to B")
    if source.eyes[0] is None:
        raise EvaluationError(f"{folder}: its photographs are not aligned faces, so there are no cheeks to look at")
    seed = (source.record or {}).get("seed", 0)
    data = find_data((args.data, args.data_a, args.data_b), source)
    shape = (model.image_size, model.channels)
    read = read_images(data, source, seed, (MAX_HELD_OUT, 1), shape=shape, scaled=(args.size, shape[1]), on_training=False)
    members = members_of(read, source, labels)
    extractor = features.from_text(args.extractor)
    table, outputs = measure_groups(optimize_for_cpu(model, exact=True), read, members, extractor, metrics.best, seed)
    table = replace(table, groups=tuple(replace(one, by_eye=counts.get(one.name, "")) for one in table.groups))
    if args.sheets:
        write_sheets(args.sheets, read, outputs, members)
    write_metrics(replace(metrics, other=metrics.other | {KEY: table.to_json()}), folder)
    for one in table.groups:
        print(f"{one.name}: {one.n} photographs, {table.metric} {one.distance:.3g} ({one.low:.3g} to {one.high:.3g}), "
              f"untranslated {one.untranslated:.3g}" + (f", by eye {one.by_eye}" if one.by_eye else ""))  # fmt: skip
    for one in table.worse:
        print(f"{one.name} is worse by more than a third")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    add = parser.add_argument
    add("source", help="a run or model folder with metrics.json")
    add("--data", help="as for `evaluate`")
    add("--data-a")
    add("--data-b")
    add("--extractor", default="imagenet", help="as for `evaluate` (default: %(default)s)")
    add("--size", type=int, default=128, help="px at which features are taken (default: %(default)s)")
    add("--label", action="append", default=[], metavar="NAME=FILE", help="content hashes of the images that have a label")
    add("--by-eye", action="append", default=[], metavar="GROUP=TEXT", help='how many convinced, such as "glasses=3 of 16"')
    add("--sheets", type=Path, metavar="DIR", help="write a grid of each group")


main = partial(run_command, __name__)

if __name__ == "__main__":
    sys.exit(main())
