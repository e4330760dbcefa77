"""One rule for images among files: the same tree gives the same images as a folder, a zip, a tar, a stream and converted."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.commands.convert import convert
from cyclegan_hub.commands.translate import translate
from cyclegan_hub.data.files import FoundFiles, cell_bytes, extension_of, images_in
from cyclegan_hub.data.resolve import parse_source, resolve
from cyclegan_hub.data.sources import open_items, open_stream
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.imaging import images
from support.loading import load_domains
from support.pictures import archive, encoded, folder, parquet, picture

IMAGES = {  # the images of the tree below, by name, with the seed of each
    "IMG_0001": 1,
    "Mr. Smith 12.05": 2,
    "a/b/deep.jfif": 3,
    "a/deep.JPG": 4,
    "a-b/first.png": 5,
    "photo.jpg_large": 6,
    "x.pnm": 7,
    "x.tga": 8,
    "y.jp2": 9,
    "dir.x/name": 10,
}
_FORMATS = {".jfif": "JPEG", ".jpg": "JPEG", ".pnm": "PPM", ".tga": "TGA", ".jp2": "JPEG2000"}
OTHERS = [  # hidden, of an operating system, or no image
    ".hidden.png", "a/.ipynb_checkpoints/x.png", ".thumbnails/x.png", "@eaDir/x.png", "__MACOSX/._x.png", "._x.png",
    "a/Thumbs.db", "desktop.ini", "$RECYCLE.BIN/x.png", "#recycle/x.png", "@Recycle/x.png", "@Recently-Snapshot/a/x.png",
    "a/@tmp/x.png", "RECYCLER/x.png",
]  # fmt: skip
PASSED = {"notes.txt": b"text", "README": b"no image", "scan.pdf": b"%PDF-1.7", "b.pdf": b"%PDF-1.7", "draft.xcf": b"gimp"}


def content() -> dict[str, bytes]:
    """Every file of the tree."""
    found = {name: encoded(seed, format=_FORMATS.get(extension_of(name), "PNG")) for name, seed in IMAGES.items()}
    return found | dict.fromkeys(OTHERS, encoded(99)) | PASSED


def tree(path: Path) -> Path:
    for name, data in content().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.fixture(params=["folder", "hidden folder", "zip", "zip with backslashes", "tar"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    makers = {
        "folder": lambda: tree(tmp_path / "in"),
        "hidden folder": lambda: tree(tmp_path / ".cache/in"),  # what lies above the given root does not count
        "zip": lambda: archive(tmp_path / "in.zip", content()),
        "zip with backslashes": lambda: archive(
            tmp_path / "in.zip", {name.replace("/", "\\"): data for name, data in content().items()}
        ),
        "tar": lambda: archive(tmp_path / "in.tar", {f"./{name}": data for name, data in content().items()}),
    }
    return str(makers[request.param]())


def ordered() -> list[str]:
    return sorted(IMAGES, key=lambda name: name.split("/"))


def pixels(spec: str) -> list[np.ndarray]:
    items = open_items(parse_source(spec).train)
    assert items is not None
    return [np.asarray(images.decode(items.read(i))) for i in range(len(items))]


NOTE = "5 files with other extensions were ignored: .pdf 2, none 1, .txt 1, .xcf 1"


def test_the_same_tree_gives_the_same_images_in_the_same_order(spec: str) -> None:
    items, stream = open_items(parse_source(spec).train), open_stream(parse_source(spec).train)
    assert items is not None and items.names == ordered() and list(items.notes) == [NOTE]
    assert stream is not None and stream.notes == [NOTE]
    read = [items.read(i) for i in range(len(items))]
    assert [raw if isinstance(raw, bytes) else raw.read_bytes() for raw in read] == [content()[name] for name in ordered()]
    assert [cell_bytes(row[stream.column]) for row in stream.rows] == [content()[name] for name in ordered()]


def test_commands_take_the_same_images_and_note_the_others_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    spec, b = str(tree(tmp_path / "in")), str(folder(tmp_path / "b", range(20, 24)))
    a, _ = load_domains(resolve(None, None, spec, b), image_size=16)
    assert a.notes[0] == f"A: {NOTE}" and sum("ignored" in line for line in a.notes) == 1
    assert main(["inspect", "--data-a", spec, "--out", str(tmp_path / "out.png")]) == 0
    assert capsys.readouterr().out.count(NOTE) == 1
    for ending in (".zip", ".parquet"):
        assert convert(spec, tmp_path / f"out{ending}") == 0 and capsys.readouterr().err.count(NOTE) == 1
        for before, after in zip(pixels(spec), pixels(str(tmp_path / f"out{ending}")), strict=True):
            assert np.array_equal(before, after)
    CycleGenerator(width=4, blocks=1, image_size=16).save_pretrained(tmp_path / "model")
    assert translate(str(tmp_path / "model"), Path(spec), tmp_path / "out") == 0
    assert len([path for path in (tmp_path / "out").rglob("*.png") if ".translate" not in path.parts]) == len(IMAGES)
    assert ".pdf 2" in capsys.readouterr().err


def test_links_to_folders_are_followed_and_circles_are_not_walked(tmp_path: Path) -> None:
    folder(tmp_path / "elsewhere/inner", [1])
    folder(tmp_path / "in/own", [2])
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "in")  # to what contains the link
    (tmp_path / "in/own/self").symlink_to(tmp_path / "in/own")
    (tmp_path / "in/up").symlink_to(tmp_path)  # above the root: would bring in everything beside it
    (tmp_path / "in/twice").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/0009.png").symlink_to(tmp_path / "elsewhere/inner/0001.png")
    assert images_in(tmp_path / "in").names == ["0009.png", "linked/inner/0001.png", "own/0002.png"]


def test_a_folder_has_its_own_name_and_not_that_of_a_link_to_it(tmp_path: Path) -> None:
    folder(tmp_path / "z", [1])
    (tmp_path / "a").symlink_to(tmp_path / "z")
    assert images_in(tmp_path).names == ["z/0001.png"]


def test_folders_that_link_to_each_other_are_listed_once_each(tmp_path: Path) -> None:
    for name in "abcdefghij":  # 10! ways to walk them
        folder(tmp_path / name, [ord(name)])
        for other in "abcdefghij":
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    assert len(images_in(tmp_path / "a").names) == 10


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    folder(tmp_path / "in", range(60))
    folder(tmp_path / "in/locked", [70])
    (tmp_path / "in/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "in/me.png").symlink_to("me.png")  # a link to itself is a file, and not the end

    def closed(listing: Callable) -> Callable:  # the tests may run as root, who may read everything
        def checked(path: Path | str) -> object:
            if Path(path).name == "locked":
                raise PermissionError(13, "Permission denied", str(path))
            return listing(path)

        return checked

    monkeypatch.setattr(os, "scandir", closed(os.scandir))
    monkeypatch.setattr(Path, "iterdir", closed(Path.iterdir))
    folder(tmp_path / "b", range(100, 104))
    a, _ = load_domains(resolve(None, None, str(tmp_path / "in"), str(tmp_path / "b")), image_size=16)
    note = next(note for note in a.notes if "unreadable" in note)
    assert a.counts["unreadable"] == 3 and "'locked' cannot be read: Permission denied" in note
    assert "gone.png" in note and "me.png" in note
    with pytest.raises(DataError, match="locked cannot be listed: Permission denied"):
        parse_source(str(tmp_path / "in/locked"))
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out.zip")]) == 1
    said = capsys.readouterr().err
    assert "skipped locked: Permission denied" in said and "skipped gone.png: " in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_with_an_images_name_is_named_and_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder(tmp_path / "in", [1])
    os.mkfifo(tmp_path / "in/pipe.png")
    os.mkfifo(tmp_path / "in/pipe")
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out.zip")]) == 1
    assert "skipped pipe.png: " in capsys.readouterr().err


def test_hidden_shards_are_no_shards(tmp_path: Path) -> None:
    parquet(tmp_path / "in/data.parquet", [1, 2])
    (tmp_path / "in/._data.parquet").write_bytes(b"finder")
    assert len(pixels(str(tmp_path / "in"))) == 2


def test_a_long_list_of_extensions_is_cut() -> None:
    found = FoundFiles()
    assert found.notes() == []
    found.other[".txt"] = 1
    assert found.notes() == ["1 file with another extension was ignored: .txt 1"]
    found.other.update({f".e{i:02d}": 1 for i in range(12)})
    assert found.notes()[0].endswith(".e09 1 and 3 more")


# --- files that Pillow alone cannot open, and `decode` can


def with_long_text(data: bytes) -> bytes:
    """A PNG with more metadata than Pillow takes."""
    body = b"zTXt" + b"k\0\0" + zlib.compress(b"a" * 3 * 2**20)
    return data[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def heic(seed: int) -> bytes:
    writer = pytest.importorskip("pillow_heif", reason="the tests' HEIC files need pillow-heif: pip install pillow-heif")
    pytest.importorskip("pi_heif")
    buffer = io.BytesIO()
    writer.from_pillow(picture(seed, (32, 32))).save(buffer, quality=90)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["png", "heic"])
def test_photographs_of_a_phone_and_pictures_of_tools_are_trained_on(kind: str, tmp_path: Path) -> None:
    for side in "AB":
        (tmp_path / f"train{side}").mkdir()
        for i in range(4):
            seed = i + 10 * (side == "B")
            data = heic(seed) if kind == "heic" else with_long_text(encoded(seed, (32, 32)))
            (tmp_path / f"train{side}" / f"{i}.{kind}").write_bytes(data)
    a, b = load_domains(resolve(None, str(tmp_path), None, None), image_size=16)
    assert a.counts["unreadable"] == b.counts["unreadable"] == 0 and a.counts["kept"] == 3
    cells = [path.read_bytes() for path in sorted((tmp_path / "trainA").iterdir())]
    pq.write_table(pa.table({"image": pa.array(cells, pa.binary())}), tmp_path / "x.parquet")
    assert convert(str(tmp_path / "x.parquet"), tmp_path / "x.zip") == 0
    assert zipfile.ZipFile(tmp_path / "x.zip").namelist() == [f"{i:06d}.{kind}" for i in range(4)]
