"""Data, licence and limits come from the run's own record, wherever they are shown; no path of the machine is published."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from safetensors.torch import load as load_tensors
from safetensors.torch import save

from cyclegan_hub.checkpoints import list_epochs, load
from cyclegan_hub.cli import main
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation.record import Metrics, read_metrics
from cyclegan_hub.export.onnx_export import part
from cyclegan_hub.hub.provenance import (
    LICENCES,
    NOT_STATED,
    data_note,
    init_of,
    known_note,
    provenance_of,
    public_init,
    same_init,
    without_paths,
)
from cyclegan_hub.hub.records import chosen_in, epochs_in, read_history, read_run_record
from cyclegan_hub.publishing.card import render
from cyclegan_hub.serving import about
from cyclegan_hub.serving.catalog import find_models
from support.card_facts import facts, metadata
from support.published_runs import make_run, published
from support.tiny_models import folder
from support.training import ROOT, TINY, script, train
from support.training import data as data

BUNDLED = sorted(path.parent.name for path in (ROOT / "pretrained").glob("*/recipe.json"))
NOTE = {"text": "faces of my own village", "licence": "cc-by-nc-4.0"}
LOCAL = {"a": "folder mine/trainA, held out: folder mine/testA", "b": "folder mine/trainB, held out: folder mine/testB"}
CELEBA = facts("smile").run["data"]


# --- what a record says


@pytest.mark.parametrize(
    ("record", "terms", "licence", "redistributable"),
    [
        (None, NOT_STATED, "not stated", False),
        ({"data": LOCAL}, NOT_STATED, "not stated", False),
        ({"data": LOCAL, "data_note": NOTE}, "faces of my own village; licence cc-by-nc-4.0", "cc-by-nc-4.0", True),
        ({"data": LOCAL, "data_note": {"licence": "other"}}, "licence other", "other", False),
        ({"data": LOCAL, "data_note": {"text": "x", "licence": "other:by-contract"}}, "x", "by-contract", False),
        ({"data": CELEBA}, DOMAINS["smile"].a.licence, "research-only", False),
        ({"data": CELEBA | {"b": LOCAL["b"]}}, f"A: {DOMAINS['smile'].a.licence}; B: not stated", "research-only", False),
        ({"data": {"a": "hf:huggan/monet2photo?split=train&column=imageA"}}, DOMAINS["monet"].b.licence, "not stated", True),
        ({"data": {"a": "hf:huggan/monet2photo?split=train"}}, NOT_STATED, "not stated", False),  # which column?
        ({"data": {"a": "hf:user/huggan?split=train"}}, NOT_STATED, "not stated", False),
    ],
)
def test_what_a_record_says(record: Any, terms: str, licence: str, redistributable: bool) -> None:
    found = provenance_of(record)
    assert (found.terms, found.licence_name, found.redistributable) == (terms, licence, redistributable)
    head = found.metadata("user/x")
    assert head["license"] == (licence if licence in LICENCES - {"other"} else "other")
    assert ("license_link" in head) == (head["license"] == "other")


def test_a_note_of_the_command_line() -> None:
    assert data_note(None, None) is None
    assert data_note(" my\n photos ", None) == {"text": "my photos"}
    assert data_note(None, "mit", NOTE) == NOTE | {"licence": "mit"} and data_note(None, None, NOTE) == NOTE
    more = NOTE | {"use": "a study", "limits": ["old people alone"]}
    assert data_note(None, "mit", more)["limits"] == more["limits"] and data_note("others", None, more).keys() == NOTE.keys()
    known = known_note({"a": "hf:cgarciae/cartoonset?data_dir=10k&split=train&column=img_bytes"})
    assert known["redistributable"] and not data_note(None, "other:secret", known).get("redistributable")
    assert {"cc-by-4.0", "cc0-1.0", "mit", "other"} <= LICENCES
    for wrong in ("CC-BY-4.0", "cc-by-5.0", "mit:mine", "other:", "", "research-only"):
        with pytest.raises(UserError, match=r"is not a licence id of the Hub: give one such as .*other:NAME") as error:
            data_note("x", wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="say where the images come from"):
        data_note("  ", None)


# --- it is the same wherever it is shown


def shown(place: Path) -> dict[str, Any]:
    """What the page, the API, the About tab and an export say of a folder's model."""
    (found,) = find_models(str(place), place / "none").models.values()
    one = load(place)
    exported = part(one, str(place), None).metadata
    return {
        "api": found.licence, "about": about.render(found, found.epochs[-1]), "terms": exported["terms"],
        "licence": exported["license"], "redistributable": found.redistributable,
    }  # fmt: skip


@pytest.mark.parametrize(("domain", "note"), [
    ("smile", None), ("anime", NOTE), ("monet", {"text": "old prints", "licence": "other:Museum's terms"}),
])  # fmt: skip
def test_a_run_on_local_files_says_what_it_was_told_and_never_its_domain(tmp_path: Path, domain: str, note: Any) -> None:
    labels = DOMAINS[domain].labels
    path = folder(tmp_path / "run", 5, domain=domain, labels=labels)
    record = facts(domain).run | {"data": LOCAL} | ({"data_note": note} if note else {})
    (path / "recipe.json").write_text(json.dumps(record))
    told, provenance = shown(path), provenance_of(record)
    assert told["api"] == told["terms"] == provenance.terms and told["licence"] == provenance.licence_name
    assert f"Terms of the training images: {provenance.terms}" in told["about"]
    card = render(replace(facts(domain), run=record))
    for text in (told["about"], card):
        assert (note["text"] in text) if note else ("is not stated" in text)
        assert not any(word in text for word in ("CelebA", "selfie2anime", "Flickr", "women", "monet2photo", "research use"))
    head = metadata(card)
    names = {None: "not-stated", "other:Museum's terms": "museum-s-terms"}
    licence = note and note["licence"]
    assert (head.get("license_name") or head["license"]) == names.get(licence, licence)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_models_say_what_they_were_trained_on(name: str) -> None:
    """Card, page, API, ONNX metadata and browser folder agree, and none names what the domain is usually trained on."""
    path = ROOT / "pretrained" / name
    record, card = read_run_record(path / "recipe.json"), (path / "README.md").read_text("utf-8")
    told, provenance = shown(path), provenance_of(record)
    assert told["api"] == told["terms"] == provenance.terms and told["licence"] == provenance.licence_name == "research-only"
    assert not told["redistributable"] and provenance.text in card and provenance.text in told["about"].replace("\\", "")
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["license_name"]) == ("other", "research-only") and "license_link" not in head
    (row,) = re.findall(rf"^\| \[{name}\].*$", (ROOT / "pretrained" / "README.md").read_text("utf-8"), re.MULTILINE)
    for words in ("CelebA", "All-Age-Faces", "UTKFace", "fan art", "Cartoon Set", "Flickr", "WikiArt"):
        assert (words in row) == (words in provenance.text), words
    for text in (card, told["about"]):
        assert "selfie2anime" not in text and "women only" not in text and "none of it was measured" not in text
    assert "hardware is not recorded" not in card and record["hardware"][0] in card


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_cards_are_those_of_their_records(name: str) -> None:
    """`python train/cards.py` writes them."""
    path = ROOT / "pretrained" / name
    best = chosen_in(path)
    one, names = load(path), list(epochs_in(path))
    failures = [line.removeprefix("- ") for line in (path / "failures.txt").read_text("utf-8").splitlines() if line]
    of = replace(
        facts("smile"), repo_id=f"pretrained/{name}", kind=type(one), config=one.config, dtype="fp16", epochs=names, chosen=best,
        run=read_run_record(path / "recipe.json"), history=read_history(path / "history.jsonl"),
        metrics=read_metrics(path / "metrics.json"), failures=failures, on_hub=False,
    )  # fmt: skip
    assert render(of) == (path / "README.md").read_text("utf-8")


# --- cards that do not contradict themselves


@pytest.mark.parametrize("name", ["smile", "faces-dcgan-64", "pix2pix"])
def test_a_measured_model_is_not_said_to_be_unmeasured(name: str) -> None:
    of = facts(name)
    directions = of.kind.directions
    metrics = Metrics("epoch-020", {"epoch-020": {direction: {"kid": 0.5} for direction in directions}})
    light = {"step": 20, "epoch": 1.0, "event": "evaluation", "score": 0.25, "success_a_to_b": 0.5}
    of_faces = name == "faces-dcgan-64"  # whose limits tell what an evaluation measures
    for local in (False, True):
        bare = replace(of, run=of.run | ({"data": dict.fromkeys(of.run["data"], "folder mine/x")} if local else {}))
        assert ("none of it was measured" in render(bare)) == (local or not of_faces)
        assert "none of it was measured" not in render(replace(bare, metrics=metrics))
        during = render(replace(bare, history=[*of.history, light]))
        assert "none of it was measured" not in during and "none was measured" not in during
        assert "the last values, after epoch 1: score 0.25, success_a_to_b 0.5." in " ".join(during.split()).replace("\\", "")


def test_the_hardware_is_named_where_it_is_recorded() -> None:
    of = facts("smile")
    assert "the hardware is not recorded" in render(of)
    card = render(replace(of, run=of.run | {"hardware": ["AMD EPYC, 1 thread, bf16", "2 x NVIDIA H100, bf16"]}))
    assert "a second; on AMD EPYC, 1 thread, bf16, then on 2 x NVIDIA H100, bf16." in card and "not recorded" not in card
    card = render(replace(of, run=of.run | {"hardware": ["AMD EPYC"]}, history=[]))
    assert "The cost of the training was not recorded; it ran on AMD EPYC." in card


# --- the command line


def test_train_records_a_note_and_keeps_it(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"

    def recorded(place: Path) -> dict[str, Any]:
        return json.loads((place / "recipe.json").read_text("utf-8"))

    command = ("--data", data, "--labels", "disc,square")
    note = ("--data-note", "shapes by demo_data", "--data-licence", "cc0-1.0")
    assert train(*command, "--out", run, *note, "--max-steps", 1) == 0
    first = recorded(run)
    assert first["data_note"] == {"text": "shapes by demo_data", "licence": "cc0-1.0"} and len(first["hardware"]) == 1
    assert train(*command, "--out", run, "--max-steps", 2) == 0
    assert recorded(run) == first  # kept, and the machine is named once
    assert train(*command, "--out", run, "--data-licence", "other:mine", "--max-steps", 3) == 0  # not another recipe
    assert recorded(run)["data_note"] == {"text": "shapes by demo_data", "licence": "other:mine"}
    old = {key: value for key, value in recorded(run).items() if key not in ("hardware", "data_note")}
    (run / "recipe.json").write_text(json.dumps(old))  # as older versions wrote it
    assert train(*command, "--out", run, "--data-note", "said later", "--max-steps", 4) == 0
    assert recorded(run)["data_note"] == {"text": "said later"}
    assert recorded(run)["hardware"] == ["hardware that was not recorded", *first["hardware"]]
    capsys.readouterr()
    assert train(*command, "--out", tmp_path / "wrong", "--data-licence", "free") == 2
    assert "--data-licence 'free' is not a licence id of the Hub" in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


def test_a_run_that_is_under_way_is_published_with_a_note(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5)
    before = (run / "recipe.json").read_bytes()
    note = ("--data-note", "my village", "--data-licence", "cc-by-4.0")
    assert published(run, "user/smile", "--dry-run", "--out", tmp_path / "out", *note) == 0
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert metadata(card)["license"] == "cc-by-4.0" and "my village" in card and "Their licence, which" in card
    kept = json.loads((tmp_path / "out" / "recipe.json").read_text())["data_note"]
    assert kept == {"text": "my village", "licence": "cc-by-4.0"}
    assert (run / "recipe.json").read_bytes() == before


USER = "Alice Smith"
WINDOWS = rf"C:\Users\{USER}\runs\first\epochs\epoch-014"


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
    monkeypatch.setattr("cyclegan_hub.export.browser.OPSET", 17)  # by torch's older exporter, which is faster
    script("demo_data").make(home / "data", images=6, size=40)
    shutil.copytree(ROOT / "pretrained" / "encoder", home / "encoder")
    options = {"width": 4, "blocks": 1, "image_size": 32, "labels": ("not smiling", "smiling"), "padding": "zeros"}
    folder(home / "first", 14, **options)
    (home / "runtime").mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (home / "runtime" / name).write_bytes(b"x")
    return home


EXPORTS = {"x.onnx": ["--opset", "17"], "traced.pt": ["--format", "torchscript"]}


def published_of(home: Path, run: Path, *exports: str, web: bool = False) -> Path:
    """A folder with what is published of a run: the model folder, these exports, the browser's files if `web`, and the page's
    texts."""
    out = home.parent.parent / "published"
    out.mkdir()
    (run / "failures.txt").write_text(f"Glasses, see {home / 'notes' / 'glasses.txt'}.\n")
    assert main(["publish", str(run), "user/smile", "--dry-run", "--out", str(out / "hub")]) == 0
    for name in exports:
        assert main(["export", str(run), str(out / name), *EXPORTS[name]]) == 0
    if web:
        Image.new("RGB", (40, 40)).save(home / "mine.png")
        given = ["--runtime", str(home / "runtime"), "--example", str(home / "mine.png")]
        assert main(["export", str(run), str(out / "site"), "--web", *given]) == 0
    (model,) = find_models(str(run), Path("none")).models.values()
    text = [model.licence, model.started_from, model.source, about.render(model, model.epochs[0])]
    (out / "page.txt").write_text("\n".join(text), "utf-8")
    return out


@pytest.mark.slow
def test_a_run_made_with_every_path(home: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
    data, run = home / "data", home / "work" / "run"
    start = home / "first" / "epochs" / "epoch-014"
    options = [*TINY, "--set", "epochs=1", "--labels", "not smiling,smiling", "--data-licence", "cc-by-4.0"]
    options += ["--data-note", f"faces of {data} and C:\\Users\\{USER}\\faces"]
    absolute, relative = ["--init", str(start), "--out", str(run)], ["--init", "../first/epochs/epoch-014", "--out", "run"]
    assert main(["train", *options, *absolute, "--data", str(data), "--max-steps", "1"]) == 0
    assert main(["train", *options, *relative, "--data", "../data"]) == 0
    measure = ["--extractor", f"encoder:{home / 'encoder'}", "--classifier", f"encoder:{home / 'encoder'}", "--size", "64"]
    sides = ["--data-a", str(data / "trainA"), "--data-b", str(data / "trainB")]
    assert main(["evaluate", str(run), *sides, *measure, "--out", str(run)]) == 0
    record = json.loads((run / "recipe.json").read_text("utf-8"))
    assert re.fullmatch(r"epoch-014 \(weights sha256 [0-9a-f]{12}\)", record["init"])
    out = published_of(home, run, "x.onnx", "traced.pt")
    assert leaks(out, home, home / "work", run) == []
    card = (out / "hub" / "README.md").read_text("utf-8")
    for text in (record["init"], "faces of data and faces", "see glasses.txt", "license: cc-by-4.0"):
        assert text in card
    assert "pairs a second" in card and " thread" in card and "the hardware is not recorded" not in card
    assert [epoch.name for epoch in list_epochs(out / "hub")] == [epoch.name for epoch in list_epochs(run)] == ["epoch-001"]


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
    weights.write_bytes(save(load_tensors(weights.read_bytes()), {"format": "pt", "made_by": f"{WINDOWS} {home}/train.py"}))
    out = published_of(home, run, "x.onnx", web=True)
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
