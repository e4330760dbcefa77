"""The run folder kept in tests/runs/: how it and the images it was trained on are made, and how its files are read.

In tests/, `PYTHONPATH=..:. OMP_NUM_THREADS=1 python -m support.kept_run runs/DATE` makes another one with the current package.
Keep the old ones as they are: they stand for the runs that users have.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from cyclegan_hub.cli import main
from cyclegan_hub.data import reading
from cyclegan_hub.faces import Face
from cyclegan_hub.imaging import images
from support.training import history

KEPT = Path(__file__).parents[1] / "runs" / "2026-11-30"  # written by the package as it was on that day
RUN, EXPECTED = KEPT / "run", KEPT / "expected.json"
PLACES = (0.35, 0.45, 0.65, 0.45)  # of the eyes of A, in shares of the side
# Chosen so that the steps after a resume depend on every part of the state and hardly on rounding. The learning rate is high: a
# lost moment or pool changes some loss by 2 % or more. The loss is not hinge, where the gradient of the discriminators' last bias
# is zero but for rounding, which Adam turns into a full step.
SETTINGS = [
    "smile-compact", *(part for setting in (
        "image_size=32", "load_size=36", "width=2", "blocks=1", "disc_channels=4,8", "batch_size=2", "pool_size=4", "epochs=4",
        "snapshot_every=1", "save_every=100", "log_every=1", "max_images=none", "discriminator=patch", "crop_size=none",
        "adversarial=lsgan", "init_std=0.1", "lr=0.002", "identity_a=1", "identity_b=1", "identity_start=5",
        "identity_warmup=0.9", f"eyes_a={','.join(map(str, PLACES))}", "eyes_b=none",
    ) for part in ("--set", setting)),
]  # fmt: skip
STOPPED, END = 10, 16  # steps; an epoch has 4, so the state is in the middle of the third


def make_data(folder: Path) -> Path:
    """trainA, trainB, testA and testB with 8, 7, 3 and 3 PNG files of random coloured blocks; returns the folder.

    The pixels are integers from numpy's legacy generator, whose stream is frozen (NEP 19). So the content hashes in
    landmarks.json and the fingerprints in recipe.json hold on every machine.
    """
    for part, seeds in {"trainA": range(8), "trainB": range(20, 27), "testA": range(40, 43), "testB": range(60, 63)}.items():
        (folder / part).mkdir(parents=True)
        for seed in seeds:
            blocks = np.random.RandomState(seed).randint(0, 256, (5, 6, 3), np.uint8)
            Image.fromarray(blocks.repeat(8, axis=0).repeat(8, axis=1)).save(folder / part / f"{seed:02d}.png")
    return folder


def eyes_of(image: Image.Image) -> tuple[complex, complex]:
    """Made-up eyes for an image of `make_data`, in px, derived from its content hash."""
    a, b, c, d = (int(digit, 16) for digit in images.content_hash(image)[:4])
    left = complex(14 + a % 5, 14 + b % 5)
    return left, left + complex(11 + c % 5, d % 5 - 2)


def find_in_blocks(image: Image.Image) -> list[Face]:
    """Stands in for the face finder, which finds no face in coloured blocks."""
    return [Face((0.0, 0.0, float(image.width), float(image.height)), eyes_of(image), 1.0)]


def find_nothing_again(_: Image.Image) -> list[Face]:
    """Stands in for the face finder where the run's landmarks must be enough."""
    raise AssertionError("faces are searched again")


@contextmanager
def finder(find: Callable[[Image.Image], list[Face]]) -> Iterator[None]:
    """Makes `find` the face finder of everything that reads training and held-out images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "find_faces", find)
        yield


def train(data: Path, run: Path, *arguments: object) -> int:
    """Runs the command of the kept run, in this process; returns the exit code."""
    return main(["train", *SETTINGS, "--data", str(data), "--out", str(run), *map(str, arguments)])


def losses_after(run: Path, step: int) -> list[dict[str, float]]:
    """The history lines after `step`, without AUCs: rounding decides between logits that nearly tie."""
    lines = [line for line in history(run) if line["step"] > step and "event" not in line]
    return [{name: value for name, value in line.items() if not name.endswith("_auc")} for line in lines]


def difference(lines: list[dict[str, float]], expected: list[dict[str, float]]) -> float:
    """The largest relative difference of a loss between the same steps."""
    assert [(line["step"], sorted(line)) for line in lines] == [(line["step"], sorted(line)) for line in expected]
    pairs = zip(lines, expected, strict=True)
    return max(abs(line[name] - value) / abs(value) for line, other in pairs for name, value in other.items())


def moved(run: Path, first: int, last: int) -> dict[str, float]:
    """The distance of each generator's published weights (its moving averages) between two epochs."""
    squares: dict[str, float] = {}
    weights = [run / f"epochs/epoch-{epoch:03d}/model.safetensors" for epoch in (first, last)]
    with safe_open(weights[0], framework="np") as before, safe_open(weights[1], framework="np") as after:
        for name in after.keys():  # noqa: SIM118 (not a dict)
            change = after.get_tensor(name).astype(float) - before.get_tensor(name)
            network = name.partition(".")[0]
            squares[network] = squares.get(network, 0.0) + float((change**2).sum())
    return {network: float(f"{square**0.5:.6g}") for network, square in squares.items()}


def header(file: Path) -> dict[str, Any]:
    """The header of a safetensors file, parsed without the package's own code."""
    data = file.read_bytes()
    return dict(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]))


def names_in(node: Any, tensors: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(keys from the root, type) of each value in a state's tree; of a tensor, its dtype and shape."""
    if not isinstance(node, dict):
        yield place, type(node).__name__
    elif "$tensor" in node:
        tensor = tensors[node["$tensor"]]
        yield place, f"{tensor['dtype']} {tensor['shape']}"
    else:
        ((kind, content),) = node.items()
        items: Sequence[Any] = content if kind == "$dict" else list(enumerate(content))
        if not items:
            yield place, kind
        for key, value in items:
            yield from names_in(value, tensors, (*place, str(key)))


def names_in_state(run: Path) -> dict[tuple[str, ...], str]:
    """{(file, key, key, ...): type} of every value in the state of a run."""
    (folder,) = (run / "state").glob("step-*")
    return {
        (file.name, *place): kind
        for file in sorted(folder.iterdir())
        for place, kind in names_in(json.loads(header(file)["__metadata__"]["tree"]), header(file))
    }


def make(folder: Path) -> None:
    """Writes into a new folder run/, a run stopped at STOPPED, and expected.json, what resuming it to END gives."""
    with tempfile.TemporaryDirectory() as place, finder(find_in_blocks):
        data, run = make_data(Path(place) / "data"), Path(place) / "run"
        assert train(data, run, "--max-steps", STOPPED) == 0
        pictures = shutil.ignore_patterns("*.png", "samples", ".lock")  # large, and drawn again by the next run
        shutil.copytree(run, folder / "run", ignore=pictures)
        assert train(data, run) == 0
        expected = {"losses": losses_after(run, STOPPED), "moved": moved(run, 2, 4)}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
