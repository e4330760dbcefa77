"""hub.py: a model comes back exactly as it was saved, and equal models are equal bytes."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn

import cyclegan_hub
from cyclegan_hub.hub.mixin import FORMAT, StrictHubMixin
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.dcgan import DCGAN
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.models.paired_generator import PairedGenerator
from support.saved_models import CONFIG, FIRST, WEIGHTS, Trap, assert_equal, refusal, tiny
from support.saved_models import folder as folder


class Dense(nn.Module, StrictHubMixin):
    """The least there is to publish; a buffer of whole numbers as well."""

    def __init__(self, inputs: int, outputs: int = 2, names: tuple[str, ...] = ("a",), note: str | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        self.register_buffer("steps", torch.tensor(7))


# --- there and back


@pytest.mark.parametrize("as_text", [True, False])
def test_save_and_load(folder: Path, as_text: bool) -> None:
    model = tiny()
    loaded = CycleGenerator.from_pretrained(str(folder) if as_text else folder)
    assert_equal(loaded, model)
    assert loaded.config == model.config == json.loads((folder / CONFIG).read_text())
    assert not loaded.training and all(p.requires_grad and p.device.type == "cpu" for p in loaded.parameters())
    assert loaded.files() == model.files() == {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}


def test_config_holds_every_constructor_argument_given_or_not() -> None:
    assert tiny(labels=("photo", "Monet"), epoch=5).config == {
        "model": "CycleGenerator", "format": FORMAT, "channels": 3, "width": 4, "blocks": 1, "generator": "resnet",
        "upsample": "resize", "padding": "reflect", "dropout": 0.0, "image_size": 16, "domain": "",
        "labels": ["photo", "Monet"], "epoch": 5, "skip": False, "value_range": None, "eyes_a": None, "eyes_b": None,
    }  # fmt: skip
    assert Dense(3, 5, note="x").config == {
        "model": "Dense", "format": FORMAT, "inputs": 3, "outputs": 5, "names": ["a"], "note": "x",
    }  # fmt: skip


@pytest.mark.parametrize("value", [np.int64(4), torch.tensor(4), {1, 2}, Path("x")], ids=str)
def test_an_argument_that_json_cannot_hold_is_refused(value: Any) -> None:
    """The Hub's own mixin leaves it out, so that the config would say the default instead."""
    with pytest.raises(TypeError, match=r"^width=.* which config.json cannot hold"):
        CycleGenerator(width=value)


def test_a_copy_has_the_config_too() -> None:
    for model in (tiny(epoch=3), Dense(3)):
        assert copy.deepcopy(model).config == model.config
        assert copy.deepcopy(model).files() == model.files()


def test_a_sister_with_required_arguments_and_a_buffer(tmp_path: Path) -> None:
    model = Dense(3, names=("x", "y"))
    model.steps.fill_(12)
    model.save_pretrained(tmp_path / "dense")
    loaded = Dense.from_pretrained(tmp_path / "dense")
    assert_equal(loaded, model)
    assert loaded.steps == 12 and loaded.steps.dtype == torch.int64


def test_saving_again_replaces(folder: Path) -> None:
    other = tiny(blocks=2, epoch=9)
    other.save_pretrained(folder)
    assert_equal(CycleGenerator.from_pretrained(folder), other)
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_widened(tmp_path: Path, dtype: torch.dtype) -> None:
    model = tiny()
    files = model.files(dtype=dtype)
    assert len(files[WEIGHTS]) < 0.7 * len(model.files()[WEIGHTS])
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    loaded = CycleGenerator.from_pretrained(tmp_path)
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].to(dtype).float())


def test_whole_numbers_stay_whole_in_half_precision(tmp_path: Path) -> None:
    for name, data in Dense(3).files(dtype=torch.float16).items():
        (tmp_path / name).write_bytes(data)
    assert {n: t.dtype for n, t in load_file(tmp_path / WEIGHTS).items()} == {
        "layer.weight": torch.float16, "layer.bias": torch.float16, "steps": torch.int64,
    }  # fmt: skip
    assert Dense.from_pretrained(tmp_path).steps == 7


def test_loading_does_not_depend_on_the_weights_that_are_drawn(folder: Path) -> None:
    torch.manual_seed(99)
    assert_equal(CycleGenerator.from_pretrained(folder), tiny())


# --- the class that users look for


def test_it_is_the_hubs_own_mixin_and_takes_its_arguments(folder: Path) -> None:
    for kind in (CycleGenerator, DCGAN, PairedGenerator, SideEncoder):
        assert issubclass(kind, PyTorchModelHubMixin)
        assert {"model_hub_mixin", "pytorch_model_hub_mixin"} <= set(kind._hub_mixin_info.model_card_data.tags)
    for device in ("cpu", torch.device("cpu")):
        loaded = CycleGenerator.from_pretrained(pretrained_model_name_or_path=str(folder), map_location=device, strict=True)
        assert_equal(loaded, tiny())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strict": False}, "strict=False: weights that do not fit exactly are never loaded: leave it out"),
        ({"width": 8}, "width=8: the arguments of CycleGenerator come from config.json: leave it out"),
        ({"torch_dtype": "float16"}, "torch_dtype='float16': from_pretrained takes revision, token, "),
        ({"device_map": "auto"}, "give map_location, or call .to(device) on the loaded model"),
        ({"subfolder": "x"}, "give the folder itself, or the epoch's tag as revision"),
        ({"proxies": {}}, "proxies={}: from_pretrained takes revision, token, "),
    ],
)
def test_an_argument_that_is_not_taken(folder: Path, options: dict[str, Any], message: str) -> None:
    for load in (CycleGenerator.from_pretrained, partial(CycleGenerator._from_pretrained, model_id=str(folder))):
        with pytest.raises(TypeError) as error:
            load(folder, **options) if load == CycleGenerator.from_pretrained else load(**options)
        assert isinstance(error.value, ModelError) and message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("device", ["gpu", "cuda:77", 3.5])
def test_a_device_that_is_not_there(folder: Path, device: Any) -> None:
    assert f"map_location={device!r} cannot be used (" in refusal(folder, map_location=device)


def test_no_inherited_way_is_lax(folder: Path, tmp_path: Path) -> None:
    """The base class's own steps, called by themselves."""
    assert_equal(CycleGenerator._from_pretrained(model_id=str(folder)), tiny())
    assert_equal(CycleGenerator._load_as_safetensor(tiny(epoch=3), str(folder / WEIGHTS), "cpu", True), tiny())
    with pytest.raises(ModelError, match=r"weights do not fit the config: missing a_to_b\.body\.1"):
        CycleGenerator._load_as_safetensor(tiny(blocks=2), str(folder / WEIGHTS), "cpu", True)  # of two blocks more
    with pytest.raises(ModelError, match="strict=False"):
        CycleGenerator._load_as_safetensor(tiny(), str(folder / WEIGHTS), "cpu", False)
    torch.save({"a": Trap(tmp_path / "executed")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="is a pickle, which is never loaded"):
        CycleGenerator._load_as_pickle(tiny(), str(tmp_path / "pytorch_model.bin"), "cpu", True)
    assert not (tmp_path / "executed").exists()


def test_a_loaded_model_can_be_trained(folder: Path) -> None:
    loaded = CycleGenerator.from_pretrained(folder).train()
    loaded(torch.rand(1, 3, 16, 16)).square().sum().backward()
    torch.optim.SGD(loaded.parameters(), 0.1).step()
    assert not torch.equal(loaded.state_dict()[FIRST], tiny().state_dict()[FIRST])
    assert_equal(CycleGenerator.from_pretrained(folder), tiny())


def test_loading_draws_no_random_numbers(folder: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    CycleGenerator.from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), before)


# --- bytes

METADATA = {"recipe": "smile-64", "epoch": "5", "z": "ä", "a": "1", "m": "2", "q": "3", "commit": "0" * 40}


def digest(model: StrictHubMixin) -> str:
    files = model.files(METADATA)
    return hashlib.sha256(files[CONFIG] + files[WEIGHTS]).hexdigest()


def test_equal_models_are_equal_bytes_in_every_process() -> None:
    """The safetensors library itself writes metadata in an order that changes from call to call."""
    assert len({digest(tiny()) for _ in range(20)}) == 1
    assert digest(tiny(epoch=1)) != digest(tiny())
    state = tiny().state_dict()
    assert len({save(state, METADATA) for _ in range(50)}) > 1  # if this fails, `serialize` may go
    program = "import sys; sys.path[:0] = sys.argv[1:]; from test_hub import digest, tiny; print(digest(tiny()))"
    paths = [Path(__file__).parent, Path(cyclegan_hub.__file__).parents[1]]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    other = subprocess.run([sys.executable, "-c", program, *paths], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(tiny())


def test_the_file_is_what_the_library_reads(tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / WEIGHTS
    path.write_bytes(model.files(METADATA)[WEIGHTS])
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "pt", **METADATA}
        assert sorted(file.keys()) == sorted(model.state_dict())
        for name, tensor in model.state_dict().items():
            assert torch.equal(file.get_tensor(name), tensor), name
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    assert length % 8 == 0  # the format's alignment


def test_weights_of_a_model_on_its_side_are_saved_whole() -> None:
    """channels_last weights and a network that is still being trained."""
    model = tiny().to(memory_format=torch.channels_last).train()
    assert model.files() == tiny().files()
