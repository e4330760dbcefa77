"""hub/errors.py: each kind of error is recognised by itself and as the cause of another one, and becomes one line."""

from __future__ import annotations

import errno
from importlib import import_module

import pytest
from huggingface_hub import constants, errors
from huggingface_hub.utils import hf_raise_for_status

from cyclegan_hub.hub.errors import (
    FailureKind,
    dataset_message,
    explain,
    failure_of,
    file_message,
    repository_in_url,
    wrong_name_message,
)
from cyclegan_hub.publishing import push as pushing

http = import_module(errors.Response.__module__.split(".")[0])  # httpx or httpx2, by the client's version


def answered(status: int, code: str | None = None, headers: dict[str, str] | None = None) -> Exception:
    """The client's own error for an answer."""
    headers = (headers or {}) | ({"X-Error-Code": code} if code else {})
    request = http.Request("GET", "https://hub.invalid/api/models/user/x")
    try:
        hf_raise_for_status(http.Response(status, headers=headers, request=request))
    except errors.HfHubHTTPError as error:
        return error
    raise AssertionError(status)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


FAILURES = [
    (errors.HFValidationError("a/b/c"), FailureKind.NAME, "give a folder that exists"),
    (answered(403, "GatedRepo"), FailureKind.GATED, "ask for it"),
    (answered(404, "RepoNotFound"), FailureKind.REPOSITORY, "check the name, or log in"),
    (answered(404, "RevisionNotFound"), FailureKind.REVISION, "check"),
    (answered(404, "EntryNotFound"), FailureKind.FILE, "check"),
    (answered(403), FailureKind.FORBIDDEN, "use a token"),
    (answered(412), FailureKind.CONFLICT, "run the same command again"),
    (answered(413), FailureKind.REFUSED, "try again later"),
    (answered(429), FailureKind.LIMIT, "try again in some minutes"),
    (answered(429, headers={"Retry-After": "7"}), FailureKind.LIMIT, "try again in 7 seconds"),
    (answered(429, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), FailureKind.LIMIT, "try again in some minutes"),
    (answered(429, headers={"ratelimit": '"api";r=0;t=1'}), FailureKind.LIMIT, "try again in 1 second"),
    (answered(500), FailureKind.BROKEN, "try again later"),
    (http.ConnectError("refused"), FailureKind.UNREACHABLE, "the connection"),
    (errors.OfflineModeIsEnabled("offline mode is enabled"), FailureKind.OFFLINE, "unset HF_HUB_OFFLINE"),
    (PermissionError(errno.EACCES, "Permission denied", "/cache/x"), FailureKind.READ_ONLY, "set HF_HOME"),
    (OSError(errno.ENOSPC, "No space left on device"), FailureKind.DISK_FULL, "free space"),
    (KeyError("sha"), FailureKind.OTHER, "check the name and the connection"),
]


@pytest.mark.parametrize(("error", "kind", "remedy"), FAILURES, ids=lambda value: getattr(value, "name", None))
def test_a_failure_by_itself_and_as_a_cause(error: Exception, kind: FailureKind, remedy: str) -> None:
    """And every message about it is one line, without a URL, which may hold a signature."""
    assert failure_of(error).kind is kind and remedy in failure_of(error).remedy
    for line in (
        file_message(error, "user/x", "user/x@main", "config.json"), explain(error, "user/x"),
        pushing._message(error, "user/x: tagging"), dataset_message(error, "user/x", "user/x split train", cached=True),
    ):  # fmt: skip
        assert "user/x" in line and len(line.splitlines()) == 1 and "hub.invalid" not in line
    for outer in (RuntimeError("the upload failed"), ConnectionError("lost"), errors.LocalEntryNotFoundError("not cached")):
        expected = kind if kind is not FailureKind.OTHER or type(outer) is RuntimeError else FailureKind.UNREACHABLE
        assert failure_of(caused(outer, error)).kind is expected


def test_the_hub_is_down_where_what_is_cached_may_serve() -> None:
    down = {kind.name for error, kind, _ in FAILURES if failure_of(error).is_down}
    assert down == {"LIMIT", "BROKEN", "UNREACHABLE", "OFFLINE", "OTHER"}


def test_a_cache_that_cannot_be_written() -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "/cache/models--user--x")
    line = file_message(error, "user/x", "user/x@main", "config.json")
    assert line.startswith("user/x@main: no folder of that name, and config.json could not be fetched from the Hub: ")
    assert "/cache/models--user--x cannot be written (Permission denied): set HF_HOME to a folder that can be written" in line
    assert "connection" not in line


@pytest.mark.parametrize(
    "url",
    ["http://huggingface.co/user/x/", "huggingface.co/user/x", "https://hf.co/user/x.git", "git@hf.co:user/x", "hf://user/x",
     "https://huggingface.co/datasets/user/x/tree/main", "https://huggingface.co/user/x/resolve/main/config.json?download=true"],
)  # fmt: skip
def test_a_url_gets_the_id_that_is_in_it(url: str) -> None:
    assert repository_in_url(url) == "user/x"
    assert wrong_name_message(url) == f"{url!r} is a URL, not a repository id: give 'user/x'"


def test_a_url_of_another_server() -> None:
    line = wrong_name_message("https://example.com/user/x", prefix="hf:")
    assert line.startswith("'https://example.com/user/x' is a URL: download the file") and "'hf:user/name'" in line


@pytest.mark.parametrize("text", ["user/x", "a/b/c", "https://example.com/user/x", "folder/huggingface.co/user/x", ""])
def test_a_text_that_is_not_a_url_of_the_hub(text: str) -> None:
    assert repository_in_url(text) is None


def test_datasets_that_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    lost = caused(ConnectionError("Couldn't reach 'user/x' on the Hub"), http.ConnectError("refused"))
    line = dataset_message(lost, "user/x", "user/x train", cached=True)
    assert line.endswith(
        "cannot be reached; set HF_HUB_OFFLINE=1 to use the copy in the cache, connect, or give a local --data FOLDER"
    )
    offline = caused(ConnectionError("Couldn't reach"), errors.OfflineModeIsEnabled("offline"))
    assert "HF_HUB_OFFLINE is set; unset it" in dataset_message(offline, "user/x", "user/x train")
    missing = caused(FileNotFoundError("Dataset 'user/x' doesn't exist on the Hub"), answered(404, "RepoNotFound"))
    assert "no repository of that name, or it is private: check the name" in dataset_message(missing, "user/x", "user/x train")
    assert dataset_message(ValueError("Config name is missing.\nmore"), "u/x", "u/x train") == (
        "u/x train cannot be loaded: Config name is missing."
    )
