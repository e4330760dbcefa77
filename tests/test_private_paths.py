"""No path of the user's machine is published: in no card, record, figure, header, ONNX file or browser folder."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load, save

from cyclegan_hub.cli import COMMANDS, main
from cyclegan_hub.command_line import make_parser
from cyclegan_hub.hub.provenance import init_of, public_init, same_init, without_paths
from cyclegan_hub.serving import about
from cyclegan_hub.serving.catalog import find_models
from support.tiny_models import folder
from support.training import ROOT, TINY, script

USER = "Alice Smith"
WINDOWS = rf"C:\Users\{USER}\runs\first\epochs\epoch-014"
# Every option and argument of a command of the package that takes a path, by command.
PATHS = {
    "train": {"--out", "--data", "--data-a", "--data-b", "--init"},
    "evaluate": {"sources", "--data", "--data-a", "--data-b", "--out", "--extractor", "--classifier"},
    "publish": {"run", "--out"},
    "export": {"source", "out", "--runtime"},
}
NO_PATH = {  # the other options that take a text
    "train": {"recipe", "--labels", "--set", "--seed", "--extend", "--max-steps", "--log-with", "--push", "--data-note",
              "--data-licence"},
    "evaluate": {"--size", "--epochs", "--max-held-out", "--max-train-images", "--batch-size", "--seed"},
    "publish": {"repo", "--epochs", "--dtype", "--data-note", "--data-licence"},
    "export": {"--direction", "--epoch", "--dtype", "--size", "--opset", "--format", "--epochs"},
}  # fmt: skip


@pytest.mark.parametrize("command", PATHS)
def test_every_option_that_takes_a_path_is_in_the_test_below(command: str) -> None:
    text = make_parser(COMMANDS[command].module).format_help()
    taking = set(re.findall(r"^  (?:-\w, )?(--[\w-]+) [A-Za-z{\[]", text, re.MULTILINE))
    assert taking == {name for name in PATHS[command] | NO_PATH[command] if name.startswith("-")}


def everything(place: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a folder, and of the files in zips among them."""
    for path in sorted(place.rglob("*")):
        if not path.is_file():
            continue
        data, name = path.read_bytes(), str(path.relative_to(place))
        yield name, name.encode() + data
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                yield from ((f"{name}/{one}", file.read(one)) for one in file.namelist())


def leaks(place: Path, *folders: Path) -> list[tuple[str, str]]:
    """(file, what of it) for each text of this machine that a published folder holds."""
    forbidden = [USER, "Users\\", "C:\\", "C:/", str(ROOT), *map(str, folders)]
    forbidden += [json.dumps(text)[1:-1] for text in forbidden]
    return [(name, text) for name, data in everything(place) for text in forbidden if text.encode() in data]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a space in its name, and a working folder in it, with images, an encoder and a model to start from."""
    home = tmp_path / "home" / USER
    work = home / "work"
    work.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(work)
    script("demo_data").make(home / "data", images=6, size=40)
    shutil.copytree(ROOT / "pretrained" / "encoder", home / "encoder")
    options = {"width": 4, "blocks": 1, "image_size": 32, "labels": ("not smiling", "smiling"), "padding": "zeros"}
    folder(home / "first", 14, **options)
    (home / "runtime").mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (home / "runtime" / name).write_bytes(b"x")
    return home


def published_of(home: Path, run: Path) -> Path:
    """A folder with all that is published and exported of a run."""
    out = home.parent.parent / "published"
    out.mkdir()
    (run / "failures.txt").write_text(f"Glasses, see {home / 'notes' / 'glasses.txt'}.\n")
    assert main(["publish", str(run), "user/smile", "--dry-run", "--out", str(out / "hub")]) == 0
    for name, more in {"new.onnx": [], "old.onnx": ["--opset", "17"], "traced.pt": ["--format", "torchscript"]}.items():
        assert main(["export", str(run), str(out / name), *more]) == 0
    assert main(["export", str(run), str(out / "site"), "--web", "--runtime", str(home / "runtime")]) == 0
    (model,) = find_models(str(run), Path("none")).models.values()
    choice = model.choice
    text = [choice.licence, choice.started_from, choice.source, about.render(model, model.epochs[0])]
    (out / "page.txt").write_text("\n".join(text), "utf-8")
    return out


@pytest.mark.slow
@pytest.mark.parametrize("given", ["whole", "sides"])
def test_a_run_made_with_every_path(home: Path, given: str) -> None:
    pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
    data, run = home / "data", home / "work" / "run"

    def images_in(place: Path) -> list[str]:
        sides = ["--data-a", f"{place / 'trainA'}", "--data-b", f"{place / 'trainB'}"]
        return ["--data", str(place)] if given == "whole" else sides

    start = home / "first" / "epochs" / "epoch-014"
    options = [*TINY, "--set", "epochs=1", "--labels", "not smiling,smiling", "--data-licence", "cc-by-4.0"]
    options += ["--data-note", f"faces of {data} and C:\\Users\\{USER}\\faces"]
    absolute, relative = ["--init", str(start), "--out", str(run)], ["--init", "../first/epochs/epoch-014", "--out", "run"]
    assert main(["train", *options, *absolute, *images_in(data), "--max-steps", "1"]) == 0
    assert main(["train", *options, *relative, *images_in(Path("../data"))]) == 0
    measure = ["--extractor", f"encoder:{home / 'encoder'}", "--classifier", f"encoder:{home / 'encoder'}", "--size", "64"]
    assert main(["evaluate", str(run), *images_in(data), *measure, "--out", str(run)]) == 0
    record = json.loads((run / "recipe.json").read_text("utf-8"))
    assert re.fullmatch(r"epoch-014 \(weights sha256 [0-9a-f]{12}\)", record["init"])
    out = published_of(home, run)
    assert leaks(out, home, home / "work", run) == []
    card = (out / "hub" / "README.md").read_text("utf-8")
    for part in (record["init"], "faces of data and faces", "see glasses.txt", "license: cc-by-4.0"):
        assert part in card


@pytest.mark.slow
def test_what_older_versions_recorded_is_cleaned(home: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
    run = folder(home / "work" / "run", 5, padding="zeros")
    (run / "history.jsonl").write_text("")
    recipe = {"name": "smile-compact", "domain": "smile", "image_size": 32, "batch_size": 1}
    note = {"text": f"photos in {home}/photos, {WINDOWS} and ~/more/photos"}
    lines = {"a": f"Parquet {home}/a.parquet", "b": "hf:user/faces?split=train&data_dir=C:\\Users\\Alice Smith\\faces"}
    record = {"recipe": recipe, "labels": ["not smiling", "smiling"], "data": lines, "init": WINDOWS, "data_note": note}
    (run / "recipe.json").write_text(json.dumps(record))
    values = {"epoch-005": {"a_to_b": {"kid": 0.5}, "b_to_a": {"kid": 0.5}}}
    texts = {"rule": f"as in {home}/rule", "extractor": f"mine ({WINDOWS})", "notes": [f"no x: {home}/e: gone"]}
    metrics = {"best": "epoch-005", **texts, "epochs": values}
    (run / "metrics.json").write_text(json.dumps(metrics))
    weights = run / "epochs" / "epoch-005" / "model.safetensors"
    weights.write_bytes(save(load(weights.read_bytes()), {"format": "pt", "made_by": f"{WINDOWS} {home}/train.py"}))
    out = published_of(home, run)
    assert leaks(out, home, home / "work", run) == []
    card = (out / "hub" / "README.md").read_text("utf-8")
    assert "| started from (`--init`) | `epoch-014` |" in card and "extractor: mine (epoch-014)" in card


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/alice/run1/epochs/epoch-001", "epoch-001"),
        ("/home/alice", "~"),
        (WINDOWS, "epoch-014"),
        (r"\\server\share\alice\faces", "faces"),
        ("D:/faces/x.parquet, D:\\faces\\y.parquet", "x.parquet, y.parquet"),
        ("see file:///Users/alice/a.txt.", "see a.txt."),
        ("(~/faces/a), '/mnt/disk/b'", "(a), 'b'"),
        ("https://example.org/home/x and http://a/b, 0.2/255, pairs/s, /r/anime, n/a", None),
        ("hf:user/faces?split=train&data_dir=faces/a", None),
        ("folder mine/trainA, held out: folder mine/testA", None),
        ({"a": ["/tmp/x/y", 1, None, True], "/opt/k/v": 0.5}, {"a": ["y", 1, None, True], "v": 0.5}),
    ],
)
def test_paths_are_cut_to_their_base_name(text: object, public: object) -> None:
    assert without_paths(text) == (text if public is None else public)


def test_what_a_run_started_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = folder(tmp_path / "first" / "model")
    by_digest = init_of(str(model))
    assert re.fullmatch(r"model \(weights sha256 [0-9a-f]{12}\)", by_digest) and init_of("first/model") == by_digest
    assert init_of("user/smile") == "user/smile" == public_init("user/smile")
    assert public_init("first/model") == "model" and public_init("runs/first/epochs/epoch-014") == "epoch-014"
    shutil.move(model, tmp_path / "moved")
    assert init_of("moved") == by_digest.replace("model", "moved", 1) and same_init(by_digest, init_of("moved"))
    assert same_init("runs/first/epochs/epoch-014", "epoch-014") and same_init(by_digest, init_of(str(model)))
    folder(tmp_path / "model", width=8)
    for other in (None, "user/other", init_of("model")):
        assert not same_init(by_digest, other)
    assert not same_init("user/smile", "other/smile") and same_init(None, None)
