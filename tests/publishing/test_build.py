"""`cyclegan-hub publish`: the folder of a run, and the command line."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from cyclegan_hub.checkpoints import list_epochs, load
from cyclegan_hub.free_images import FOLDER, SCENES
from cyclegan_hub.imaging import images
from cyclegan_hub.publishing import push as pushing
from cyclegan_hub.publishing.build import PublishError, build
from cyclegan_hub.publishing.card import _CELL, _FACES, sample_images
from cyclegan_hub.publishing.push import push
from support.card_facts import MOST_WORDS, above_the_fold
from support.published_runs import CONFIG, WEIGHTS, contents, make_run, model, published, refusal

# --- the model folder


def test_the_folder_of_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5, 10, 20, best=10)
    before = contents(run)
    out = build(run, tmp_path / "out", "user/smile")
    assert contents(run) == before
    found, names = contents(out), [f"epochs/epoch-{n:03d}/{file}" for n in (5, 10, 20) for file in (CONFIG, WEIGHTS)]
    shared = ["recipe.json", "metrics.json", "samples.png", "example.png", "README.md"]
    assert sorted(found) == sorted([*names, CONFIG, WEIGHTS, *shared])
    for name in names:
        assert found[name] == (run / name).read_bytes()
    assert found[WEIGHTS] == found[f"epochs/epoch-010/{WEIGHTS}"] and json.loads(found[CONFIG])["epoch"] == 10
    assert json.loads(found["recipe.json"]) == json.loads((run / "recipe.json").read_text())
    assert found["metrics.json"] == (run / "metrics.json").read_bytes()
    assert 'from_pretrained("user/smile", revision="epoch-020")' in found["README.md"].decode()
    assert len(above_the_fold(found["README.md"].decode()).split()) <= MOST_WORDS
    assert [epoch.name for epoch in list_epochs(out) if epoch.best] == ["epoch-010"]
    assert contents(build(run, out, "user/smile")) == found  # again, over itself
    assert contents(build(run, tmp_path / "other", "user/smile")) == found


def test_a_terminal_shows_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    build(make_run(tmp_path / "run", 5, 10), tmp_path / "out", "user/smile")
    assert "checking epochs" in terminal.getvalue() and "writing epochs" in terminal.getvalue() and "2/2" in terminal.getvalue()


def test_chosen_epochs_only_and_half_precision(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "run", 5, 10, 20), tmp_path / "out"
    whole = contents(build(run, out, "user/smile"))
    half = contents(build(run, out, "user/smile", epochs=[20, 5], dtype="fp16"))
    assert not any("epoch-010" in name for name in half) and "metrics.json" not in half
    assert len(half[WEIGHTS]) < 0.7 * len(whole[WEIGHTS])
    loaded = load(out)
    assert loaded.epoch == 20 and loaded.stored_dtype == torch.float16
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model(20).state_dict()[name].half().float())
    assert "stored as fp16" in half["README.md"].decode() and "stored as fp32" in whole["README.md"].decode()
    with safe_open(out / WEIGHTS, framework="pt") as file:
        said = {"epoch": "20", "recipe": "smile", "ema": "0.999", "cyclegan_hub": "0.1.0", "format": "pt"}
        assert file.metadata() == said


def test_known_failures_are_published_and_on_the_card(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5)
    (run / "failures.txt").write_text("Glasses vanish.\n\n- Hats become hair.\n")
    out = build(run, tmp_path / "out", "user/smile")
    assert (out / "failures.txt").read_bytes() == (run / "failures.txt").read_bytes()
    assert "## Limits and failures\n\n- Glasses vanish.\n- Hats become hair.\n" in (out / "README.md").read_text("utf-8")
    (run / "failures.txt").write_text("Caf\u00e9s vanish.\n", "latin-1")
    with pytest.raises(PublishError, match=r"failures\.txt is not UTF-8: save it again in that encoding"):
        build(run, out, "user/smile")
    (run / "failures.txt").unlink()
    assert "failures.txt" not in contents(build(run, out, "user/smile"))


@pytest.mark.parametrize("domain, channels", [("smile", 3), ("monet", 1)])
def test_the_samples_are_two_free_images_translated_and_reconstructed(domain: str, channels: int) -> None:
    one = model(1, domain=domain, channels=channels, labels=("夜", "day"))
    files = sample_images(one)
    grid = Image.open(io.BytesIO(files["samples.png"]))
    side = _CELL + 4
    assert grid.mode == "RGB" and 2 * side < grid.height < 3 * side and 3 * side < grid.width < 4 * side
    source = FOLDER / _FACES[0] if domain == "smile" else SCENES[0].path
    square = images.square(images.decode(source, channels), 16)
    assert images.png_bytes(square) == files["example.png"]
    top = grid.height - 2 * side
    expected = square.resize((160, 160), Image.Resampling.NEAREST).convert("RGB")
    assert grid.crop((4, top, 164, top + 160)).tobytes() == expected.tobytes()


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(text)


INCOMPLETE = '{"recipe": {}, "labels": ["a", "b"], "data": {"a": "", "b": ""}}'
UNBUILT = [
    (write(f"epochs/epoch-005/{WEIGHTS}", "x"), {}, "epoch-005: model.safetensors cannot be read ("),
    (lambda run: shutil.rmtree(run / "epochs"), {}, "can be published from the end of epoch 5 of 40; resume it"),
    (
        lambda run: (run / "recipe.json").unlink(),
        {},
        "is not a run folder (it has no recipe.json): give the folder that",
    ),
    (write("recipe.json", INCOMPLETE), {}, "is damaged (no batch_size, domain, image_size, name in it)"),
    (write("history.jsonl", "{\n{}\n"), {}, "line 1 is damaged"),
    (write("history.jsonl", "{}\n[1]\n{}\n"), {}, "line 2 is damaged"),
    (write("metrics.json", "{"), {}, "metrics.json is not of the form"),
    (Path.exists, {"epochs": [5, 7, 9]}, "no epoch 7, 9; epochs there: epoch-005, epoch-010"),
    (Path.exists, {"epochs": []}, "no epoch was chosen"),
    (Path.exists, {"epochs": [5]}, "epoch-010 is the best by metrics.json but is not to be published: add it to the epochs"),
    (Path.exists, {"dtype": "int8"}, "dtype 'int8': must be one of fp32, fp16"),
]


@pytest.mark.parametrize(("spoil", "options", "message"), UNBUILT, ids=[message for _, _, message in UNBUILT])
def test_what_cannot_be_built(tmp_path: Path, spoil: Callable[[Path], object], options: dict, message: str) -> None:
    run = make_run(tmp_path / "run", 5, 10, best=10)
    spoil(run)
    assert message in refusal(build, run, tmp_path / "out", "user/smile", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5)
    (tmp_path / "out").write_text("a file")
    assert refusal(build, run, tmp_path / "out", "user/smile").startswith(f"cannot write to {tmp_path / 'out'}: ")


@pytest.mark.parametrize("taken", ["run", "notes"])
def test_nothing_of_the_users_is_overwritten(tmp_path: Path, taken: str) -> None:
    run = make_run(tmp_path / "run", 5)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "README.md").write_text("mine")
    (tmp_path / "notes" / "todo.txt").write_text("mine too")
    before = contents(tmp_path)
    message = refusal(build, run, tmp_path / taken, "user/smile")
    reason = "is the run itself" if taken == "run" else "is not a model folder (it holds "
    assert message.startswith(f"{tmp_path / taken} {reason}")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("missing", ["README.md", "epochs", f"epochs/epoch-005/{WEIGHTS}"])
def test_what_is_no_model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(pushing, "check", lambda *_: None)  # of the token
    out = build(make_run(tmp_path / "run", 5, 10), tmp_path / "out", "user/x")
    shutil.rmtree(out / missing) if (out / missing).is_dir() else (out / missing).unlink()
    assert refusal(push, out, "user/x") == f"{out} is not a model folder with a card and epochs/: build it from the run first"


# --- the command line


def test_dry_run_needs_no_hub_and_writes_nothing_into_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", 5, 10)
    before = contents(run)
    assert published(run, "user/smile", "--dry-run", "--epochs", "10") == 0
    place = Path(capsys.readouterr().out.rpartition(": ")[0])
    assert [epoch.name for epoch in list_epochs(place)] == ["epoch-010"] and tmp_path not in place.parents
    shutil.rmtree(place.parent)
    assert contents(run) == before
    assert published(run, "user/smile", "--dry-run", "--out", tmp_path / "kept") == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'kept'}: ") and len(list_epochs(tmp_path / "kept")) == 2
    assert contents(run) == before and sorted(path.name for path in tmp_path.iterdir()) == ["kept", "run"]
    assert published(run, "user/smile") == 2
    assert capsys.readouterr().err == "error: no token to publish with: log in with `hf auth login`, or set HF_TOKEN\n"


@pytest.mark.parametrize(
    "repo, options, message",
    [
        ("smile", [], "'smile' has no owner: give 'user/name'"),
        ("a/b/c", [], "'a/b/c' is not a repository id"),
        ("user/a b", [], "'user/a b' is not a repository id"),
        ("user/x", ["--epochs", "5,"], "--epochs '5,': give all, or numbers such as 5,10,20"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], repo: str, options: list[str], message: str
) -> None:
    run = make_run(tmp_path / "run", 5)
    assert published(run, repo, "--dry-run", *options) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and message in said.err and said.err.count("\n") == 1 and not said.out
