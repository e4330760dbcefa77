"""Inception-v3: the real network of torch-fidelity, with weights drawn here in place of the 91 MiB that would be downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from cyclegan_hub.evaluation import features
from cyclegan_hub.evaluation.features import FeatureError

IMAGES = torch.randint(0, 256, (2, 3, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

with_library = pytest.mark.skipif(importlib.util.find_spec("torch_fidelity") is None, reason="torch-fidelity is not installed")


@pytest.fixture
def no_download(tmp_path, monkeypatch) -> Path:
    """Torch's cache is empty, and a download fails as it does without a network."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


@with_library
def test_without_weights_the_message_says_what_to_pass(no_download) -> None:
    with pytest.raises(FeatureError, match=r"--extractor inception to download .* or --extractor encoder"):
        features.default()
    with pytest.raises(FeatureError, match=r"could not be downloaded .*\(no network\).* inception:FILE"):
        features.from_text("inception")
    with pytest.raises(FeatureError, match="there is no such file"):
        features.from_text(f"inception:{no_download / 'nothing.pth'}")


@with_library
def test_another_file_is_refused_before_anything_reads_it(no_download, monkeypatch) -> None:
    path = no_download / "weights-inception-2015-12-05-6726825d.pth"
    torch.save({"a": torch.ones(1)}, path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("the file was read"))
    with pytest.raises(FeatureError, match=r"has the SHA-256 .*, not 6726825d0af5.*was not read"):
        features.from_text(f"inception:{path}")


def test_without_the_library_the_message_says_so(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FeatureError, match="pip install --no-deps torch-fidelity, or pass --extractor encoder"):
        features.default()


@with_library
def test_inception_is_torch_fidelitys_network(no_download, monkeypatch) -> None:
    """Weights with the known hash give what the library's own class gives for them, and nothing of it stays imported."""
    with monkeypatch.context() as patch:  # the library's own building, with the weights it starts from
        patch.setattr(nn.Module, "load_state_dict", lambda *_, **__: None)
        torch.manual_seed(0)
        theirs = features._fid_network()({})
    path = no_download / "weights.pth"
    torch.save(theirs.state_dict(), path)
    monkeypatch.setattr(features, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    extractor = features.from_text(f"inception:{path}")
    found = extractor(IMAGES)
    assert (extractor.name, extractor.metric("fid"), found.shape) == ("inception-v3", "fid", (2, 2048))
    assert extractor.digest == extractor.weights_digest(theirs.state_dict())[:12]
    with torch.no_grad():
        assert torch.equal(found, theirs(IMAGES)[0])
    assert not [name for name in sys.modules if name.startswith("torch_fidelity")]
