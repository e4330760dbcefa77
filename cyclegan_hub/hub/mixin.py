"""The strict Hub mixin: a config is required, weights are safetensors and must fit exactly, nothing is unpickled."""

from __future__ import annotations

import inspect
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from huggingface_hub import ModelHubMixin, constants
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from cyclegan_hub.files import write_atomic
from cyclegan_hub.hub.download import fetch
from cyclegan_hub.hub.errors import first_line
from cyclegan_hub.hub.model_folder import ModelError

# Of config.json; raised when an older package could no longer read what a newer one wrote. Every file is written in the newest
# form, so that it always says all constructor arguments and there is one form to read for each number.
FORMAT = 2


class StrictHubMixin(ModelHubMixin):
    """`from_pretrained`, `save_pretrained` and `push_to_hub` for a torch module whose constructor arguments are all JSON.

    `config.json` holds every constructor argument, so that nothing has to be repeated to load. It differs from
    `PyTorchModelHubMixin` in what it refuses: a missing config (which there means default arguments, silently), a
    missing or extra weight, a config of another class, a pickle.
    """

    # Constructor arguments that came with a format, and the value under which a model of an older format does what it did then.
    _since: ClassVar[Mapping[int, Mapping[str, Any]]] = {}
    stored_dtype: torch.dtype | None = None  # of the weights in the file this was loaded from; None: not loaded, or mixed

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Notes the arguments for `config`. Raises TypeError for one that is no JSON: the base class would note its default."""
        instance = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(instance, *args, **kwargs)
        bound.apply_defaults()
        config = {}
        for name, value in list(bound.arguments.items())[1:]:
            try:
                config[name] = json.loads(json.dumps(value))  # as it will be loaded: a tuple is a list
            except TypeError:
                raise TypeError(
                    f"{name}={value!r} is a {type(value).__name__}, which config.json cannot hold: give plain numbers or text"
                ) from None
        instance._hub_mixin_config = config
        return instance

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` says: the class, the format, and every constructor argument."""
        return {"model": type(self).__name__, "format": FORMAT, **self._hub_mixin_config}

    def files(self, metadata: dict[str, str] | None = None, dtype: torch.dtype | None = None) -> dict[str, bytes]:
        """Content of `config.json` and `model.safetensors`, equal for equal models; `metadata` goes into the weights' header."""
        state = {name: (t.detach().to("cpu", dtype) if t.is_floating_point() else t.detach().cpu()).contiguous()
                 for name, t in self.state_dict().items()}  # fmt: skip
        config = json.dumps(self.config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        return {constants.CONFIG_NAME: config.encode(), constants.SAFETENSORS_SINGLE_FILE: serialize(state, metadata or {})}

    def _save_pretrained(self, save_directory: Path) -> None:
        for name, data in self.files().items():
            write_atomic(save_directory / name, data)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Self:
        """The model in a folder or a Hub repository, in evaluation mode on the CPU; `stored_dtype` says how it was stored.

        In a repository ("user/name") `revision` is a branch, a tag such as "epoch-005", or a commit; both files come from one
        commit, whatever is pushed meanwhile. In a folder with `epochs/` it is the name of one of these, None (or "main") for
        the best by the folder's `metrics.json`, or the last without one.

        Raises ModelError when there is no such folder, repository or revision or the Hub does not answer (the client's own
        error is the cause), when `config.json` or `model.safetensors` is missing, damaged, of another class or a newer
        format, or when the weights do not fit exactly.
        """
        where, config, path = fetch(
            source, revision=revision, token=token, cache_dir=cache_dir, force_download=force_download,
            local_files_only=local_files_only,
        )  # fmt: skip
        return cls.load_from(where, config, path)

    @classmethod
    def load_from(cls, where: str, config: bytes, path: Path) -> Self:
        """The model of a config's text and a file of weights; `where` is what errors call it."""
        weights = _read_weights(where, path.read_bytes())
        with torch.device("meta"):  # only shapes: no number in a config claims memory that its weights do not fill
            cls._build(where, config)._check(where, weights)
        model = cls._build(where, config)
        model.load_state_dict(weights, strict=True)  # half precision is widened to this model's type
        dtypes = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
        model.stored_dtype = dtypes.pop() if len(dtypes) == 1 else None
        return model.eval()

    @classmethod
    def _build(cls, where: str, text: bytes) -> Self:
        """An untrained model with a config's arguments. Raises ModelError unless they are exactly those of the constructor."""
        try:
            config = json.loads(text)
            kind, version = config.pop("model"), config.pop("format")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise ModelError(f"{where}: config.json is not one of ours ({type(error).__name__}: {error})") from None
        if kind != cls.__name__:
            raise ModelError(f"{where}: config.json describes a {kind!r}, not a {cls.__name__}")
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT:
            raise ModelError(
                f"{where}: config format {version!r} is none that this package reads (up to {FORMAT}): upgrade cyclegan_hub"
            )
        added = {name: value for since, new in cls._since.items() if since > version for name, value in new.items()}
        known = set(list(inspect.signature(cls.__init__).parameters)[1:]) - set(added)
        if set(config) != known:
            raise ModelError(
                f"{where}: config.json does not fit {cls.__name__}: missing {sorted(known - set(config))}, "
                f"unknown {sorted(set(config) - known)}"
            )
        try:
            return cls(**config, **added)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{where}: config.json does not describe a {cls.__name__}: {first_line(error)}") from error

    def _check(self, where: str, weights: dict[str, torch.Tensor]) -> None:
        """Raises ModelError unless the weights fit this model exactly: names, shapes, floats for floats."""
        own = self.state_dict()
        missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
        if missing or extra:
            raise ModelError(f"{where}: weights do not fit the config: missing {_few(missing)}, unexpected {_few(extra)}")
        wrong = [
            f"{name} {_kind(weights[name])} for {_kind(t)}"
            for name, t in own.items()
            if weights[name].shape != t.shape or weights[name].is_floating_point() != t.is_floating_point()
        ]
        if wrong:
            raise ModelError(f"{where}: weights do not fit the config: {_few(wrong)}")


def serialize(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    """A safetensors file as bytes, equal for equal content: the library itself writes metadata in random order."""
    data = save_safetensors(tensors, metadata={"format": "pt", **metadata})
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format keeps the tensors aligned to 8 bytes
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _read_weights(where: str, data: bytes) -> dict[str, torch.Tensor]:
    try:
        return load_safetensors(data)
    except (SafetensorError, KeyError) as error:  # KeyError: a type of numbers that torch does not have
        raise ModelError(f"{where}: model.safetensors cannot be read ({first_line(error)}): fetch it again") from None


def _kind(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _few(names: list[str], most: int = 4) -> str:
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
