"""hub.py: whatever is not a model is refused: by its folder, its config or its weights."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cyclegan_hub.hub.mixin import FORMAT
from support.saved_models import CONFIG, FIRST, WEIGHTS, Trap, refusal, tiny
from support.saved_models import folder as folder

# --- refusals: the folder


def test_a_folder_without_config_or_weights(folder: Path) -> None:
    config = (folder / CONFIG).read_bytes()
    (folder / CONFIG).unlink()
    assert refusal(folder) == f"{folder}: no config.json there. A model folder holds config.json and model.safetensors"
    (folder / CONFIG).write_bytes(config)
    (folder / WEIGHTS).unlink()
    assert refusal(folder) == f"{folder}: no model.safetensors there. A model folder holds config.json and model.safetensors"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "generator.pth", "last.ckpt", "x.pt", "x.pkl", WEIGHTS])
@pytest.mark.parametrize("how", ["pickle", "torch.save"])
def test_a_pickle_is_named_and_never_run(folder: Path, tmp_path: Path, name: str, how: str) -> None:
    marker = tmp_path / "executed"
    (folder / WEIGHTS).unlink()
    if how == "pickle":
        (folder / name).write_bytes(pickle.dumps(Trap(marker)))
    else:
        torch.save({"a": Trap(marker)}, folder / name)
    message = refusal(folder)
    if name == WEIGHTS:
        assert "model.safetensors cannot be read" in message
    else:
        assert message.startswith(f"{folder}: no model.safetensors there; {name} is a pickle, which is never loaded.")
    assert not marker.exists()


@pytest.mark.parametrize("source", ["a/b/c", "two words", "/no/such/folder", "../nowhere/at/all", "\0", "x" * 300, "a--b"])
def test_a_name_that_is_no_folder_and_no_repository(source: str) -> None:
    assert refusal(source) == f"{source!r} is neither a folder nor a repository id: give a folder that exists, or 'user/name'"


def test_a_file_instead_of_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(folder / WEIGHTS) == f"{folder / WEIGHTS} is a file: give the folder it is in"
    monkeypatch.chdir(folder)
    assert refusal(CONFIG) == "config.json is a file: give the folder it is in"  # which a repository could be called as well


@pytest.mark.parametrize("name", ["latest_net_G_A.pth", "40_net_G.pth"])
def test_weights_of_the_original_code(folder: Path, name: str) -> None:
    (folder / WEIGHTS).rename(folder / name)
    convert = "; weights of the original code become one with `cyclegan-hub import latest_net_G_A.pth latest_net_G_B.pth OUT`"
    message = refusal(folder)
    assert f"{name} is a pickle, which is never loaded" in message and message.endswith(convert)
    message = refusal(folder / name)
    assert message.startswith(f"{folder / name} is a pickle, which is never loaded: give a folder") and message.endswith(convert)


def test_a_git_lfs_pointer_instead_of_the_weights(folder: Path) -> None:
    """As in a clone that was made without Git LFS."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 4711\n"
    (folder / WEIGHTS).write_bytes(pointer)
    message = refusal(folder)
    assert message.startswith(f"{folder}: model.safetensors is a Git-LFS pointer of {len(pointer)} bytes, not the weights")
    assert "run `git lfs pull`" in message


def test_an_address_instead_of_a_name() -> None:
    assert refusal("https://huggingface.co/user/smile/tree/main") == (
        "'https://huggingface.co/user/smile/tree/main' is a URL, not a repository id: give 'user/smile'"
    )


# --- refusals: the config


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.update(model="PixGenerator"), "config.json describes a 'PixGenerator', not a CycleGenerator"),
        (lambda c: c.pop("model"), "config.json is not one of ours (KeyError: 'model')"),
        (lambda c: c.pop("format"), "config.json is not one of ours (KeyError: 'format')"),
        (lambda c: c.update(format=FORMAT + 1), f"config format {FORMAT + 1} is none that this package reads (up to {FORMAT})"),
        (lambda c: c.update(format="1"), "config format '1' is none that this package reads"),
        (lambda c: c.update(colour="red"), "config.json does not fit CycleGenerator: missing [], unknown ['colour']"),
        (lambda c: c.pop("blocks"), "config.json does not fit CycleGenerator: missing ['blocks'], unknown []"),
        (lambda c: c.update(generator="vit"), "generator='vit': must be one of resnet, unet"),
        (lambda c: c.update(upsample="cubic"), "upsample='cubic'"),
        (lambda c: c.update(padding=None), "padding=None"),
        (lambda c: c.update(width="4"), "width='4': give a whole number of at least 1"),
        (lambda c: c.update(width=0), "width=0"),
        (lambda c: c.update(width=True), "width=True"),
        (lambda c: c.update(blocks=-1), "blocks=-1"),
        (lambda c: c.update(channels=1.0), "channels=1.0"),
        (lambda c: c.update(image_size="256"), "image_size='256'"),
        (lambda c: c.update(image_size=None), "image_size=None"),
        (lambda c: c.update(labels="AB"), "labels='AB': give two, of A and of B"),
        (lambda c: c.update(labels=["A"]), "labels=['A']"),
        (lambda c: c.update(labels=["A", 2]), "labels=['A', 2]"),
        (lambda c: c.update(labels=None), "config.json does not describe a CycleGenerator"),
        (lambda c: c.update(dropout=7), "dropout probability has to be between 0 and 1, but got 7"),
        (lambda c: c.update(dropout="much"), "config.json does not describe a CycleGenerator"),
        (lambda c: c.update(width=10**12), "config.json does not describe a CycleGenerator"),
    ],
)
def test_a_config_that_is_not_this_models(folder: Path, change: Callable[[dict], object], message: str) -> None:
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))
    refused = refusal(folder)
    assert refused.startswith(f"{folder}: ") and message in refused


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"not json",
        b"[]",
        b'"text"',
        b"3",
        b"null",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"model": "CycleGenerator"}',
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_config_that_is_no_config(folder: Path, text: bytes) -> None:
    (folder / CONFIG).write_bytes(text)
    assert refusal(folder).startswith(f"{folder}: config.json is not one of ours (")


# --- refusals: the weights


def test_a_config_larger_than_its_weights_takes_no_memory(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"width": 100_000, "blocks": 3}))  # 35 TB a generator
    assert "weights do not fit the config: missing" in refusal(folder)
    (folder / CONFIG).write_text(json.dumps(config | {"width": 100_000}))
    assert "weights do not fit the config: a_to_b" in refusal(folder)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda w: w.pop(FIRST), f"weights do not fit the config: missing {FIRST}, unexpected none"),
        (lambda w: w.update(extra=torch.zeros(1)), "weights do not fit the config: missing none, unexpected extra"),
        (lambda w: w.update({FIRST: w[FIRST][:, :1].clone()}), f"{FIRST} (4, 1, 7, 7) float32 for (4, 3, 7, 7) float32"),
        (lambda w: w.update({FIRST: w[FIRST].reshape(-1)}), f"{FIRST} (588,) float32 for (4, 3, 7, 7) float32"),
        (lambda w: w.update({FIRST: w[FIRST].to(torch.int8)}), f"{FIRST} (4, 3, 7, 7) int8 for (4, 3, 7, 7) float32"),
        (lambda w: [w.pop(n) for n in list(w) if n.startswith("b_to_a.")], "and 19 more, unexpected none"),
        (lambda w: w.update({n.replace("a_to_b", "G"): w.pop(n) for n in list(w)}), "unexpected G.body"),
        (lambda w: w.clear(), "weights do not fit the config: missing a_to_b.body"),
    ],
)
def test_weights_that_do_not_fit(folder: Path, change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    refused = refusal(folder)
    assert refused.startswith(f"{folder}: ") and message in refused and len(refused) < 1000


def test_weights_of_another_size_of_the_same_network(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(tiny(width=8).files()[WEIGHTS])
    assert "for (4, 3, 7, 7) float32" in refusal(folder)
    (folder / WEIGHTS).write_bytes(tiny(blocks=2).files()[WEIGHTS])
    assert "missing none, unexpected a_to_b.body.1" in refusal(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.9, 0.99999])
def test_weights_cut_short(folder: Path, share: float) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: int(share * len(data))])
    refused = refusal(folder)
    assert refused.startswith(f"{folder}: model.safetensors cannot be read (") and refused.endswith("): fetch it again")


def test_weights_of_numbers_that_torch_does_not_have(folder: Path) -> None:
    header = json.dumps({"x": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    assert "model.safetensors cannot be read ('F4')" in refusal(folder)
