"""A published generator as an ONNX file, used with onnxruntime, Pillow and numpy alone: no torch is needed or imported here."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError, first_line
from cyclegan_hub.imaging import decoding
from cyclegan_hub.models.photograph import FaceChoice, Options, Photograph, Work, run_in_batches
from cyclegan_hub.recipes.pair_rules import PAIR_RULES, PairRule

# Of the metadata; raised when an older package could no longer use what a newer one writes. `eyes` and `skip` left it at 1: the
# graph takes what it always took, and a package that does not know them translates images as they are, as it always did.
FORMAT = 1
PREFIX = "cyclegan_hub."  # of the metadata's keys
DIGEST, NO_DIGEST = "sha256", "0" * 64  # its key, and what stands in its place while it is taken
ONE_PIECE = 1024  # px of the longer side, up to which nothing is said
LARGEST = 2048  # px of the longer side, above which a picture is made smaller
KINDS = ("CycleGenerator", "PairedGenerator", "FaceGenerator")

Source = decoding.Source
Resolution = int | Literal["original"] | None


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
    `eyes` (by direction, as of a `CycleGenerator`), `skip` (whether the network adds to its input), `value_range`, `license` and
    `source` are what the file says of itself.
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
        except (KeyError, ValueError, TypeError) as error:
            said = f"its metadata has no {error}" if isinstance(error, KeyError) else first_line(error)[:160]
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
        self.eyes: dict[str, Eyes | None] = {self.direction: _eyes(json.loads(found.get("eyes", "null")))}  # of its inputs
        self.skip = bool(json.loads(found.get("skip", "false")))
        self._input = self._session.get_inputs()[0].name

    # ---------------------------------------------------------------------------------------------- translating
    def translate(
        self,
        image: Source | Sequence[Source],
        direction: str | None = None,
        resolution: Resolution = None,
        batch_size: int = 8,
        *,
        face: FaceChoice = "auto",
        whole: bool = False,
        strength: float = 1.0,
        detail: bool | None = None,
    ) -> Image.Image | list[Image.Image]:
        """Translates one image, or a list of them, of any size: PIL images, arrays, paths or bytes.

        `resolution`, `face`, `whole`, `strength` and `detail` as for `CycleGenerator.translate`. A file exported with `--size N`
        aligns faces to N x N px, and takes the centred square of an image as a whole. An image or a face whose longer side is
        above 1,024 px is made in one piece, above 2,048 px smaller, and a warning says so: an exported graph cannot share the
        statistics of its normalisations between tiles.
        `direction` is that of the file, or None. Returns PIL images, RGB, or L for a model of one channel, with the alpha channel
        of an image that is shown as a whole.
        Raises ImageError for what is not an image and a face that is not there, ValueError (mostly OnnxError) for another
        direction, resolution or batch size and for options that mean nothing for this file.
        """
        plan = self._plan(direction, resolution, Options(face, whole, strength, detail))
        sources: list[Any] = list(image) if isinstance(image, list | tuple) else [image]
        results = run_in_batches(self._translated, (plan(self._photograph(source)) for source in sources), batch_size)
        ordered = [result for _, result in sorted(results, key=lambda one: one[0])]
        return ordered if isinstance(image, list | tuple) else ordered[0]

    def prepare(
        self, image: Source, direction: str | None = None, resolution: Resolution = None, *, face: FaceChoice = "auto"
    ) -> Image.Image:
        """What the network sees of an image: an aligned face, the image brought to size, or of a pix2pix model its rule's input.

        Arguments as for `translate`.
        """
        picture = self._plan(direction, resolution, Options(face))(self._photograph(image)).inputs[0]
        return to_picture(input_of(self.rule, to_array(picture)[None])[0])

    def _photograph(self, source: Source) -> Photograph:
        image, alpha = decoding.decode_with_alpha(source, self.channels, value_range=self.value_range)
        return Photograph(image, alpha, decoding.label_of(source, None))

    def _plan(self, direction: str | None, resolution: Resolution, options: Options) -> Callable[[Photograph], Work]:
        if not self.takes_pictures:
            raise OnnxError(f"{self.path} draws {self.labels[0]} images and translates none: use sample")
        if direction not in (None, self.direction):
            raise OnnxError(f"direction={direction!r}: {self.path} holds {self.direction} alone: export the other one too")
        if resolution not in (None, "original") and not _positive(resolution):
            raise OnnxError(f"resolution={resolution!r}: give None, 'original' or the pixels of the shorter side")
        if self.size is not None and resolution not in (None, "original", self.size):
            raise OnnxError(f"resolution={resolution!r}: {self.path} was exported for {self.size} px alone, leave it out")
        options.check(self.eyes[self.direction], self.skip)
        return partial(self._work if self.size is None else self._work_of_one_size, resolution=resolution, options=options)

    def _work(self, photo: Photograph, resolution: Resolution, options: Options) -> Work:
        fit, eyes = partial(self._fit, resolution=resolution), self.eyes[self.direction]
        plan = partial(photo.plan, options, eyes=eyes, skip=self.skip, fit=fit)
        work = plan(side=resolution or self.image_size)
        most = max((square.width for square in work.inputs), default=0) if work.faces else 0
        if most > LARGEST:
            faces = work.faces
            work = plan(side=LARGEST, find=lambda _: faces)
        _warn_of_size("a face", (most, most), (min(most, LARGEST),) * 2)
        return work

    def _work_of_one_size(self, photo: Photograph, resolution: Resolution, options: Options) -> Work:
        size, image = self.size or 0, photo.image
        if resolution == "original" and image.size != (size, size):
            raise OnnxError(f"{self.path} was exported for {size} px alone: leave resolution='original' out")
        work = photo.plan(
            options, eyes=self.eyes[self.direction], skip=self.skip, side=size, fit=lambda one: decoding.square(one, size)
        )
        if work.faces or not work.inputs:
            return work
        side = min(image.size)
        alpha = None if photo.alpha is None else decoding.square(photo.alpha, side)
        centre = Photograph(decoding.square(image, side), alpha, photo.name)
        options = replace(options, face="none")
        return centre.plan(options, eyes=None, skip=self.skip, side=size, fit=lambda _: work.inputs[0])

    def _fit(self, picture: Image.Image, resolution: Resolution) -> Image.Image:
        """A decoded picture at the size it is translated at; warns above 1,024 px (see `translate`)."""
        if resolution != "original":
            trained = self.image_size // self.rule.scale if self.rule.enlarges else self.image_size
            picture = decoding.resize_short(picture, resolution or trained)
        scale = self.rule.scale
        if not self.rule.enlarges and min(picture.size) < scale:
            raise decoding.ImageError(f"this image is {picture.width} x {picture.height}: give one of {scale} px and more")
        given, most = picture.size, max(picture.size)
        if most > LARGEST:
            picture = decoding.resize_short(picture, max(1, min(picture.size) * LARGEST // most))
        _warn_of_size("a picture", given, picture.size)
        return picture

    def _translated(self, pictures: Sequence[Image.Image]) -> list[Image.Image]:
        return [to_picture(y) for y in self.run(np.stack([to_array(picture) for picture in pictures]))]

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


def _warn_of_size(what: str, given: tuple[int, int], made: tuple[int, int]) -> None:
    """Warns of what has more than 1,024 px (width, height), and of what is therefore made at another size."""
    if max(given) > ONE_PIECE:
        said = "made in one piece" if given == made else f"made smaller, at {made[0]} x {made[1]} px"
        warnings.warn(f"{what} of {given[0]} x {given[1]} px is {said}: {_WHY}", OnnxSizeWarning, stacklevel=3)


def _eyes(shares: Sequence[float] | None) -> Eyes | None:
    """The metadata's eyes. Raises ValueError or TypeError unless there are none or four numbers."""
    if shares is None:
        return None
    left_x, left_y, right_x, right_y = (float(share) for share in shares)
    return left_x, left_y, right_x, right_y


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


# What is done to pictures before and after an exported network, in numpy: as `recipes.pair_rules` and `images` do it.


_LUMA = np.array((0.299, 0.587, 0.114), np.float32).reshape(1, 3, 1, 1)  # ITU-R BT.601, as in Pillow's mode "L"


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


def pad_to_multiple(x: np.ndarray, multiple: int) -> np.ndarray:
    """(N, C, H, W) padded at the right and bottom up to multiples, as `images.pad_to_multiple` does."""
    for axis in (2, 3):
        side = x.shape[axis]
        index = np.arange(side + -side % multiple)
        x = x.take(np.where(index < side, index, (2 * (side - 1) - index).clip(min=0)), axis)
    return x


def grey(x: np.ndarray) -> np.ndarray:
    """Luma in every channel; an image of one channel stays."""
    return x if x.shape[1] == 1 else np.broadcast_to((x * _LUMA).sum(1, keepdims=True), x.shape)


def shrink(x: np.ndarray, scale: int) -> np.ndarray:
    """(N, C, H, W) -> (N, C, H/scale, W/scale): means of scale x scale pixels."""
    n, c, height, width = x.shape
    return np.asarray(x.reshape(n, c, height // scale, scale, width // scale, scale).mean((3, 5)))


def enlarge(x: np.ndarray, scale: int) -> np.ndarray:
    """(N, C, h, w) -> (N, C, scale h, scale w), bicubic (Keys 1981 with a = -0.75, as torch has it), kept in [-1, 1]."""
    for axis in (2, 3):
        place = (np.arange(x.shape[axis] * scale) + 0.5) / scale - 0.5
        start = np.floor(place).astype(int)
        shape = tuple(-1 if i == axis else 1 for i in range(4))
        taps = [
            x.take((start + k).clip(0, x.shape[axis] - 1), axis) * _cubic(place - start - k).astype(np.float32).reshape(shape)
            for k in range(-1, 3)
        ]
        x = taps[0] + taps[1] + taps[2] + taps[3]
    return x.clip(-1, 1)


def _cubic(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    t = np.abs(distance)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def input_of(rule: PairRule, x: np.ndarray) -> np.ndarray:
    """Pictures (N, C, H, W) in [-1, 1] -> what the network is given for them, as `PairedGenerator.input_of` makes it."""
    if rule.enlarges:
        return enlarge(x, rule.scale)
    height, width = x.shape[2:]
    x = grey(x) if rule.grey else x
    if rule.scale > 1:
        x = enlarge(shrink(pad_to_multiple(x, rule.scale), rule.scale), rule.scale)
    return x[:, :, :height, :width]
