"""hub.py: a model from the cache of the Hub's client, and a Hub that says no."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from huggingface_hub import errors
from huggingface_hub.utils import hf_raise_for_status

from cyclegan_hub.hub import repository as fetch
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.cycle_generator import CycleGenerator
from support.saved_models import CONFIG, WEIGHTS, assert_equal, refusal, tiny
from support.saved_models import folder as folder

# --- the Hub's cache, and a Hub that says no


@pytest.fixture
def cache(folder: Path, tmp_path: Path) -> Path:
    """A cache of the Hub's client in which "user/tiny" lies, as commit 1111... and branch main."""
    repository = tmp_path / "cache" / "models--user--tiny"
    snapshot = repository / "snapshots" / ("1" * 40)
    snapshot.mkdir(parents=True)
    for name in (CONFIG, WEIGHTS):
        (snapshot / name).write_bytes((folder / name).read_bytes())
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1" * 40)
    return tmp_path / "cache"


@pytest.mark.parametrize("options", [{}, {"revision": "main"}, {"revision": "1" * 40}, {"local_files_only": True}], ids=str)
def test_a_repository_in_the_cache_loads_offline(cache: Path, options: dict) -> None:
    loaded = CycleGenerator.from_pretrained("user/tiny", cache_dir=cache, **options)
    assert_equal(loaded, tiny())
    assert not loaded.training


def test_a_repository_that_is_not_in_the_cache_offline(cache: Path) -> None:
    with pytest.raises(ModelError) as error:
        CycleGenerator.from_pretrained("user/other", cache_dir=cache)
    assert isinstance(error.value.__cause__, errors.LocalEntryNotFoundError)
    message = refusal("user/other", cache_dir=cache)
    assert message.startswith("user/other@main: no folder of that name, and config.json is not in the cache and could not be")
    assert "offline mode is enabled" in message and message.endswith("check the name and the connection")
    assert "user/tiny@v2: no folder" in refusal("user/tiny", cache_dir=cache, revision="v2")
    assert "user/other@main: no folder" in refusal("user/other", cache_dir=cache, local_files_only=True)


FETCHING = "user/x@main: no folder of that name, and config.json could not be fetched from the Hub: "


@pytest.mark.parametrize(
    "status, code, message",
    [
        (404, "RepoNotFound", FETCHING + "no repository of that name, or it is private: check the name, or log in"),
        (401, "RepoNotFound", FETCHING + "no repository of that name, or it is private: check the name, or log in"),
        (403, "GatedRepo", FETCHING + "access is restricted: ask for it on the repository's page"),
        (404, "RevisionNotFound", FETCHING + "the repository has no such branch, tag or commit: check its name"),
        (404, "EntryNotFound", "user/x@main: no config.json there. A model folder holds"),
        (403, None, FETCHING),
        (503, None, FETCHING),
    ],
)
def test_what_the_hub_answers_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str | None, message: str
) -> None:
    """The client's own errors for an answer, whose texts have several lines."""
    http = import_module(errors.Response.__module__.split(".")[0])  # httpx or httpx2, by the client's version
    headers = {"X-Error-Code": code} if code else {}
    answer = http.Response(status, headers=headers, request=http.Request("GET", "https://hub.invalid/user/x/resolve/main/y"))

    def download(*_: object, **__: object) -> None:
        hf_raise_for_status(answer)

    monkeypatch.setattr(fetch, "hf_hub_download", download)
    assert refusal("user/x").startswith(message)
    with pytest.raises(ModelError) as error:
        CycleGenerator.from_pretrained("user/x")
    assert isinstance(error.value.__cause__, errors.HfHubHTTPError)
