"""`cyclegan-hub convert --align-faces`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cyclegan_hub.cli import main
from cyclegan_hub.data.sources import one_side, open_items
from cyclegan_hub.domains import DOMAINS, HEAD
from cyclegan_hub.faces import align, alignment, find_faces
from cyclegan_hub.imaging import images
from support.photos import photo
from support.pixels import apart


def written(path: Path) -> list[Image.Image]:
    items = open_items(one_side(str(path)).train)
    return [images.decode(items.read(row)) for row in range(len(items))]


@pytest.fixture
def faces(tmp_path: Path) -> str:
    """Three free photographs, two of them with a face."""
    (tmp_path / "in").mkdir()
    for name in ("astronaut", "astronaut_face", "rocket"):
        photo(name).save(tmp_path / f"in/{name}.png")
    return str(tmp_path / "in")


@pytest.mark.parametrize(
    ("given", "eyes"), [([], HEAD), (["smile"], DOMAINS["smile"].a.eyes), (["0.3,0.4,0.7,0.4"], (0.3, 0.4, 0.7, 0.4))]
)
def test_faces_are_aligned_and_images_without_one_left_out(
    faces: str, tmp_path: Path, capsys: pytest.CaptureFixture, given: list[str], eyes: tuple[float, ...]
) -> None:
    out = tmp_path / "out.npz"
    assert main(["convert", faces, str(out), "--size", "64", "--align-faces", *given]) == 1
    printed = capsys.readouterr()
    assert "skipped rocket.png: no face is found in it" in printed.err
    assert "2 images, 1 skipped (1 without a face)" in printed.out
    for name, found in zip(("astronaut", "astronaut_face"), written(out), strict=True):
        face = find_faces(photo(name))[0]
        assert apart(found, align(photo(name), face, eyes, 64)) <= 1


def test_an_aligned_face_keeps_its_own_scale_without_a_size(faces: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = [round(alignment(find_faces(photo(name).convert("L"))[0], HEAD, 1).scale) for name in ("astronaut", "astronaut_face")]
    assert main(["convert", faces, str(tmp_path / "out.zip"), "--channels", "1", "--align-faces"]) == 1
    assert [one.size for one in written(tmp_path / "out.zip")] == [(side, side) for side in own]
    larger = ["--min-size", str(max(own)), "--size", "16", "--channels", "1", "--align-faces"]
    assert main(["convert", faces, str(tmp_path / "big.zip"), *larger]) == 1
    printed = capsys.readouterr()
    assert f"its aligned face is {min(own)} x {min(own)} px, below {max(own)} px" in printed.err
    assert "1 images, 2 skipped (1 without a face)" in printed.out
    assert [one.size for one in written(tmp_path / "big.zip")] == [(16, 16)]
    assert main(["convert", faces, str(tmp_path / "x.zip"), "--align-faces", "--min-size", "9999"]) == 2
    assert "none of its 3 images has a face that is large enough" in capsys.readouterr().err
