"""A published generator as an ONNX file, used with onnxruntime, Pillow and numpy alone: no torch is needed or imported here."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from cyclegan_hub import decoding
from cyclegan_hub.errors import UserError
from cyclegan_hub.models.onnx_rules import input_of, pad_to_multiple
from cyclegan_hub.recipes.pair_rules import PAIR_RULES

FORMAT = 1  # of the metadata; raised when an older package could no longer read what a newer one wrote
PREFIX = "cyclegan_hub."  # of the metadata's keys
DIGEST, NO_DIGEST = "sha256", "0" * 64  # its key, and what stands in its place while it is taken
ONE_PIECE = 1024  # px of the longer side, up to which nothing is said
LARGEST = 2048  # px of the longer side, above which a picture is made smaller
KINDS = ("CycleGenerator", "PairedGenerator", "FaceGenerator")

Source = decoding.Source


class OnnxError(UserError):
    """An ONNX file that cannot be used, or cannot be used as asked; the message names it and the remedy."""


class OnnxSizeWarning(UserWarning):
    """A picture is so large that an ONNX file makes it in one piece, or smaller."""


def digest_of(data: bytes, given: str = NO_DIGEST) -> str:
    """The sha256 of a file, as hex, with the digest `given` that the file itself holds taken as zeros."""
    return hashlib.sha256(data.replace(given.encode(), NO_DIGEST.encode())).hexdigest()


class OnnxGenerator:
    """One direction of a published model, from the file that `cyclegan-hub export MODEL OUT.onnx` wrote.

    `translate` gives the sizes and colours that `CycleGenerator.translate` and `PairedGenerator.translate` give, `sample`
    draws from a DCGAN. `labels` (of input and output), `direction`, `epoch`, `domain`, `image_size` (px), `size` (px; None: any),
    `value_range`, `license` and `source` are what the file says of itself.
    `providers` are onnxruntime's, tried in this order; `threads` at most so many (None: onnxruntime's choice, one a core).
    Raises OnnxError for a file that is missing, damaged or was not written by the export.
    """

    def __init__(
        self, path: str | PathLike[str], *, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int | None = None
    ) -> None:
        self.path = Path(path)
        self._open(self._read(), providers, threads)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "the exported model", threads: int | None = None) -> OnnxGenerator:
        """The generator of a file's content, which errors call `name`. Raises OnnxError as the constructor does."""
        self = cls.__new__(cls)
        self.path = Path(name)
        self._open(data, ("CPUExecutionProvider",), threads)
        return self

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise OnnxError(f"{self.path} cannot be read ({error.strerror or type(error).__name__}): check its name") from None

    def _open(self, data: bytes, providers: Sequence[str], threads: int | None) -> None:
        import onnxruntime  # type: ignore[import-untyped,unused-ignore]

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone: they are raised as well
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=list(providers))
        except Exception as error:  # onnxruntime has a dozen kinds, none of them public
            raise OnnxError(f"{self.path} is no ONNX file that onnxruntime can load ({_first(error)}): export it again") from None
        found = {
            key.removeprefix(PREFIX): value
            for key, value in self._session.get_modelmeta().custom_metadata_map.items()
            if key.startswith(PREFIX)
        }
        try:
            self._describe(found)
        except (KeyError, ValueError, TypeError) as error:
            said = f"its metadata has no {error}" if isinstance(error, KeyError) else _first(error)
            raise OnnxError(f"{self.path} was not written by `cyclegan-hub export` ({said}): export it with that") from None
        if found.get(DIGEST, NO_DIGEST) != NO_DIGEST and digest_of(data, found[DIGEST]) != found[DIGEST]:
            raise OnnxError(f"{self.path} is damaged, or was changed after its export (its sha256 is another): export it again")

    def _describe(self, found: dict[str, str]) -> None:
        if int(found["format"]) > FORMAT:
            raise OnnxError(f"format {found['format']} is newer than this package reads ({FORMAT}): upgrade cyclegan_hub")
        self.metadata = found
        self.kind = found["model"]
        if self.kind not in KINDS:
            raise ValueError(f"model {self.kind!r} is none of {', '.join(KINDS)}")
        self.takes_pictures = "latent" not in found  # False: it draws from noise
        self.direction: str = found["direction"]
        self.directions = (self.direction,)
        self.labels: tuple[str, ...] = tuple(json.loads(found["labels"]))
        self.domain, self.license, self.source = found["domain"], found["license"], found["source"]
        self.epoch: int | None = json.loads(found["epoch"])
        self.channels, self.image_size, self.multiple = (int(found[key]) for key in ("channels", "image_size", "multiple"))
        self.size: int | None = None if found["size"] == "dynamic" else int(found["size"])
        if found["pairs"] not in PAIR_RULES:
            raise ValueError(f"pairs {found['pairs']!r} is none of {', '.join(PAIR_RULES)}")
        self.rule = PAIR_RULES[found["pairs"]]
        limits = [int(limit) for limit in json.loads(found.get("value_range", "[]"))]
        self.value_range = (limits[0], limits[1]) if len(limits) == 2 else None  # of 16-bit pictures: black and white
        self._input = self._session.get_inputs()[0].name

    # ---------------------------------------------------------------------------------------------- translating
    def translate(
        self,
        image: Source | Sequence[Source],
        direction: str | None = None,
        resolution: int | Literal["original"] | None = None,
        batch_size: int = 8,
    ) -> Image.Image | list[Image.Image]:
        """Translates one image, or a list of them, of any size: PIL images, arrays, paths or bytes.

        `resolution` as for `CycleGenerator.translate`: None brings the shorter side to `image_size`, a number to that many
        pixels, "original" keeps the size. A file exported with `--size N` takes the centred square, at N x N px. A picture
        whose longer side is above 1,024 px is made in one piece, above 2,048 px smaller, and a warning says so: an exported
        graph cannot share the statistics of its normalisations between tiles.
        `direction` is that of the file, or None. Returns PIL images, RGB, or L for a model of one channel.
        Raises ImageError for what is not an image, OnnxError for another direction, resolution or batch size.
        """
        self._check(direction, resolution, batch_size)
        many = isinstance(image, list | tuple)
        sources: list[Any] = list(image) if isinstance(image, list | tuple) else [image]
        results: dict[int, Image.Image] = {}
        waiting: dict[tuple[int, int], list[tuple[int, np.ndarray]]] = {}  # by size: only equal ones make a batch

        def flush(group: list[tuple[int, np.ndarray]]) -> None:
            for (i, _), y in zip(group, self.run(np.stack([x for _, x in group])), strict=True):
                results[i] = to_picture(y)

        for i, source in enumerate(sources):
            picture = self.fit(decoding.decode(source, self.channels, value_range=self.value_range), resolution)
            group = waiting.setdefault(picture.size, [])
            group.append((i, to_array(picture)))
            if len(group) == batch_size:
                flush(waiting.pop(picture.size))
        for group in waiting.values():
            flush(group)
        return [results[i] for i in range(len(sources))] if many else results[0]

    def _check(self, direction: str | None, resolution: object, batch_size: object) -> None:
        if not self.takes_pictures:
            raise OnnxError(f"{self.path} draws {self.labels[0]} images and translates none: use sample")
        if direction not in (None, self.direction):
            raise OnnxError(f"direction={direction!r}: {self.path} holds {self.direction} alone: export the other one too")
        if resolution not in (None, "original") and not _positive(resolution):
            raise OnnxError(f"resolution={resolution!r}: give None, 'original' or the pixels of the shorter side")
        if self.size is not None and resolution not in (None, "original", self.size):
            raise OnnxError(f"resolution={resolution!r}: {self.path} was exported for {self.size} px alone, leave it out")
        if not _positive(batch_size):
            raise OnnxError(f"batch_size={batch_size!r}: give how many images of one size go through the network at a time")

    def fit(self, picture: Image.Image, resolution: int | Literal["original"] | None = None) -> Image.Image:
        """A decoded picture at the size it is translated at; warns above 1,024 px (see `translate`)."""
        if self.size is not None:
            if resolution == "original" and picture.size != (self.size, self.size):
                raise OnnxError(f"{self.path} was exported for {self.size} px alone: leave resolution='original' out")
            return decoding.square(picture, self.size)
        if resolution != "original":
            trained = self.image_size // self.rule.scale if self.rule.enlarges else self.image_size
            picture = decoding.resize_short(picture, resolution or trained)
        scale = self.rule.scale
        if not self.rule.enlarges and min(picture.size) < scale:
            raise decoding.ImageError(f"this image is {picture.width} x {picture.height}: give one of {scale} px and more")
        given, most = f"a picture of {picture.width} x {picture.height} px", max(picture.size)
        if most > LARGEST:
            picture = decoding.resize_short(picture, max(1, min(picture.size) * LARGEST // most))
            said = f"{given} is made smaller, at {picture.width} x {picture.height} px: {_WHY}"
            warnings.warn(said, OnnxSizeWarning, stacklevel=3)
        elif most > ONE_PIECE:
            warnings.warn(f"{given} is made in one piece: {_WHY}", OnnxSizeWarning, stacklevel=3)
        return picture

    def run(self, x: np.ndarray) -> np.ndarray:
        """Pictures (N, C, H, W) of one size in [-1, 1] -> what the network makes of them, fp32 in [-1, 1]."""
        x = input_of(self.rule, x)
        height, width = x.shape[2:]
        # As in models' translate_batch: reflection needs two positions at a quarter of the size.
        multiple = self.multiple if min(height, width) >= 8 else max(8, self.multiple)
        return self.forward(pad_to_multiple(x, multiple))[:, :, :height, :width]

    # -------------------------------------------------------------------------------------------------- drawing
    def sample(self, n: int = 1, *, seed: int = 0) -> list[Image.Image]:
        """`n` images of a DCGAN; other ones than torch draws from the same seed, since the random numbers are numpy's."""
        if not _positive(n):
            raise OnnxError(f"n={n!r}: give a whole number of at least 1")
        return self.draw(np.random.default_rng(seed).standard_normal((n, self.latent), np.float32))

    def draw(self, z: np.ndarray) -> list[Image.Image]:
        """The images of latents (N, L) of a DCGAN, such as `FaceGenerator.latents(…).numpy()`."""
        return [to_picture(y) for y in self.run_latents(z)]

    def run_latents(self, z: np.ndarray) -> np.ndarray:
        """Latents (N, L) -> images (N, C, S, S) in [-1, 1]. Raises OnnxError for another shape or a model that translates."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise OnnxError(f"latents of shape {z.shape}: give (N, {self.latent})")
        return self.forward(z.astype(np.float32)[:, :, None, None])

    @property
    def latent(self) -> int:
        """How many numbers an image is drawn from. Raises OnnxError for a model that translates."""
        if self.takes_pictures:
            raise OnnxError(f"{self.path} translates pictures and draws none: use translate")
        return int(self.metadata["latent"])

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The graph itself: prepared inputs in [-1, 1], sides in multiples of `multiple` (or `size`) -> outputs, fp32."""
        result: Any = self._session.run(None, {self._input: np.ascontiguousarray(x, np.float32)})[0]
        return np.asarray(result)


_WHY = "an exported graph cannot share its statistics between tiles; CycleGenerator can, or give a lower resolution"


def to_array(picture: Image.Image) -> np.ndarray:
    """A decoded picture ("L" or "RGB") as fp32 (C, H, W) in [-1, 1]."""
    array = np.asarray(picture, np.float32).reshape(picture.height, picture.width, -1)
    return np.ascontiguousarray(array.transpose(2, 0, 1)) / np.float32(127.5) - 1


def to_picture(x: np.ndarray) -> Image.Image:
    """fp32 (C, H, W) in [-1, 1], clamped -> "L" (C 1) or "RGB" (C 3). Raises ImageError for NaN."""
    if np.isnan(x).any():
        raise decoding.ImageError("the image holds NaN: its generator or its input is broken")
    pixels = np.rint((x + 1) * 127.5).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _first(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160] or type(error).__name__
