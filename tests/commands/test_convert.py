from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cyclegan_hub.cli import main
from cyclegan_hub.commands import convert as module
from cyclegan_hub.commands.convert import convert
from cyclegan_hub.data.files import FolderItems
from cyclegan_hub.data.resolve import parse_source
from cyclegan_hub.data.sources import open_items
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.domains import DOMAINS, HEAD
from cyclegan_hub.faces import align, alignment, find_faces
from cyclegan_hub.imaging import images
from support.photos import photo
from support.pictures import encoded, folder, parquet, picture
from support.pixels import apart
from support.tfrecords import shard

ENDINGS = [".npz", ".parquet", ".zip"]


def pixels(spec: Path | str, channels: int = 3) -> list[np.ndarray]:
    """The images of a source as they are read for training."""
    items = open_items(parse_source(str(spec)).train)
    return [np.asarray(images.decode(items.read(row), channels)) for row in range(len(items))]


def members(path: Path) -> dict[str, bytes]:
    """The files in a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(params=["folder", "zip", "npz", "Parquet", "TFRecord", "hf"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A spec of 18 images of 20 x 24 px, more than are read at a time: JPEGs in TFRecord, else PNGs."""
    match request.param:
        case "folder":
            return str(folder(tmp_path / "in", range(18), (20, 24)))
        case "zip":
            with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
                for seed in range(18):
                    archive.writestr(f"d/{seed:02d}.png", encoded(seed, (20, 24)))
        case "npz":
            np.savez(tmp_path / "in.npz", images=np.stack([np.asarray(picture(seed, (20, 24))) for seed in range(18)]))
        case "Parquet":
            parquet(tmp_path / "in.parquet", range(18))
        case "TFRecord":
            return str(shard(tmp_path / "in.tfrec", range(18), (20, 24)))
        case "hf":
            parquet(tmp_path / "in/train.parquet", range(20), keep=[seed < 18 for seed in range(20)])
            return f"hf:{tmp_path / 'in'}?split=train&filter=keep=1"
    return str(tmp_path / f"in.{request.param.lower()}")


def test_what_is_converted_is_read_back_with_the_same_pixels(source: str, tmp_path: Path) -> None:
    before = pixels(source)
    assert len(before) == 18
    for ending in ENDINGS:
        assert convert(source, tmp_path / f"out{ending}") == 0
        assert equal(pixels(tmp_path / f"out{ending}"), before)


@pytest.mark.parametrize("ending", ENDINGS)
def test_size_and_channels_are_those_of_every_image(tmp_path: Path, ending: str) -> None:
    image_folder = folder(tmp_path / "in", range(2), (20, 30))
    folder(image_folder, [7], (40, 33))
    assert convert(str(image_folder), tmp_path / f"out{ending}", size=16, channels=1) == 0
    wanted = [np.asarray(images.square(images.decode(path, 1), 16)) for path in sorted(image_folder.iterdir())]
    assert wanted[0].shape == (16, 16) and equal(pixels(tmp_path / f"out{ending}", 1), wanted)


def test_an_npz_is_nhwc_and_of_one_size(tmp_path: Path) -> None:
    image_folder = folder(tmp_path / "in", range(3), (20, 24))
    for channels in (3, 1):
        convert(str(image_folder), tmp_path / f"{channels}.npz", channels=channels)
        with np.load(tmp_path / f"{channels}.npz") as arrays:
            assert arrays.files == ["images"]
            assert arrays["images"].shape == (3, 24, 20, channels) and arrays["images"].dtype == np.uint8
    folder(image_folder, [7], (24, 20))
    with pytest.raises(DataError, match=r"0000\.png is 20 x 24 px and 0007\.png 24 x 20 px: .* --size N"):
        convert(str(image_folder), tmp_path / "x.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.npz", "3.npz", "in"]


def test_encoded_images_are_copied_with_their_names(tmp_path: Path) -> None:
    for name, format in (("a/1.jpg", "JPEG"), ("a/1.png", "PNG"), ("2.webp", "WEBP")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(encoded(1, format=format))
    for ending in ENDINGS[1:]:
        convert(str(tmp_path / "in"), tmp_path / f"out{ending}")
    rows = pq.read_table(tmp_path / "out.parquet")["image"].to_pylist()
    assert {row["path"]: row["bytes"] for row in rows} == members(tmp_path / "out.zip")
    assert members(tmp_path / "out.zip") == {
        name: (tmp_path / "in" / name).read_bytes() for name in ("2.webp", "a/1.jpg", "a/1.png")
    }
    convert(str(tmp_path / "in"), tmp_path / "small.zip", size=16)
    small = members(tmp_path / "small.zip")
    assert list(small) == ["2.webp.png", "a/1.jpg.png", "a/1.png.png"]  # two would be a/1.png
    assert {Image.open(io.BytesIO(data)).format for data in small.values()} == {"PNG"}


def test_images_without_a_usable_name_are_numbered_and_end_in_their_format(tmp_path: Path) -> None:
    shard(tmp_path / "x.tfrec", [1, 2])
    convert(str(tmp_path / "x.tfrec"), tmp_path / "out.zip")
    assert members(tmp_path / "out.zip") == {f"00000{i}.jpg": encoded(1 + i, format="JPEG") for i in range(2)}
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("/x.png", encoded(1))
    convert(str(tmp_path / "in.zip"), tmp_path / "root.zip")
    assert members(tmp_path / "root.zip") == {"000000.png": encoded(1)}


def test_parquet_is_the_hubs_image_feature_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder = folder(tmp_path / "in", range(25))
    monkeypatch.setattr(module, "_GROUP_ROWS", 10)
    convert(str(image_folder), tmp_path / "rows.parquet")
    monkeypatch.setattr(module, "_GROUP_BYTES", 2 * len(encoded(0)))
    convert(str(image_folder), tmp_path / "bytes.parquet")
    sizes = []
    for name in ("rows", "bytes"):
        data = pq.ParquetFile(tmp_path / f"{name}.parquet").metadata
        sizes.append([data.row_group(i).num_rows for i in range(data.num_row_groups)])
    assert sizes[0] == [10, 10, 5] and sum(sizes[1]) == 25 and max(sizes[1]) <= 3
    loaded = datasets.load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), split="train")
    assert loaded.features == datasets.Features(image=datasets.Image())
    assert loaded[24]["image"].tobytes() == picture(24).tobytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_unreadable_images_are_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture, ending: str) -> None:
    image_folder = folder(tmp_path / "in", range(3))
    (image_folder / "0001.png").write_text("<html>")
    (image_folder / "gone.png").symlink_to(image_folder / "0002.png")
    items = FolderItems.open
    out = tmp_path / f"out{ending}"

    def then_remove(source: Files) -> FolderItems:
        found = items(source)
        (image_folder / "gone.png").unlink(missing_ok=True)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderItems, "open", then_remove)
        assert main(["convert", str(image_folder), str(out)]) == 1
    printed = capsys.readouterr()
    assert "skipped 0001.png: this image is not an image that can be read" in printed.err
    assert "skipped gone.png: No such file" in printed.err and "2 images, 2 skipped" in printed.out
    assert equal(pixels(out), [np.asarray(picture(seed)) for seed in (0, 2)])


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_existing_file_is_replaced_with_force_only_and_in_one_go(tmp_path: Path, ending: str) -> None:
    image_folder, out = folder(tmp_path / "in", [1]), tmp_path / f"out{ending}"
    out.write_text("old")
    with pytest.raises(DataError, match="exists: give another name, or --force"):
        convert(str(image_folder), out)
    (image_folder / "0001.png").write_text("<html>")
    with pytest.raises(DataError, match="no image of 1 can be read"):
        convert(str(image_folder), out, force=True)
    assert out.read_text() == "old" and sorted(path.name for path in tmp_path.iterdir()) == ["in", out.name]
    folder(image_folder, [1, 2])
    assert main(["convert", str(image_folder), str(out), "--force"]) == 0
    assert len(pixels(out)) == 2 and sorted(path.name for path in tmp_path.iterdir()) == ["in", out.name]
    assert main(["convert", str(out), str(out), "--force", "--size", "16"]) == 0  # from a file to itself
    assert [array.shape for array in pixels(out)] == [(16, 16, 3)] * 2


def test_files_are_converted_without_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("datasets", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
    assert main(["convert", str(folder(tmp_path / "in", [1])), str(tmp_path / "x.npz")]) == 0


def test_small_images_are_left_out_and_the_others_copied(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    image_folder = folder(tmp_path / "in", [1], (20, 40))
    folder(image_folder, [2], (21, 21))
    assert main(["convert", str(image_folder), str(tmp_path / "out.zip"), "--min-size", "21"]) == 1
    assert "skipped 0001.png: it is 20 x 40 px, below 21 px" in capsys.readouterr().err
    assert members(tmp_path / "out.zip") == {"0002.png": (image_folder / "0002.png").read_bytes()}
    assert main(["convert", str(image_folder), str(tmp_path / "x.zip"), "--min-size", "0"]) == 2


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
    for name, found in zip(("astronaut", "astronaut_face"), pixels(out), strict=True):
        face = find_faces(photo(name))[0]
        assert apart(Image.fromarray(found), align(photo(name), face, eyes, 64)) <= 1


def test_an_aligned_face_keeps_its_own_scale_without_a_size(faces: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = [round(alignment(find_faces(photo(name).convert("L"))[0], HEAD, 1).scale) for name in ("astronaut", "astronaut_face")]
    assert main(["convert", faces, str(tmp_path / "out.zip"), "--channels", "1", "--align-faces"]) == 1
    assert [one.shape[:2] for one in pixels(tmp_path / "out.zip")] == [(side, side) for side in own]
    larger = ["--min-size", str(max(own)), "--size", "16", "--channels", "1", "--align-faces"]
    assert main(["convert", faces, str(tmp_path / "big.zip"), *larger]) == 1
    printed = capsys.readouterr()
    assert f"its aligned face is {min(own)} x {min(own)} px, below {max(own)} px" in printed.err
    assert "1 image, 2 skipped (1 without a face)" in printed.out
    assert [one.shape[:2] for one in pixels(tmp_path / "big.zip")] == [(16, 16)]
    assert main(["convert", faces, str(tmp_path / "x.zip"), "--align-faces", "--min-size", "9999"]) == 2
    assert "no image of 3 has a face that is large enough" in capsys.readouterr().err
