"""A published generator as an ONNX file, used with onnxruntime, Pillow and numpy alone: no torch is needed or imported here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cyclegan_hub.errors import UserError, first_line
from cyclegan_hub.imaging import decoding
from cyclegan_hub.models.checks import check_eyes, check_value_range, is_positive
from cyclegan_hub.models.photograph import FaceChoice, Options, Photograph, Work
from cyclegan_hub.models.translator import ImageTranslator, Plan, Resolution, Source
from cyclegan_hub.recipes.pair_rules import PAIR_RULES

# Of the metadata; raised when an older package could no longer use what a newer one writes. `eyes` and `skip` left it at 1: the
# graph takes what it always took, and a package that does not know them translates images as they are, as it always did.
# 2: the graph of a pix2pix model makes its inputs itself. Other files are still written as 1.
FORMAT, RULE_IN_GRAPH = 2, 2
PREFIX = "cyclegan_hub."  # of the metadata's keys
DIGEST, NO_DIGEST = "sha256", "0" * 64  # its key, and what stands in its place while it is taken
ONE_PIECE = 1024  # px of the longer side, above which there is a warning
LARGEST = 2048  # px of the longer side, above which an image is made smaller
KINDS = ("CycleGenerator", "PairedGenerator", "FaceGenerator")  # as `config.json` names them


class OnnxError(UserError):
    """An ONNX file that cannot be used, or cannot be used as asked; the message names it and the remedy."""


class OnnxSizeWarning(UserWarning):
    """An image is so large that an ONNX file translates it in one piece, or smaller."""


def digest_of(data: bytes, given: str = NO_DIGEST) -> str:
    """The sha256 of a file, as hex, with the digest `given` that the file itself holds taken as zeros."""
    return hashlib.sha256(data.replace(given.encode(), NO_DIGEST.encode())).hexdigest()


class OnnxGenerator(ImageTranslator):
    """One direction of a published model, from the file that `cyclegan-hub export MODEL OUT.onnx` wrote.

    `translate` gives the sizes and colours that `CycleGenerator.translate` and `PairedGenerator.translate` give, `sample` the
    images of a DCGAN. The file's metadata are `labels` (of input and output), `direction`, `epoch`, `domain`, `image_size` (px),
    `size` (px; None: any), `eyes` (by direction, as of a `CycleGenerator`), `skip` (whether the network adds to its input),
    `value_range`, `license` and `source`.

    A file exported with `--size N` aligns faces to N x N px, and takes the centred square of a whole image. An image or a face
    whose longer side is above 1,024 px is made in one piece, above 2,048 px smaller, with an OnnxSizeWarning: an exported graph
    cannot share the statistics of its normalisations between tiles.
    `providers` are onnxruntime's, tried in this order; `threads` limits their number (None: onnxruntime's choice, one a core).
    Raises OnnxError for a file that is missing, damaged or was not written by the export.
    """

    def __init__(
        self, path: str | PathLike[str], *, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int | None = None
    ) -> None:
        self.path = Path(path)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise OnnxError(f"{self.path} cannot be read ({error.strerror or type(error).__name__}): check its name") from None
        self._open(data, providers, threads)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "the exported model", threads: int | None = None) -> OnnxGenerator:
        """The generator of a file's content, which errors call `name`. Raises OnnxError as the constructor does."""
        self = cls.__new__(cls)
        self.path = Path(name)
        self._open(data, ("CPUExecutionProvider",), threads)
        return self

    def _open(self, data: bytes, providers: Sequence[str], threads: int | None) -> None:
        import onnxruntime  # type: ignore[import-untyped,unused-ignore]

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone: they are raised as well
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=list(providers))
        except Exception as error:  # onnxruntime has a dozen kinds, none of them public
            raise OnnxError(
                f"{self.path} is no ONNX file that onnxruntime can load ({first_line(error)[:160]}): export it again"
            ) from None
        found = {
            key.removeprefix(PREFIX): value
            for key, value in self._session.get_modelmeta().custom_metadata_map.items()
            if key.startswith(PREFIX)
        }
        try:
            self._describe(found)
        except OnnxError:
            raise
        except (KeyError, ValueError, TypeError) as error:
            reason = f"its metadata has no {error}" if isinstance(error, KeyError) else first_line(error)[:160]
            raise OnnxError(f"{self.path} was not written by `cyclegan-hub export` ({reason}): export it with that") from None
        if found.get(DIGEST, NO_DIGEST) != NO_DIGEST and digest_of(data, found[DIGEST]) != found[DIGEST]:
            raise OnnxError(f"{self.path} is damaged, or was changed after its export (its sha256 is another): export it again")

    def _describe(self, found: dict[str, str]) -> None:
        if int(found["format"]) > FORMAT:
            raise OnnxError(f"format {found['format']} is newer than this package reads ({FORMAT}): upgrade cyclegan_hub")
        self.metadata = found
        self.kind = found["model"]
        if self.kind not in KINDS:
            raise ValueError(f"model {self.kind!r} is not one of {', '.join(KINDS)}")
        self.takes_pictures = "latent" not in found  # False: it samples from noise
        self.direction: str = found["direction"]
        self.directions = (self.direction,)
        self.labels: tuple[str, ...] = tuple(json.loads(found["labels"]))
        self.domain, self.license, self.source = found["domain"], found["license"], found["source"]
        self.epoch: int | None = json.loads(found["epoch"])
        self.channels, self.image_size, self.multiple = (int(found[key]) for key in ("channels", "image_size", "multiple"))
        self.size: int | None = None if found["size"] == "dynamic" else int(found["size"])
        if found["pairs"] not in PAIR_RULES:
            raise ValueError(f"pairs {found['pairs']!r} is not one of {', '.join(PAIR_RULES)}")
        self.rule = PAIR_RULES[found["pairs"]]
        if self.rule.derived and int(found["format"]) < RULE_IN_GRAPH:
            raise OnnxError(f"{self.path} was exported by an earlier version, without its rule for inputs: export it again")
        self.value_range = check_value_range(json.loads(found.get("value_range", "null")))
        self.eyes = {self.direction: check_eyes(json.loads(found.get("eyes", "null")))}
        self.skip = bool(json.loads(found.get("skip", "false")))
        self._input = self._session.get_inputs()[0].name

    def has_skip(self, direction: str) -> bool:
        """Whether the network adds to its input."""
        return self.skip

    # ------------------------------------------------------------------------------------------------ translation
    def prepare(
        self, image: Source, direction: str | None = None, resolution: Resolution = None, *, face: FaceChoice = "auto"
    ) -> Image.Image:
        """The input of the graph: an aligned face, or the resized image. Arguments as for `translate`."""
        return self._prepared(image, direction, resolution, face)

    def plan(self, direction: str, resolution: Resolution, options: Options, square: bool = False) -> Plan:
        """As for every translator; raises OnnxError for what the file does not hold."""
        if not self.takes_pictures:
            raise OnnxError(f"{self.path} generates {self.labels[0]} images and translates none: use sample")
        if direction != self.direction:
            raise OnnxError(f"direction={direction!r}: {self.path} holds {self.direction} alone: export the other one too")
        if self.size is not None and resolution not in (None, "original", self.size):
            raise OnnxError(f"resolution={resolution!r}: {self.path} was exported for {self.size} px alone, leave it out")
        at = partial(super().plan, direction, options=options, square=square or self.size is not None)
        plan = at(self.size or resolution)

        def checked(photo: Photograph) -> Work:
            if self.size and resolution == "original" and photo.image.size != (self.size, self.size):
                raise OnnxError(f"{self.path} was exported for {self.size} px alone: leave resolution='original' out")
            work = plan(photo)
            given = max((one.size for one in work.inputs), key=max, default=(0, 0))
            if self.size is None and max(given) > ONE_PIECE:
                result = "made in one piece"
                if max(given) > LARGEST:
                    work = at(LARGEST if work.faces else max(1, min(given) * LARGEST // max(given)))(photo)
                    width, height = max((one.size for one in work.inputs), key=max)
                    result = f"made smaller, at {width} x {height} px"
                what = f"{'a face' if work.faces else 'an image'} of {given[0]} x {given[1]} px"
                work.warnings.append(OnnxSizeWarning(f"{what} is {result}: {_WHY}"))
            return work

        return checked

    def _translated(self, inputs: Sequence[Image.Image], direction: str) -> list[Image.Image]:
        return [to_image(y) for y in self.run(np.stack([to_array(image) for image in inputs]))]

    def run(self, x: np.ndarray) -> np.ndarray:
        """Images (N, C, H, W) of one size in [-1, 1] -> their translations, fp32 in [-1, 1]."""
        height, width = (side * self.enlargement for side in x.shape[2:])
        # As in `translate_batch`: reflection needs two positions at a quarter of the size.
        multiple = self.multiple if min(height, width) >= 8 else max(8, self.multiple)
        return self.forward(pad_to_multiple(x, multiple))[:, :, :height, :width]

    # --------------------------------------------------------------------------------------------------- sampling
    def sample(self, n: int = 1, *, seed: int = 0) -> list[Image.Image]:
        """`n` images of a DCGAN; not those of `DCGAN.sample` with the same seed, since the random numbers are numpy's."""
        if not is_positive(n):
            raise OnnxError(f"n={n!r}: give a whole number of at least 1")
        return self.draw(np.random.default_rng(seed).standard_normal((n, self.latent), np.float32))

    def draw(self, z: np.ndarray) -> list[Image.Image]:
        """The images of latents (N, L) of a DCGAN, such as `DCGAN.latents(…).numpy()`."""
        return [to_image(y) for y in self.run_latents(z)]

    def run_latents(self, z: np.ndarray) -> np.ndarray:
        """Latents (N, L) -> images (N, C, S, S) in [-1, 1]. Raises OnnxError for another shape or a model that translates."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise OnnxError(f"latents of shape {z.shape}: give (N, {self.latent})")
        return self.forward(z.astype(np.float32)[:, :, None, None])

    @property
    def latent(self) -> int:
        """How many numbers an image is generated from. Raises OnnxError for a model that translates."""
        if self.takes_pictures:
            raise OnnxError(f"{self.path} translates images and generates none: use translate")
        return int(self.metadata["latent"])

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The graph itself: prepared inputs in [-1, 1], sides in multiples of `multiple` (or `size`) -> outputs, fp32."""
        result: Any = self._session.run(None, {self._input: np.ascontiguousarray(x, np.float32)})[0]
        return np.asarray(result)


_WHY = "an exported graph cannot share its statistics between tiles; CycleGenerator can, or give a lower resolution"


# Images as arrays: the same as `imaging.images` does with tensors.


def to_array(image: Image.Image) -> np.ndarray:
    """A decoded image ("L" or "RGB") as fp32 (C, H, W) in [-1, 1]."""
    array = np.asarray(image, np.float32).reshape(image.height, image.width, -1)
    return np.ascontiguousarray(array.transpose(2, 0, 1)) / np.float32(127.5) - 1


def to_image(x: np.ndarray) -> Image.Image:
    """fp32 (C, H, W) in [-1, 1], clamped -> "L" (C 1) or "RGB" (C 3). Raises ImageError for NaN."""
    if np.isnan(x).any():
        raise decoding.ImageError("the image holds NaN: its generator or its input is broken")
    pixels = np.rint((x + 1) * 127.5).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def pad_to_multiple(x: np.ndarray, multiple: int) -> np.ndarray:
    """(N, C, H, W) padded at the right and bottom up to multiples, as `images.pad_to_multiple` does."""
    for axis in (2, 3):
        side = x.shape[axis]
        index = np.arange(side + -side % multiple)
        x = x.take(np.where(index < side, index, (2 * (side - 1) - index).clip(min=0)), axis)
    return x
