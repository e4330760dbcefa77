"""hub/mixin.py and the files it loads: equal after saving and loading, refused unless they fit, cached, and errors of the Hub."""

from __future__ import annotations

import copy
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import PyTorchModelHubMixin, errors
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from cyclegan_hub.hub.mixin import FORMAT, WRITTEN, StrictHubMixin
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.dcgan import DCGAN
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.models.paired_generator import PairedGenerator
from support.saved_models import CONFIG, FIRST, METADATA, WEIGHTS, Trap, assert_equal, digest, refusal, tiny
from support.saved_models import folder as folder


class Dense(nn.Module, StrictHubMixin):
    """The least there is to publish; a buffer of whole numbers as well."""

    def __init__(self, inputs: int, outputs: int = 2, names: tuple[str, ...] = ("a",), note: str | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        self.register_buffer("steps", torch.tensor(7))


# --- there and back


MODELS = {
    "cycle": lambda: tiny(),
    "pairs": lambda: PairedGenerator(width=4, blocks=2, image_size=16, pairs="colorize"),
    "noise": lambda: DCGAN(latent=8, widths=(8, 4)),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("default", ["dtype", "device"])
def test_defaults_of_the_program_do_not_change_what_is_loaded(kind: str, default: str, tmp_path: Path) -> None:
    def outputs(one: Any) -> list[bytes]:
        made = one.sample(2, seed=1) if kind == "noise" else [one.translate(Image.new("RGB", (16, 16), "teal"))]
        return [image.tobytes() for image in made]

    model: Any = MODELS[kind]().eval()
    model.save_pretrained(tmp_path)
    expected = outputs(model)
    try:
        torch.set_default_dtype(torch.float16) if default == "dtype" else torch.set_default_device("meta")
        loaded = type(model).from_pretrained(tmp_path)
        found = outputs(loaded)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert_equal(loaded, model)
    assert found == expected
    assert {tensor.dtype for tensor in loaded.state_dict().values() if tensor.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("as_text", [True, False])
def test_save_and_load(folder: Path, as_text: bool) -> None:
    model = tiny()
    loaded = CycleGenerator.from_pretrained(str(folder) if as_text else folder)
    assert_equal(loaded, model)
    assert loaded.config == model.config == json.loads((folder / CONFIG).read_text())
    assert not loaded.training and all(p.requires_grad and p.device.type == "cpu" for p in loaded.parameters())
    assert loaded.files() == model.files() == {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}


def test_config_holds_every_constructor_argument_of_its_format() -> None:
    assert tiny(labels=("photo", "Monet"), epoch=5).config == {
        "model": "CycleGenerator", "format": WRITTEN, "channels": 3, "width": 4, "blocks": 1, "generator": "resnet",
        "upsample": "resize", "padding": "reflect", "dropout": 0.0, "image_size": 16, "domain": "",
        "labels": ["photo", "Monet"], "epoch": 5, "skip": False, "value_range": None, "eyes_a": None, "eyes_b": None,
    }  # fmt: skip
    assert Dense(3, 5, note="x").config == {
        "model": "Dense", "format": WRITTEN, "inputs": 3, "outputs": 5, "names": ["a"], "note": "x",
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
    for name, data in model.files(dtype=torch.float16).items():
        (tmp_path / "dense" / name).write_bytes(data)
    assert (
        load_file(tmp_path / "dense" / WEIGHTS)["steps"].dtype == torch.int64
        and Dense.from_pretrained(tmp_path / "dense").steps == 12
    )


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
    with pytest.raises(TypeError):
        CycleGenerator.from_pretrained(folder, **options)
    assert message in refusal(folder, **options)


@pytest.mark.parametrize("device", ["gpu", "cuda:77", 3.5])
def test_a_device_that_is_not_there(folder: Path, device: Any) -> None:
    assert f"map_location={device!r} cannot be used (" in refusal(folder, map_location=device)


def test_a_loaded_model_can_be_trained(folder: Path) -> None:
    loaded = CycleGenerator.from_pretrained(folder).train()
    loaded(torch.rand(1, 3, 16, 16)).square().sum().backward()
    torch.optim.SGD(loaded.parameters(), 0.1).step()
    assert not torch.equal(loaded.state_dict()[FIRST], tiny().state_dict()[FIRST])
    assert_equal(CycleGenerator.from_pretrained(folder), tiny())


def test_the_base_class_s_own_loading_is_as_strict(folder: Path) -> None:
    assert_equal(CycleGenerator._from_pretrained(model_id=str(folder)), tiny())
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError):
        CycleGenerator._from_pretrained(model_id=str(folder))


def test_loading_draws_no_random_numbers(folder: Path) -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    loaded = CycleGenerator.from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), before)
    assert_equal(loaded, tiny())


# --- bytes


def test_equal_models_are_equal_bytes() -> None:
    """The safetensors library itself writes metadata in an order that changes from call to call."""
    assert len({digest(tiny()) for _ in range(20)}) == 1
    assert digest(tiny(epoch=1)) != digest(tiny())
    state = tiny().state_dict()
    assert len({save(state, METADATA) for _ in range(50)}) > 1  # if this fails, `serialize` may go


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


# --- refusals


@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.pkl", WEIGHTS])
@pytest.mark.parametrize("write", [lambda trap, path: path.write_bytes(pickle.dumps(trap)), torch.save], ids=["pickle", "torch"])
def test_a_pickle_is_named_and_never_run(folder: Path, tmp_path: Path, name: str, write: Callable[[Any, Path], object]) -> None:
    (folder / WEIGHTS).unlink()
    write(Trap(tmp_path / "executed"), folder / name)
    named = f"{folder}: no model.safetensors there; {name} is a pickle, which is never loaded."
    assert refusal(folder).startswith(named if name != WEIGHTS else f"{folder}: model.safetensors cannot be read")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("source", ["a/b/c", "/no/such/folder", "\0", "x" * 300])
def test_a_name_that_is_no_folder_and_no_repository(source: str) -> None:
    assert refusal(source) == f"{source!r} is neither a folder nor a repository id: give a folder that exists, or 'user/name'"


def test_a_file_instead_of_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(folder / WEIGHTS) == f"{folder / WEIGHTS} is a file: give the folder it is in"
    original = (folder / WEIGHTS).rename(folder / "40_net_G.pth")
    message = refusal(original)
    assert message.startswith(f"{original} is a pickle, which is never loaded: give a folder") and message.endswith(IMPORT)
    monkeypatch.chdir(folder)
    assert refusal(CONFIG) == "config.json is a file: give the folder it is in"  # which a repository could be called as well


def config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """A change of a folder's config.json."""

    def apply(folder: Path) -> None:
        change(found := json.loads((folder / CONFIG).read_text()))
        (folder / CONFIG).write_text(json.dumps(found))

    return apply


def weights(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], object]:
    """A change of a folder's weights."""

    def apply(folder: Path) -> None:
        change(found := load_file(folder / WEIGHTS))
        save_file(found, folder / WEIGHTS)

    return apply


def content(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


IMPORT = "; weights of the original code become one with `cyclegan-hub import latest_net_G_A.pth latest_net_G_B.pth OUT`"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 4711\n"  # a clone without Git LFS
F4 = json.dumps({"x": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}).encode()  # numbers that torch does not have
NOT_OURS, UNFIT, UNREADABLE = (
    "config.json is not one of ours (",
    "weights do not fit the config: ",
    "model.safetensors cannot be read (",
)
WRONG = [
    (lambda f: (f / CONFIG).unlink(), "no config.json there. A model folder holds config.json and model.safetensors"),
    (lambda f: (f / WEIGHTS).unlink(), "no model.safetensors there. A model folder holds config.json and model.safetensors"),
    (lambda f: (f / WEIGHTS).rename(f / "latest_net_G_A.pth"), f"config.json and model.safetensors{IMPORT}"),
    (
        content(WEIGHTS, POINTER),
        f"model.safetensors is a Git-LFS pointer of {len(POINTER)} bytes, not the weights: run `git lfs pull`",
    ),
    (content(CONFIG, b""), NOT_OURS),
    (content(CONFIG, b"null"), NOT_OURS),
    (content(CONFIG, b"\xff\xfe\x00"), NOT_OURS),
    (content(CONFIG, b"[" * 100_000), NOT_OURS),
    (config(lambda c: c.pop("format")), f"{NOT_OURS}KeyError: 'format')"),
    (config(lambda c: c.update(model="PixGenerator")), "config.json describes a 'PixGenerator', not a CycleGenerator"),
    (config(lambda c: c.update(format=FORMAT + 1)), f"config format {FORMAT + 1} is not one that this package reads (up to"),
    (config(lambda c: c.update(format="1")), "config format '1' is not one that this package reads"),
    (config(lambda c: c.update(colour="red")), "config.json does not fit CycleGenerator: missing [], unknown ['colour']"),
    (config(lambda c: c.pop("blocks")), "config.json does not fit CycleGenerator: missing ['blocks'], unknown []"),
    (config(lambda c: c.update(width="4")), "config.json does not describe a CycleGenerator: width='4'"),
    (config(lambda c: c.update(dropout="much")), "config.json does not describe a CycleGenerator"),
    (config(lambda c: c.update(width=10**12)), "config.json does not describe a CycleGenerator"),
    (config(lambda c: c.update(width=100_000, blocks=3)), f"{UNFIT}missing"),  # 35 TB a generator, which are never asked for
    (config(lambda c: c.update(width=100_000)), f"{UNFIT}a_to_b"),
    (config(lambda c: c.update(blocks=10**9)), f"{UNFIT}blocks=1000000000, of "),  # they would be built for hours
    (weights(lambda w: w.pop(FIRST)), f"{UNFIT}missing {FIRST}, unexpected none"),
    (weights(lambda w: w.update(extra=torch.zeros(1))), f"{UNFIT}missing none, unexpected extra"),
    (weights(lambda w: w.update({FIRST: w[FIRST][:, :1].clone()})), f"{FIRST} (4, 1, 7, 7) float32 for (4, 3, 7, 7) float32"),
    (weights(lambda w: w.update({FIRST: w[FIRST].to(torch.int8)})), f"{FIRST} (4, 3, 7, 7) int8 for (4, 3, 7, 7) float32"),
    (weights(lambda w: [w.pop(n) for n in list(w) if n.startswith("b_to_a.")]), "and 19 more, unexpected none"),
    (content(WEIGHTS, b""), UNREADABLE),
    (lambda f: content(WEIGHTS, (f / WEIGHTS).read_bytes()[:-1])(f), UNREADABLE),
    (content(WEIGHTS, struct.pack("<Q", len(F4)) + F4 + b"\0\0"), f"{UNREADABLE}'F4'): fetch it again"),
]


@pytest.mark.parametrize(("spoil", "message"), WRONG, ids=[f"{i}-{message[:40]}" for i, (_, message) in enumerate(WRONG)])
def test_a_folder_that_is_not_this_models(folder: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(folder)
    refused = refusal(folder)
    assert refused.startswith(f"{folder}: ") and message in refused and len(refused) < 1000


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


def test_a_repository_in_the_cache_loads_offline(cache: Path) -> None:
    for options in ({}, {"revision": "1" * 40}, {"local_files_only": True}):
        assert_equal(CycleGenerator.from_pretrained("user/tiny", cache_dir=cache, **options), tiny())


def test_a_repository_that_is_not_in_the_cache_offline(cache: Path) -> None:
    with pytest.raises(ModelError) as error:
        CycleGenerator.from_pretrained("user/other", cache_dir=cache)
    assert isinstance(error.value.__cause__, errors.LocalEntryNotFoundError)
    message = refusal("user/other", cache_dir=cache)
    assert message.startswith("user/other@main: no folder of that name, and config.json is not in the cache and could not be")
    assert "offline mode is enabled" in message and message.endswith("check the name and the connection")
    assert "user/tiny@v2: no folder" in refusal("user/tiny", cache_dir=cache, revision="v2")
    assert "user/other@main: no folder" in refusal("user/other", cache_dir=cache, local_files_only=True)
