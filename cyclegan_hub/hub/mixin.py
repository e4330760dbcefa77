"""The strict Hub mixin: a config is required, weights are safetensors and must fit exactly, nothing is unpickled."""

from __future__ import annotations

import inspect
import json
import struct
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from huggingface_hub import HfApi, ModelCard, ModelCardData, PyTorchModelHubMixin, constants
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from cyclegan_hub.errors import counted, first_line, shortened
from cyclegan_hub.files import is_lfs_pointer, json_bytes, readable, write_atomic
from cyclegan_hub.hub.provenance import provenance_of, public_record, without_paths
from cyclegan_hub.hub.records import ModelError, RunRecord
from cyclegan_hub.hub.repository import RECORD, Fetched, fetch
from cyclegan_hub.machine import plain_defaults
from cyclegan_hub.templates import escape_markdown

# Of config.json; raised when an older package could no longer read the files of a newer one. A file is written in the oldest
# format from WRITTEN on that holds its constructor arguments, so that older packages read what they can.
FORMAT, WRITTEN = 4, 3
# Keywords of other libraries' `from_pretrained`, each with its replacement here.
_INSTEAD = {
    **dict.fromkeys(("torch_dtype", "dtype"), "call .to(dtype) on the loaded model"),
    **dict.fromkeys(("device", "device_map"), "give map_location, or call .to(device) on the loaded model"),
    "subfolder": "give the folder itself, or the epoch's tag as revision",
}


class ArgumentError(ModelError, TypeError):
    """A keyword that `from_pretrained` does not take."""


class StrictHubMixin(PyTorchModelHubMixin):
    """`from_pretrained`, `save_pretrained` and `push_to_hub` for a torch module whose constructor arguments are all JSON.

    `config.json` holds every constructor argument, so that nothing has to be repeated to load. Unlike
    `PyTorchModelHubMixin` it refuses a missing config (which there silently means default arguments), a missing or extra
    weight, a config of another class, and a pickle.
    """

    # By format number: constructor arguments that are new in it, with the values that a model of an older format gets.
    _since: ClassVar[Mapping[int, Mapping[str, Any]]] = {}
    stored_dtype: torch.dtype | None = None  # dtype of the weights in the loaded file; None: not loaded from one, or mixed dtypes
    _fetched: Fetched | None = None  # the files it was loaded from

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Stores the arguments for `config`. Raises TypeError for one that is not JSON (the base class stores its default)."""
        instance = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(instance, *args, **kwargs)
        bound.apply_defaults()
        config: dict[str, Any] = {}
        for name, value in list(bound.arguments.items())[1:]:
            try:
                config[name] = json.loads(json.dumps(value))  # stored as it will be loaded: a tuple becomes a list
            except TypeError:
                raise TypeError(
                    f"{name}={value!r} is a {type(value).__name__}, which config.json cannot hold: give plain numbers or text"
                ) from None
        instance._hub_mixin_config = config
        return instance

    @classmethod
    def config_kind(cls) -> str:
        """The class as `config.json` names it, which stays when a class is renamed."""
        return cls.__name__

    @property
    def arguments(self) -> dict[str, Any]:
        """Every constructor argument, as JSON holds it."""
        return dict(cast(dict[str, Any], self._hub_mixin_config))

    @property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`: the class, the format, and every constructor argument that the format has."""
        arguments, version = self.arguments, FORMAT
        while version > WRITTEN and all(arguments[name] == value for name, value in self._since.get(version, {}).items()):
            for name in self._since.get(version, {}):
                del arguments[name]
            version -= 1
        return {"model": self.config_kind(), "format": version, **arguments}

    def files(self, metadata: dict[str, str] | None = None, dtype: torch.dtype | None = None) -> dict[str, bytes]:
        """Returns {file name: content} of `config.json` and `model.safetensors`; equal models give equal bytes.

        `metadata` goes into the header of the weights; `dtype` converts the floating-point weights, None leaves them as they are.
        """
        state = {name: (t.detach().to("cpu", dtype) if t.is_floating_point() else t.detach().cpu()).contiguous()
                 for name, t in _module(self).state_dict().items()}  # fmt: skip
        config = json_bytes(self.config, sort_keys=True)
        return {constants.CONFIG_NAME: config, constants.SAFETENSORS_SINGLE_FILE: serialize(state, metadata or {})}

    @property
    def record(self) -> RunRecord | None:
        """The record of the run that made the weights, from where the model was loaded; None without one."""
        return self._fetched.record() if self._fetched is not None else None

    def _save_pretrained(self, save_directory: Path) -> None:
        """Writes the model and the record of its run, so that the terms of the weights travel with them."""
        files, record = self.files(), self.record
        if record is not None:
            files[RECORD] = json_bytes(public_record(record))
        for name, data in files.items():
            write_atomic(save_directory / name, data)

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """As of `ModelHubMixin`; the card names this repository, and the licence of the run's record."""
        if "/" not in repo_id:  # as the base class does, which gives the card no name
            opened = HfApi(token=kwargs.get("token")).create_repo(repo_id, private=kwargs.get("private"), exist_ok=True)
            repo_id = str(opened.repo_id)
        kwargs["model_card_kwargs"] = {"repo_id": repo_id} | (kwargs.get("model_card_kwargs") or {})
        return super().push_to_hub(repo_id, **kwargs)

    def generate_model_card(self, *args: Any, repo_id: str | None = None, **kwargs: Any) -> ModelCard:
        """The card of a model that is saved or pushed without its run folder."""
        info, found = self._hub_mixin_info, provenance_of(self.record)
        data: dict[str, Any] = {**vars(info.model_card_data), **found.metadata(repo_id)}
        card: ModelCard = ModelCard.from_template(
            ModelCardData(**data), template_str=info.model_card_template, paper_url=info.paper_url, repo_url=info.repo_url,
            docs_url=info.docs_url, repo_id=repo_id or "USER/NAME", recorded=self.record is not None,
            terms=escape_markdown(without_paths(found.terms).rstrip(".")), **kwargs,
        )  # fmt: skip
        return card

    # ------------------------------------------------------------------------------------------------------- loading
    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        map_location: str | torch.device = "cpu",
        strict: bool = True,
        **model_kwargs: Any,
    ) -> Self:
        """The model in a folder or a Hub repository, in evaluation mode on the CPU; `stored_dtype` says how it was stored.

        In a repository ("user/name") `revision` is a branch, a tag such as "epoch-005", or a commit; both files come from one
        commit, whatever is pushed meanwhile. In a folder with `epochs/` it is the name of one of these, None (or "main") for
        the best by the folder's `metrics.json`, or the last without one. `map_location`: the device to put the model on.
        `strict` is always on, and no other keyword is taken: the constructor's arguments come from `config.json`.

        Raises ModelError when there is no such folder, repository or revision or the Hub does not answer (the client's own
        error is the cause), when `config.json` or `model.safetensors` is missing, damaged, of another class or a newer
        format, when the weights do not fit exactly, or for a device that is not there; ArgumentError, which is a ModelError
        and a TypeError, for `strict=False` and for another keyword.
        """
        cls._check_arguments(strict, model_kwargs)
        fetched = fetch(
            pretrained_model_name_or_path, revision=revision, cache_dir=cache_dir, force_download=force_download,
            local_files_only=local_files_only, token=token,
        )  # fmt: skip
        return cls.load_from(fetched, map_location)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        """What the base class calls to load a model: as strict as `from_pretrained`, and no pickle either."""
        return cls.from_pretrained(model_id, **options)

    @classmethod
    @plain_defaults()
    def load_from(cls, fetched: Fetched, map_location: str | torch.device = "cpu") -> Self:
        """The model of these files; half precision is widened to fp32. Raises ModelError as `from_pretrained` does."""
        where, device = fetched.where, _device(fetched.where, map_location)
        weights = read_weights(where, fetched.weights.read_bytes())
        with torch.device("meta"):  # shapes only, so that a damaged config cannot ask for more memory than its weights need
            model = cls._build(where, fetched.config, len(weights))
        module = _module(model)
        own = module.state_dict()
        check_fit(where, own, weights)
        # Copied: tensors in a file may start at any byte, and results of torch can depend on the alignment in the last digit.
        copies = {name: tensor.to(device, own[name].dtype, copy=True) for name, tensor in weights.items()}
        module.load_state_dict(copies, strict=True, assign=True)
        if any(tensor.is_meta for tensor in chain(module.parameters(), module.buffers())):
            raise RuntimeError(f"{cls.__name__} has a tensor that is not in its state: register it as a persistent buffer")
        dtypes = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
        model.stored_dtype, model._fetched = dtypes.pop() if len(dtypes) == 1 else None, fetched
        module.eval()
        return model

    @classmethod
    def _check_arguments(cls, strict: bool, others: dict[str, Any]) -> None:
        """Raises ArgumentError for `strict=False` and for keywords that `from_pretrained` does not take."""
        if strict is not True:
            raise ArgumentError(f"strict={strict!r}: weights that do not fit exactly are never loaded: leave it out")
        for name, value in others.items():
            if name in inspect.signature(cls.__init__).parameters:
                raise ArgumentError(f"{name}={value!r}: the arguments of {cls.__name__} come from config.json: leave it out")
            known = "revision, token, cache_dir, force_download, local_files_only and map_location"
            raise ArgumentError(f"{name}={value!r}: from_pretrained takes {known}: {_INSTEAD.get(name, 'leave it out')}")

    @classmethod
    def _build(cls, where: str, text: bytes, tensors: int) -> Self:
        """An untrained model with a config's arguments. Raises ModelError unless they are exactly those of the constructor, and
        where there are more blocks than `tensors`, the number of those in its weights."""
        try:
            config = json.loads(text)
            kind, version = config.pop("model"), config.pop("format")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise ModelError(f"{where}: config.json is not one of ours ({type(error).__name__}: {error})") from None
        if kind != cls.config_kind():
            raise ModelError(f"{where}: config.json describes a {kind!r}, not a {cls.__name__}")
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT:
            raise ModelError(
                f"{where}: config format {version!r} is not one that this package reads (up to {FORMAT}): upgrade cyclegan_hub"
            )
        added = {name: value for since, new in cls._since.items() if since > version for name, value in new.items()}
        known = set(list(inspect.signature(cls.__init__).parameters)[1:]) - set(added)
        if set(config) != known:
            raise ModelError(
                f"{where}: config.json does not fit {cls.__name__}: missing {sorted(known - set(config))}, "
                f"unknown {sorted(set(config) - known)}"
            )
        blocks = config.get("blocks")
        if isinstance(blocks, int) and blocks > tensors:  # each has one at least, and takes time even where it takes no memory
            raise ModelError(f"{where}: weights do not fit the config: blocks={blocks}, of {counted(tensors, 'tensor')}")
        try:
            return cls(**config, **added)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{where}: config.json does not describe a {cls.__name__}: {first_line(error)}") from error


def _module(model: StrictHubMixin) -> nn.Module:
    """The model itself, typed as a torch module: every class with this mixin is one."""
    return cast(nn.Module, model)


def _device(where: str, map_location: str | torch.device) -> torch.device:
    """`map_location` as a device. Raises ModelError if torch does not know it or the machine does not have it."""
    try:
        device = torch.device(map_location)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ModelError(f"{where}: map_location={map_location!r} cannot be used ({first_line(error)}): leave it out") from None
    return device


def serialize(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """The bytes of a safetensors file, equal for equal content: its metadata are sorted, which the library does not do."""
    data = save_safetensors(tensors, metadata={"format": "pt"} | {key: readable(value) for key, value in metadata.items()})
    header, length = _header(data)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format keeps the tensors aligned to 8 bytes
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def read_metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file that `load` takes (`safe_open` wants a path in UTF-8, on a file system with mmap)."""
    metadata: dict[str, str] = _header(data)[0].get("__metadata__", {})
    return metadata


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), length


def read_weights(where: str, data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU. Raises ModelError, which calls the model `where`, for other bytes."""
    if is_lfs_pointer(data):
        raise ModelError(
            f"{where}: model.safetensors is a Git-LFS pointer of {len(data)} bytes, not the weights: run `git lfs pull` in the "
            "clone that it lies in, or give the repository's name"
        )
    try:
        return load_safetensors(data)
    except (SafetensorError, KeyError) as error:  # KeyError: a type of numbers that torch does not have
        raise ModelError(f"{where}: model.safetensors cannot be read ({first_line(error)}): fetch it again") from None


def check_fit(where: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Raises ModelError unless `weights` fit the state `own` exactly: names, shapes, floats for floats."""
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or extra:
        absent, unexpected = (shortened(names, 4) or "none" for names in (missing, extra))
        raise ModelError(f"{where}: weights do not fit the config: missing {absent}, unexpected {unexpected}")
    wrong = [
        f"{name} {_kind(weights[name])} for {_kind(tensor)}"
        for name, tensor in own.items()
        if weights[name].shape != tensor.shape or weights[name].is_floating_point() != tensor.is_floating_point()
    ]
    if wrong:
        raise ModelError(f"{where}: weights do not fit the config: {shortened(wrong, 4)}")


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
