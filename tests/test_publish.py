"""publish.py and train/publish.py: the folder of a run, and its way to a Hub that may refuse, break off or be raced.

The checks run in a process of their own against the local Hub (see local_hub.Checks), with a second as the client's patience.
Uploads to the real Hub go through Xet, which is not covered.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, ModelCard, get_session
from PIL import Image
from safetensors import safe_open

from cyclegan_hub import CycleGenerator, templates
from cyclegan_hub.checkpoints import forget, list_epochs, load
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.publishing import build as publish
from cyclegan_hub.publishing import card as cards
from cyclegan_hub.publishing import push as pushing
from cyclegan_hub.publishing.build import build
from cyclegan_hub.publishing.push import push
from cyclegan_hub.publishing.sample_grid import _CELL, _FACES, _SCENES, sample_grid
from support.hub_checks import asked, control, fault, impatient, plant
from support.local_hub import Checks, Server
from support.published_runs import CONFIG, FREE_IMAGES, TOKENS, WEIGHTS, contents, make_run, model, published, refusal
from support.training import ROOT, script, train

check = Checks()
api = HfApi()


# --- the model folder


def test_the_folder_of_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5, 10, 20, best=10)
    out = build(run, tmp_path / "out", "user/smile")
    found, names = contents(out), [f"epochs/epoch-{n:03d}/{file}" for n in (5, 10, 20) for file in (CONFIG, WEIGHTS)]
    assert sorted(found) == sorted([*names, CONFIG, WEIGHTS, "recipe.json", "metrics.json", "samples.png", "README.md"])
    for name in names:
        assert found[name] == (run / name).read_bytes()
    assert found[WEIGHTS] == found[f"epochs/epoch-010/{WEIGHTS}"] and json.loads(found[CONFIG])["epoch"] == 10
    assert json.loads(found["recipe.json"]) == json.loads((run / "recipe.json").read_text())
    assert found["metrics.json"] == (run / "metrics.json").read_bytes()
    assert 'from_pretrained("user/smile", revision="epoch-020")' in found["README.md"].decode()
    assert [epoch.name for epoch in list_epochs(out) if epoch.best] == ["epoch-010"]
    assert contents(build(run, out, "user/smile")) == found  # again, over itself
    assert contents(build(run, tmp_path / "other", "user/smile")) == found


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


@pytest.mark.slow
def test_the_folder_of_a_real_training(tmp_path: Path) -> None:
    script("demo_data").make(tmp_path / "data", images=6, size=36)
    arguments = ("--data", tmp_path / "data", "--labels", "disc,square", "--out", tmp_path / "run", "--set", "epochs=2")
    assert train(*arguments) == 0
    out = build(tmp_path / "run", tmp_path / "run" / "published", "user/shapes")
    assert [epoch.name for epoch in list_epochs(out)] == [epoch.name for epoch in list_epochs(tmp_path / "run")]
    card = (out / "README.md").read_text("utf-8")
    assert "# disc ↔ square" in card and "pairs a second" in card and "publisher's own choice" in card
    assert str(tmp_path) not in "".join(path.read_text("utf-8") for path in out.glob("*.json")) + card
    assert train(*arguments) == 0  # the run is none the worse


def test_known_failures_are_published_and_on_the_card(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5)
    (run / "failures.txt").write_text("Glasses vanish.\n\n- Hats become hair.\n")
    out = build(run, tmp_path / "out", "user/smile")
    assert (out / "failures.txt").read_bytes() == (run / "failures.txt").read_bytes()
    assert "### Known failures\n\n- Glasses vanish.\n- Hats become hair.\n" in (out / "README.md").read_text("utf-8")
    (run / "failures.txt").unlink()
    assert "failures.txt" not in contents(build(run, out, "user/smile"))


@pytest.mark.parametrize("domain, channels, rows", [("smile", 3, 3), ("monet", 1, 5)])
def test_the_grid_shows_every_free_image_there_and_back(domain: str, channels: int, rows: int) -> None:
    one = model(1, domain=domain, channels=channels, labels=("夜", "day"))
    grid = sample_grid(one)
    side = _CELL + 4
    assert grid.mode == "RGB" and rows * side < grid.height < (rows + 1) * side and 5 * side < grid.width < 6 * side
    source = Image.open(FREE_IMAGES / (_FACES if domain == "smile" else _SCENES)[0]).convert("RGB")
    expected = publish.images.square(publish.images.decode(source, channels), 16).resize((160, 160), Image.Resampling.NEAREST)
    top = grid.height - rows * side
    assert grid.crop((4, top, 164, top + 160)).tobytes() == expected.convert("RGB").tobytes()


def test_free_images_are_small_and_attributed() -> None:
    text = (FREE_IMAGES / "ATTRIBUTION.md").read_text("utf-8")
    found = sorted(FREE_IMAGES.glob("*.jpg"))
    shown = {FREE_IMAGES / name for name in (*_FACES, *_SCENES)}
    assert shown >= set(found)
    assert all(f"`{path.relative_to(FREE_IMAGES).as_posix()}`" in text for path in shown)
    for path in found:
        assert f"`{path.name}`" in text and path.stat().st_size < 60_000 and max(Image.open(path).size) <= 320


def spoil(run: Path, what: str) -> None:
    weights = run / "epochs" / "epoch-005" / WEIGHTS
    match what:
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-9])
        case "no epochs":
            shutil.rmtree(run / "epochs")
        case "no recipe":
            (run / "recipe.json").unlink()
        case "recipe damaged":
            (run / "recipe.json").write_text('{"recipe": {}, "labels": ["a", "b"], "data": {"a": "", "b": ""}}')
        case "recipe no json":
            (run / "recipe.json").write_text("{")
        case "history damaged":
            (run / "history.jsonl").write_text("{\n{}\n")
        case "metrics damaged":
            (run / "metrics.json").write_text("{")


@pytest.mark.parametrize(
    "what, options, message",
    [
        ("truncated", {}, "epoch-005: model.safetensors cannot be read ("),
        ("no epochs", {}, "has no epochs yet: train on"),
        ("no recipe", {}, "holds no run (no recipe.json there): give the folder that train.py wrote"),
        ("recipe damaged", {}, "not a training's record: no batch_size, domain, image_size, name"),
        ("recipe no json", {}, "recipe.json is damaged ("),
        ("history damaged", {}, "line 1 is damaged"),
        ("metrics damaged", {}, "metrics.json is not of the form"),
        ("", {"epochs": [5, 7, 9]}, "no epoch 7, 9; epochs there: epoch-005, epoch-010"),
        ("", {"epochs": []}, "no epoch is to be published"),
        ("", {"epochs": [5]}, "epoch-010 is the best by metrics.json but is not to be published: add it to the epochs"),
        ("", {"dtype": "int8"}, "dtype 'int8': must be one of fp32, fp16"),
    ],
)
def test_what_cannot_be_built(tmp_path: Path, what: str, options: dict, message: str) -> None:
    run = make_run(tmp_path / "run", 5, 10, best=10)
    spoil(run, what)
    assert message in refusal(build, run, tmp_path / "out", "user/smile", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5)
    (tmp_path / "out").write_text("a file")
    assert refusal(build, run, tmp_path / "out", "user/smile").startswith(f"cannot write to {tmp_path / 'out'}: ")


@pytest.mark.parametrize("missing", ["README.md", "epochs", f"epochs/epoch-005/{WEIGHTS}"])
def test_what_is_no_model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(pushing, "check", lambda *_: None)  # of the token
    out = build(make_run(tmp_path / "run", 5, 10), tmp_path / "out", "user/x")
    shutil.rmtree(out / missing) if (out / missing).is_dir() else (out / missing).unlink()
    assert refusal(push, out, "user/x") == f"{out} is no model folder with a card and epochs/: build it from the run first"


# --- the command line


def test_dry_run_needs_no_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", 5, 10)
    assert published(run, "user/smile", "--dry-run", "--epochs", "10") == 0
    assert capsys.readouterr().out.startswith(f"{run / 'published'}: ")
    assert [epoch.name for epoch in list_epochs(run / "published")] == ["epoch-010"]
    assert published(run, "user/smile") == 2
    assert capsys.readouterr().err == "error: no token to publish with: log in with `hf auth login`, or set HF_TOKEN\n"


@pytest.mark.parametrize(
    "repo, options, message",
    [
        ("smile", [], "'smile' names no owner: give 'user/name'"),
        ("a/b/c", [], "'a/b/c' is no repository name"),
        ("user/a b", [], "'user/a b' is no repository name"),
        ("user/x", ["--epochs", "5,"], "--epochs '5,': give all, or numbers such as 5,10,20"),
        ("user/x", ["--epochs", "15"], "no epoch 15; epochs there: epoch-005"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], repo: str, options: list[str], message: str
) -> None:
    run = make_run(tmp_path / "run", 5)
    assert published(run, repo, "--dry-run", *options) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and message in said.err and said.err.count("\n") == 1 and not said.out


@pytest.mark.parametrize("what", ["no recipe", "truncated", "template"])
def test_what_cannot_be_built_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run = make_run(tmp_path / "run", 5)
    spoil(run, what)
    if what == "template":
        shutil.copytree(str(cards.TEMPLATES), tmp_path / "cards")
        (tmp_path / "cards" / "card.md").write_text("{{ flavour }}")
        monkeypatch.setattr(templates, "FOLDERS", (tmp_path / "cards", *templates.FOLDERS))
    assert published(run, "user/smile", "--dry-run") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


# --- the Hub


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each check, "" if nothing did."""
    tmp = tmp_path_factory.mktemp("hub")
    with Server(tmp / "hub", tokens=TOKENS, multipart_chunk=20_000) as server:
        return check.run(__file__, server, tmp)


def folder_of(tmp: Path, *epochs: int, repo: str = "user/x", **options: Any) -> Path:
    """A model folder of a run with these epochs."""
    name = f"run{len(list(tmp.glob('run*')))}"
    return build(make_run(tmp / name, *epochs, **options), tmp / f"{name}.out", repo)


def commits(repo: str) -> list[str]:
    """Titles of a repository's commits on `main`, the first one first."""
    return [commit.title for commit in api.list_repo_commits(repo)][::-1]


def holds(repo: str, revision: str, files: dict[str, bytes], tmp: Path) -> bool:
    """Whether a repository holds these files there, and no others."""
    there = Path(api.snapshot_download(repo, revision=revision, cache_dir=tmp / "cache"))
    return {name: data for name, data in contents(there).items() if name != ".gitattributes"} == files


def is_published(repo: str, folder: Path, tmp: Path) -> None:
    """Asserts that a repository holds the whole of a model folder: every tag, and `main`."""
    files = contents(folder)
    shared = {name: data for name, data in files.items() if name in publish.SHARED}
    assert holds(repo, "main", shared | {name: files[name] for name in publish.MODEL}, tmp)
    forget(repo)
    found = list_epochs(repo)
    assert [epoch.name for epoch in found] == [epoch.name for epoch in list_epochs(folder)]
    for epoch, own in zip(found, list_epochs(folder), strict=True):
        assert epoch.best == own.best, epoch
        one, other = load(repo, epoch.name, cache_dir=tmp / "cache"), load(folder, own.name)
        assert one.config == other.config
        assert all(torch.equal(x, other.state_dict()[name]) for name, x in one.state_dict().items())
        x = torch.rand(1, 3, 16, 16) * 2 - 1
        assert all(torch.equal(one(x, way), other(x, way)) for way in ("a_to_b", "b_to_a"))


@check
def a_run_is_published_and_comes_back(tmp: Path) -> None:
    folder = folder_of(tmp, 5, 10, 20, best=10, repo="user/smile")
    control("DELETE")
    pushed = push(folder, "user/smile")
    assert any("/part/" in entry for entry in asked()), "weights of several parts"
    assert commits("user/smile") == ["initial commit", "epoch-005", "epoch-020", "epoch-010"]
    assert pushed["main"] == pushed["epoch-010"] == api.model_info("user/smile").sha
    is_published("user/smile", folder, tmp)
    for revision in ("epoch-005", pushed["epoch-005"]):
        assert CycleGenerator.from_pretrained("user/smile", revision=revision).epoch == 5
    assert CycleGenerator.from_pretrained("user/smile").epoch == 10
    info = api.model_info("user/smile")
    assert (info.library_name, info.pipeline_tag) == ("cyclegan_hub", "image-to-image") and "cyclegan" in info.tags
    results = ModelCard.load("user/smile").data.eval_results
    assert [(result.metric_name, result.metric_value) for result in results] == [("kid (a_to_b)", 10 / 7), ("kid (b_to_a)", 0.5)]


@check
def publishing_again_changes_nothing(tmp: Path) -> None:
    folder = folder_of(tmp, 5, 10)
    first = push(folder, "user/again")
    control("DELETE")
    assert push(folder, "user/again") == first
    assert not [entry for entry in asked() if "/commit/" in entry or "/tag/" in entry or "lfs" in entry]
    is_published("user/again", folder, tmp)


@check
def epochs_are_added_and_main_stays_the_best(tmp: Path) -> None:
    push(folder_of(tmp, 5, best=5), "user/more")
    folder = folder_of(tmp, 5, 10, best=5)
    push(folder, "user/more")
    assert commits("user/more")[1:] == ["epoch-005", "epoch-010", "main is epoch-005"]
    is_published("user/more", folder, tmp)
    unmeasured = folder_of(tmp, 5, 10)
    push(unmeasured, "user/more")
    assert "metrics.json" not in api.list_repo_files("user/more")
    is_published("user/more", unmeasured, tmp)


@check
def tags_of_another_run_are_moved_only_on_demand(tmp: Path) -> None:
    before = push(folder_of(tmp, 5, 10), "user/tags")
    other = folder_of(tmp, 5, 10, 15, seed=100)
    message = refusal(push, other, "user/tags")
    assert message.startswith("user/tags: epoch-005, epoch-010 there holds another model") and "--retag" in message
    assert api.model_info("user/tags").sha == before["main"] and len(list_epochs("user/tags")) == 2
    moved = push(other, "user/tags", retag=True)
    assert moved["epoch-005"] != before["epoch-005"]
    is_published("user/tags", other, tmp)


@check
def half_precision_is_published(tmp: Path) -> None:
    folder = build(make_run(tmp / "run", 5), tmp / "out", "user/half", dtype="fp16")
    push(folder, "user/half")
    assert load("user/half").stored_dtype == torch.float16
    is_published("user/half", folder, tmp)


@check
def every_domains_card_is_accepted(tmp: Path) -> None:
    for domain in (name for name in DOMAINS if len(DOMAINS[name].piles) == 2):  # the others: test_publish_methods.py
        control("DELETE")
        push(folder_of(tmp, 5, best=5, domain=domain), f"user/{domain}-card")
        assert "POST /api/validate-yaml" in asked()
        assert ModelCard.load(f"user/{domain}-card").data.license_name == "research-only"
    broken = folder_of(tmp, 5)
    (broken / "README.md").write_text("---\ntags: [open\n---\n")
    assert "YAML" in refusal(push, broken, "user/broken-card")


@check
def private_means_private(tmp: Path) -> None:
    folder = folder_of(tmp, 5)
    push(folder, "user/secret", private=True)
    assert api.model_info("user/secret").private
    push(folder, "user/open")
    assert "user/open is there and public" in refusal(push, folder, "user/open", private=True)


@check
def tokens_that_may_not_publish(tmp: Path) -> None:
    folder = folder_of(tmp, 5)
    assert "log in again with `hf auth login`" in refusal(push, folder, "user/token", token="hf_wrong")
    assert "user/token: the token may only read" in refusal(push, folder, "user/token", token="hf_read")
    message = refusal(push, folder, "other/token")
    assert message.startswith("other/token: opening the repository: 403 Forbidden") and "publish under your own name" in message
    push(folder, "user/token")
    with fault("/preupload/", status=403):  # a fine-grained token that may write elsewhere
        assert "403" in refusal(push, folder_of(tmp, 5, 10), "user/token")


STEPS = {  # what a push asks for -> at which step it is then told to have failed
    "/whoami-v2": "checking the token",
    "/repos/create": "opening the repository",
    "/refs$": "opening the repository",
    "/preupload/": "committing epoch-0",
    "/objects/batch": "committing epoch-0",
    "/_lfs/": "committing epoch-0",
    "/commit/": "committing epoch-0",
    "/tag/": "tagging epoch-0",
}
BUSY = {
    "429": ({"status": 429, "headers": {"Retry-After": "3"}}, "try again in 3 seconds"),
    "500": ({"status": 500}, "try again later"),
    "503": ({"status": 503}, "try again later"),
    "timeout": ({"delay": 1.2}, "check the name and the connection"),
    "cut": ({"cut_after": 0}, "check the name and the connection"),
}


def broken_off(kind: str, tmp: Path) -> None:
    """At every step a push is broken off, told in one line what it was, and completed by the next one."""
    what, advice = BUSY[kind]
    folder = folder_of(tmp, 5, 10)
    for number, (path, step) in enumerate(STEPS.items()):
        if kind == "timeout" and path not in ("/refs$", "/commit/"):  # a second each, and more where it is tried again
            continue
        if kind == "cut" and path == "/_lfs/":  # tried again, and the local server cannot put the same parts together twice
            continue
        repo = f"user/{kind}{number}"
        if path == "/_lfs/":  # of weights that are there already nothing would be uploaded
            folder = folder_of(tmp, 5, 10, seed=1000 * (1 + list(BUSY).index(kind)))
        with fault(path, **what):
            message = refusal(push, folder, repo)
        if kind == "timeout":
            time.sleep(1)  # the commit that was not waited for is made yet: not between the next push's look and its own commit
        assert f"{repo}: {step}" in message and advice in message and "same command then completes" in message, message
        push(folder, repo)
        assert commits(repo)[1:] == ["epoch-005", "epoch-010"], commits(repo)
    is_published(repo, folder, tmp)


@check
def too_many_requests(tmp: Path) -> None:
    broken_off("429", tmp)


@check
def an_error_of_the_server(tmp: Path) -> None:
    broken_off("500", tmp)


@check
def a_service_that_is_unavailable(tmp: Path) -> None:
    broken_off("503", tmp)


@check
def no_answer_in_time(tmp: Path) -> None:
    broken_off("timeout", tmp)


@check
def the_clients_session_is_left_as_it_is(tmp: Path) -> None:
    """Others in the process use it too: with its own time limits, and while a publication waits."""
    session, seen = get_session(), list[object]()
    before, original = session.timeout, api.__class__.create_commit

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append((get_session() is session, session.timeout))
        return original(*arguments, **options)

    api.__class__.create_commit = watched
    try:
        push(folder_of(tmp, 5), "user/session")
    finally:
        api.__class__.create_commit = original
    assert seen and all(one == (True, before) for one in seen)


@check
def a_connection_that_is_cut(tmp: Path) -> None:
    broken_off("cut", tmp)


@check
def an_upload_survives_a_short_fault(tmp: Path) -> None:
    folder = folder_of(tmp, 5)
    for path in ("/preupload/", "/objects/batch", "/_lfs/"):
        plant(path, status=503)
    push(folder, "user/short")
    is_published("user/short", folder, tmp)


@check
def of_two_publishers_at_once_one_is_told_to_run_again(tmp: Path) -> None:
    one, other = folder_of(tmp, 5, 10), folder_of(tmp, 15, 20, seed=100)
    original = pushing.refs_of

    def interrupted(*arguments: Any) -> Any:
        found = original(*arguments)
        pushing.refs_of = original
        push(other, "user/two")
        return found

    pushing.refs_of = interrupted
    message = refusal(push, one, "user/two")
    assert message == (
        "user/two: committing epoch-005: somebody else published there at the same time: run the same command again"
    )
    assert commits("user/two")[1:] == ["epoch-015", "epoch-020"]
    push(one, "user/two")
    assert [epoch.name for epoch in list_epochs("user/two")] == ["epoch-005", "epoch-010", "epoch-015", "epoch-020"]
    assert load("user/two").epoch == 10
    with fault("/tag/", status=409):  # the other's tag came between our commit and our tag
        assert "run the same command again" in refusal(push, one, "user/tagged")
    push(one, "user/tagged")
    is_published("user/tagged", one, tmp)


@check
def the_command_line(tmp: Path) -> None:
    run = make_run(tmp / "run", 5, 10, 15)
    assert published(run, "user/cli", "--epochs", "5,10", "--dtype", "fp16", "--private") == 0
    assert [epoch.name for epoch in list_epochs("user/cli")] == ["epoch-005", "epoch-010"]
    assert load("user/cli").stored_dtype == torch.float16 and api.model_info("user/cli").private
    assert published(run, "user/cli", "--epochs", "5,10") == 2, "other weights: fp32"
    assert published(run, "user/cli", "--retag") == 0
    assert load("user/cli").epoch == 15 and load("user/cli", 5).stored_dtype == torch.float32
    assert published(run, "other/cli") == 2
    os.environ["HF_TOKEN"] = "hf_read"
    try:
        assert published(run, "user/cli") == 2
    finally:
        os.environ["HF_TOKEN"] = "hf_local"


@pytest.mark.parametrize("name", check.functions)
@pytest.mark.slow
def test_on_the_hub(results: dict[str, str], name: str) -> None:
    assert not results[name], results[name]


if __name__ == "__main__":
    impatient()
    pushing.TIMEOUT, pushing.SLOWEST = 1, 10**9
    sys.path.insert(0, str(ROOT))
    check.report()
