"""Reads which commits the branches and tags of a Hub repository point to."""

from __future__ import annotations

from huggingface_hub import constants, get_session

# The client's own helpers, which it documents; its package names them without exporting them by `__all__`.
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, validate_repo_id  # type: ignore[attr-defined]

from cyclegan_hub.hub.model_folder import EPOCH, epoch_number


def refs_of(repo: str, token: str | bool | None = None) -> tuple[str | None, dict[str, str]]:
    """Returns (commit of `main`, {epoch tag: commit}, ascending) of a repository by one request.

    The commit is None without a branch `main`. Raises the errors of the Hub's client.
    """
    validate_repo_id(repo)
    answer = get_session().get(  # not HfApi.list_repo_refs, which would wait for ever
        f"{constants.ENDPOINT}/api/models/{repo}/refs",
        headers=build_hf_headers(token=token),
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    )
    hf_raise_for_status(answer)
    branches, tags = ({ref["name"]: ref["targetCommit"] for ref in answer.json()[kind]} for kind in ("branches", "tags"))
    names = sorted(filter(EPOCH.fullmatch, tags), key=epoch_number)
    return branches.get("main"), {name: tags[name] for name in names}
