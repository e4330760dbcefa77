"""`evaluate` on faces: the held-out photographs are what the model sees; tests/test_kept_run.py has the protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.evaluation import inputs
from support.aligned import PLACES, data

__all__ = ["data"]  # a fixture


def test_held_out_faces_are_what_the_model_sees(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = CycleGenerator(width=4, blocks=1, image_size=32, labels=("day", "night"), epoch=1, eyes_a=PLACES)
    model.save_pretrained(tmp_path / "model")
    source = inputs.open_source(str(tmp_path / "model"), "all", None, "model")
    sides = resolve(None, str(data), None, None)
    read = inputs.read_data(sides, source, 0, 9)
    names = [path for path in sorted((data / "testA").iterdir()) if "rocket" not in path.name]
    assert len(names) == len(read[0].held_out) == 3 and read[0].counts["no_face"] == 1
    for path, pixels in zip(names, read[0].held_out, strict=True):
        seen = np.asarray(model.prepare(path))
        assert np.array_equal(pixels.permute(1, 2, 0).numpy(), seen)  # the same operations on the same numbers
        with Image.open(path) as photo:
            assert photo.size != (32, 32)
    assert "no_face" not in read[1].counts
