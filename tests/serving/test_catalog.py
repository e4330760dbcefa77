"""catalog.py: models of folders, and on the local Hub of users and repositories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.models.dcgan import DCGAN
from cyclegan_hub.serving import studio as serving
from cyclegan_hub.serving.catalog import ModelEntry, choices, find_models, promise, source_kind
from cyclegan_hub.serving.messages import ServingError, one_line, public_error_text
from cyclegan_hub.serving.studio import Studio
from support.card_facts import facts
from support.hub_client import ConnectedHub, api, commit
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.pictures import encoded
from support.served_models import translate
from support.tiny_models import folder, measured, model

HUB_TIMEOUT = 1
NOWHERE = Path("none")


# --- folders


def test_a_folder_of_domains(tmp_path: Path) -> None:
    folder(tmp_path / "zebra", domain="", labels=("horse", "zebra"), image_size=64)
    folder(tmp_path / "monet", 5, domain="monet", labels=("photo", "Monet"))
    smile = folder(tmp_path / "smile", 5, 10, 15, metrics=measured(10, 5, 10, 15))
    (smile / "recipe.json").write_text(json.dumps(facts("smile").run))
    (tmp_path / "notes").mkdir()
    folder(tmp_path / ".half.tmp", 5)
    found = find_models(None, tmp_path)
    assert list(found.models) == ["smile", "monet", "zebra"]
    assert found.status == "Serving the models that are bundled with this page."
    smile, monet, zebra = (found.models[name] for name in found.models)
    assert [(e.name, e.number, e.label, e.best) for e in smile.epochs] == [
        ("epoch-005", 5, "Epoch 5", False), ("epoch-010", 10, "Epoch 10 · best", True), ("epoch-015", 15, "Epoch 15", False)
    ]  # fmt: skip
    assert [epoch.label for epoch in monet.epochs] == ["Epoch 5"] and zebra.epochs[0].label == "The published model"
    assert (smile.portraits, monet.portraits, zebra.portraits) == (True, False, False)
    assert not any(one.faces or one.skip for one in (smile, monet, zebra))
    assert (smile.original_size, monet.original_size, zebra.original_size) == (False, True, True)
    assert smile.arrow("a_to_b") == "not smiling → smiling" and smile.arrow("b_to_a") == "smiling → not smiling"
    assert zebra.labels == ("horse", "zebra") and zebra.image_size == 64 and zebra.title == "Zebra"
    assert "non-commercial" in smile.licence and not smile.redistributable
    assert monet.licence == zebra.licence == "not stated: ask who published the model"  # without a record
    assert smile.origin == "bundled" and find_models(str(tmp_path), NOWHERE).models["smile"].origin == "folder"


def entry(name: str, labels: tuple[str, ...], directions: tuple[str, ...] = ("a_to_b", "b_to_a"), **changes: str) -> ModelEntry:
    return ModelEntry(name, labels, 32, directions=directions, **changes)


def test_models_are_named_by_what_they_do(tmp_path: Path) -> None:
    folder(tmp_path / "zebra", domain="", labels=("horse", "zebra"))
    folder(tmp_path / "other", domain="monet", labels=("sketch", "Monet"))  # of that domain, but another translation
    for name in ("monet", "monet-new"):
        folder(tmp_path / name, domain="monet", labels=("photo", "Monet"))
    models = list(find_models(None, tmp_path).models.values())
    assert choices(models) == [
        ("Paint like Monet (monet)", "monet"), ("Paint like Monet (monet-new)", "monet-new"),
        ("sketch ↔ Monet", "other"), ("horse ↔ zebra", "zebra"),
    ]  # fmt: skip
    assert models[0].heading("b_to_a") == "Monet → photo" and models[-1].heading("a_to_b") == "Horse → zebra"


SMILE = entry("smile", ("not smiling", "smiling"), action="Make them smile")
ANIME = entry("anime", ("human face", "anime face"), action="Anime", makes="anime")
MONET = entry("monet", ("photo", "Monet"), action="Paint like Monet", makes="a Monet painting")
FACES = entry("faces", ("face",), ("samples",), action="Faces from noise")
OWN = entry("own", ("day", "night"))


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([SMILE, ANIME, MONET, FACES], "Turn a photo into anime or a Monet painting."),
        ([ANIME, ANIME, OWN], "Turn a photo into anime, and more."),
        ([SMILE, FACES], "Make them smile."),
        ([FACES], "Faces from noise."),
        ([OWN, SMILE], "Turn day into night, and back."),
        ([entry("own", ("map", "city"), ("a_to_b",))], "Turn map into city."),
        ([entry("own", ("flower",), ("samples",))], "New pictures: flower."),
        ([], "Turn one kind of picture into another."),
    ],
)
def test_the_promise_is_what_is_served(models: list[ModelEntry], said: str) -> None:
    assert promise(models) == said


def test_the_promise_of_all_domains_reads_as_one_sentence() -> None:
    models = [entry(one.name, one.labels, action=one.action, makes=one.makes) for one in DOMAINS.values()]
    assert all(one.action for one in models) and promise(models).startswith("Turn a photo into anime, a cartoon, a Monet")


def test_faces_and_strength_are_those_of_the_config(tmp_path: Path) -> None:
    eyes = (0.3, 0.4, 0.7, 0.4)
    folder(tmp_path / "one", domain="", labels=("pet", "drawing"), eyes_a=eyes)
    folder(tmp_path / "both", 5, eyes_a=eyes, eyes_b=eyes, skip=True)
    one, both = (find_models(None, tmp_path).models[name] for name in ("one", "both"))
    assert (one.eyes_a, one.eyes_b, one.skip, one.original_size) == (eyes, None, False, False)
    assert (both.eyes("a_to_b"), both.eyes("b_to_a"), both.skip) == (eyes, eyes, True)
    assert (one.faces, one.eyes("b_to_a"), both.eyes("samples")) == (True, None, None)


@pytest.mark.parametrize("eyes", [5, "x", [0.1, 0.2], [0.7, 0.4, 0.3, 0.4], [1, 2, 3, None], {"left": 1}])
def test_damaged_eyes_are_none(tmp_path: Path, eyes: object) -> None:
    config = folder(tmp_path / "smile") / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"eyes_a": eyes}))
    studio = Studio(None, tmp_path)
    assert studio.model("smile").eyes_a is None
    with pytest.raises(ServingError, match="cannot be loaded"):
        translate(studio, png(), "smile")


def test_a_run_and_a_single_model(tmp_path: Path) -> None:
    run = folder(tmp_path / "runs" / "first", 5, 10)
    found = find_models(str(run), NOWHERE)
    assert list(found.models) == ["smile"] and [e.label for e in found.models["smile"].epochs] == ["Epoch 5", "Epoch 10 · last"]
    assert found.status == "Serving the models of the folder first."
    found = find_models(str(run / "epochs" / "epoch-005"), NOWHERE)
    assert [(e.name, e.number, e.label) for e in found.models["smile"].epochs] == [("main", None, "Epoch 5")]


@pytest.mark.parametrize(("domain", "name"), [("../../x y", "x-y"), ("<b>", "b"), ("..", "model"), ("", "run")])
def test_a_name_is_safe_in_a_path(tmp_path: Path, domain: str, name: str) -> None:
    assert list(find_models(str(folder(tmp_path / "run", 5, domain=domain)), NOWHERE).models) == [name]


@pytest.mark.parametrize("empty", ["none", "notes"])
def test_no_models(tmp_path: Path, empty: str) -> None:
    (tmp_path / "notes").mkdir()
    found = find_models(None, tmp_path / empty)
    assert found.models == {} and "set CYCLEGAN_HUB_MODELS to" in found.status


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("metrics.json", '{"best": "epoch-099", "epochs": {}}', "metrics.json calls 'epoch-099' the best"),
        ("epochs/epoch-005/config.json", "{", "config.json is damaged: publish the model again"),
        ("epochs/epoch-005/config.json", '{"labels": ["a"], "image_size": 32}', "config.json has no two labels"),
        ("epochs/epoch-005/config.json", '{"labels": ["a", "b"], "image_size": 10000000}', "no image_size up to 4096"),
        ("recipe.json", "[]", "recipe.json is damaged"),
    ],
)
def test_a_damaged_model_is_named_and_the_others_serve(tmp_path: Path, file: str, text: str, told: str) -> None:
    folder(tmp_path / "monet", domain="monet", labels=("photo", "Monet"))
    (folder(tmp_path / "smile", 5) / file).write_text(text)
    found = find_models(None, tmp_path)
    assert list(found.models) == ["monet"]
    assert " smile cannot be used (" in found.status
    assert told in found.status and str(tmp_path) not in found.status


def test_a_model_of_another_class_is_none_of_the_page(tmp_path: Path) -> None:
    folder(tmp_path / "smile")
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text('{"model": "SideEncoder"}')
    (tmp_path / "encoder" / "metrics.json").write_text('{"accuracy": 1}')
    found = find_models(None, tmp_path)
    assert list(found.models) == ["smile"] and found.status == "Serving the models that are bundled with this page."
    (tmp_path / "anime").mkdir()
    (tmp_path / "anime" / "config.json").write_text("{")
    assert "anime cannot be used (config.json is damaged" in find_models(None, tmp_path).status


def test_a_replaced_model_is_another_revision(tmp_path: Path) -> None:
    folder(tmp_path / "smile", 5)
    before = find_models(None, tmp_path).models["smile"].epochs
    assert find_models(None, tmp_path).models["smile"].epochs == before
    weights = tmp_path / "smile" / "epochs" / "epoch-005" / "model.safetensors"
    weights.with_suffix(".new").write_bytes(weights.read_bytes())
    weights.with_suffix(".new").rename(weights)
    assert find_models(None, tmp_path).models["smile"].epochs != before


def test_what_models_may_be(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    assert [source_kind(text) for text in (None, "", str(tmp_path), "user", "user/repo")] == [
        "bundled", "bundled", "folder", "user", "repository"
    ]  # fmt: skip
    for text in ("./nowhere", "/nowhere/at/all", "a/b/c", "user/", "http://x", "x" * 5000):
        with pytest.raises(ServingError, match="give one, a user of the Hub, or user/repository"):
            source_kind(text)


def test_texts_are_made_safe() -> None:
    assert one_line("<b>\x00a\n\u202e b</b>") == "\u2039b\u203a a b\u2039/b\u203a" and len(one_line("x" * 500)) == 60
    error = OSError("[Errno 13] Permission denied: '/srv/secret/x/config.json' and C:\\Users\\me\\x.json")
    assert public_error_text(error, "/srv/secret/x", "smile") == "[Errno 13] Permission denied: 'smile/config.json' and …"
    assert public_error_text(OSError("no '/home/me/a b'"), "user/x", "user/x") == "no '… b'"
    assert public_error_text(ValueError("user/x@epoch-005: nothing"), "user/x", "x") == "x@epoch-005: nothing"


# --- the Hub


def repository(name: str, *epochs: int, **changes: object) -> None:
    api.create_repo(name)
    for epoch in epochs:
        commit(name, model(epoch, **changes), f"epoch-{epoch:03d}")


def upload(name: str, file: str, data: bytes) -> None:
    api.upload_file(path_or_fileobj=data, path_in_repo=file, repo_id=name)


def again(studio: Studio) -> Studio:
    """Has it look again, as a minute later."""
    studio._known_since -= serving.REFRESH_AFTER
    studio.models()
    assert studio._refreshing
    studio._refreshing.join()
    return studio


@pytest.mark.slow
def test_a_user_and_what_is_bundled(hub: ConnectedHub, tmp_path: Path) -> None:
    folder(tmp_path / "bundled" / "smile", 1)
    folder(tmp_path / "bundled" / "anime", 1)
    repository("user/cyclegan-smile", 5, 10)
    repository("user/monet", 5, domain="monet", labels=("photo", "Monet"))
    studio = Studio("user", tmp_path / "bundled")
    assert [(d.name, d.origin, d.source) for d in studio.models()] == [
        ("smile", "Hub", "user/cyclegan-smile"), ("anime", "bundled", "anime"), ("monet", "Hub", "user/monet")
    ]  # fmt: skip
    assert studio.status() == "Serving smile, monet of user from the Hub; bundled with this page: anime."
    assert [epoch.label for epoch in studio.model("smile").epochs] == ["Epoch 5", "Epoch 10 · last"]
    assert "[The model's card on the Hub](https://huggingface.co/user/" in studio.card("smile")
    assert "/user/cyclegan-smile/tree/epoch-005)" in studio.card("smile", 5)
    assert {d.origin for d in Studio("org", tmp_path / "bundled").models()} == {"bundled"}
    assert Studio("org", tmp_path / "bundled").status() == "org has no models on the Hub; bundled with this page: smile, anime."


@pytest.mark.slow
def test_a_hub_that_is_down_and_comes_back(hub: ConnectedHub, tmp_path: Path) -> None:
    folder(tmp_path / "bundled" / "smile", 1)
    repository("down/cyclegan-monet", 5, 10, domain="monet", labels=("photo", "Monet"))
    with hub.fault("/api/models/.*/refs", status=503):
        studio = Studio("down", tmp_path / "bundled")
        assert studio.status() == "The Hub does not answer; bundled with this page: smile."
        assert translate(studio, png(), "smile").after.size == (32, 32)
        assert [d.name for d in studio.models()] == ["smile"]  # a minute is not over: not asked again
    assert [d.name for d in again(studio).models()] == ["smile", "monet"]
    translate(studio, png(), "monet", epoch=5)
    with hub.fault("/(api/models/)?down/.*", status=503):
        assert [e.number for e in again(studio).model("monet").epochs] == [5]
        assert studio.models()[1].origin == "cache" and "from its cache; bundled" in studio.status()
        assert translate(studio, png(), "monet", epoch=5).after.size == (32, 32)
        assert translate(Studio("down", tmp_path / "bundled"), png(), "monet", epoch=5).after.size == (32, 32)
    upload("down/cyclegan-monet", "metrics.json", b'{"best": "epoch-010", "epochs": {"epoch-010": {"a_to_b": {"kid": 0.5}}}}')
    assert [e.label for e in again(studio).model("monet").epochs] == ["Epoch 5", "Epoch 10 · best"]
    assert "| kid | 0.5 |" in studio.card("monet")


@pytest.mark.slow
def test_a_repository_of_ones_own(hub: ConnectedHub, tmp_path: Path) -> None:
    folder(tmp_path / "bundled" / "smile", 1)
    repository("user/zebras", 5, domain="", labels=("horse", "zebra"))
    studio = Studio("user/zebras", tmp_path / "bundled")
    assert [(d.name, d.labels) for d in studio.models()] == [("zebras", ("horse", "zebra"))]
    assert studio.status() == "Serving zebras of user/zebras from the Hub."
    assert Studio("user/nowhere", tmp_path / "bundled").status() == (
        "user/nowhere has no models on the Hub; bundled with this page: smile. user/nowhere is not on the Hub, or private."
    )
    api.create_repo("user/empty")
    assert "user/empty cannot be used (user/empty: no config.json there)." in Studio("user/empty", tmp_path).status()
    with hub.fault("/api/models/user/zebras/refs", status=403):
        assert "user/zebras cannot be used (the Hub says 403)." in Studio("user/zebras", tmp_path).status()


@pytest.mark.slow
def test_an_epoch_that_cannot_be_fetched(hub: ConnectedHub, tmp_path: Path) -> None:
    repository("user/late", 5, 10)
    studio = Studio("user/late", tmp_path)
    with hub.fault("/user/late/resolve/.*", status=503), pytest.raises(ServingError) as caught:
        translate(studio, png(), "smile", epoch=5)
    assert str(caught.value).startswith("Epoch 5 of smile cannot be loaded (smile@epoch-005: ")
    assert str(tmp_path) not in str(caught.value)
    assert translate(studio, png(), "smile", epoch=5).epoch.number == 5  # as soon as the Hub is well


@pytest.mark.slow
def test_a_user_with_a_model_that_samples(hub: ConnectedHub, tmp_path: Path) -> None:
    api.create_repo("org/dcgan-faces")
    for epoch in (5, 10):
        commit("org/dcgan-faces", DCGAN(widths=(8, 4), domain="faces", epoch=epoch), f"epoch-{epoch:03d}")
    upload("org/dcgan-faces", "metrics.json", b'{"best": "epoch-010", "epochs": {"epoch-010": {"samples": {"kid": 0.5}}}}')
    studio = Studio("org", tmp_path)
    assert [(d.name, d.kind, d.origin) for d in studio.models()] == [("faces", "dcgan", "Hub")]
    assert studio.status() == "Serving faces of org from the Hub." and "| kid | 0.5 |" in studio.card("faces")
    samples = studio.sample("faces", 3)
    assert studio.model("faces").best_epoch.label == "Epoch 10 · best" and len(samples) == 3
    with hub.fault("/(api/models/)?org/.*", status=503):
        assert again(studio).models()[0].origin == "cache" and studio.sample("faces", 3) == samples


@pytest.mark.slow
def test_a_hub_that_is_gone(hub: ConnectedHub, tmp_path: Path) -> None:
    folder(tmp_path / "bundled" / "smile", 1)
    repository("user/cyclegan-anime", 5, 10, domain="anime", labels=("human face", "anime face"))
    translate(Studio("user", tmp_path), png(), "anime")
    with hub.gone():
        studio = Studio("user", tmp_path / "bundled")
        assert [(d.name, d.origin) for d in studio.models() if d.name in ("smile", "anime")][-1] == ("anime", "cache")
        assert studio.status().startswith("The Hub does not answer: serving ") and translate(studio, png(), "anime").epoch.best
        assert "nothing of it is in the cache" in Studio("user/none", tmp_path / "none").status()


def png() -> bytes:
    return encoded(0, (32, 32))
