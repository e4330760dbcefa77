"""A video through a generator, frame by frame, with its faces followed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.faces import Face, find_faces
from cyclegan_hub.faces.track import Track, follow, follow_all
from cyclegan_hub.files import atomic_path
from cyclegan_hub.imaging import images
from cyclegan_hub.models.batches import Job, run_in_batches
from cyclegan_hub.models.onnx import OnnxGenerator
from cyclegan_hub.models.photograph import DEFAULT, Options, Photograph, Work
from cyclegan_hub.models.translate_many import Model, Resolution, check_options, runner
from cyclegan_hub.models.translator import fit_to
from cyclegan_hub.video.read import Clip, Frame, VideoError, open_clip, pyav
from cyclegan_hub.video.write import FORMATS, WRITTEN, Writer, open_writer

Progress = Callable[[int, int | None], None]  # frames done, of how many (None: the file does not say)


@dataclass(frozen=True)
class Translated:
    """What was written."""

    frames: int
    size: tuple[int, int]  # px
    notes: tuple[str, ...]  # sentences without a capital letter, for the user


def translate_video(
    model: Model,
    source: Path,
    out: Path,
    direction: Literal["a_to_b", "b_to_a"] = "a_to_b",
    *,
    options: Options = DEFAULT,
    resolution: Resolution | None = None,
    batch_size: int = 8,
    comment: str = "",
    progress: Progress = lambda done, count: None,
) -> Translated:
    """Translates a video file or an animation into `out`, which appears when it is complete.

    `options` and `resolution` are those of `CycleGenerator.translate`. Where the direction's inputs are faces, the chosen one is
    followed through the frames, its landmarks smoothed; without `whole` the result is its aligned square, of one size in all
    frames, before it is first found the centred square. Times, frame rate, colour range and sound are the source's; the sound is
    copied where the file of `out` can hold it.
    Raises VideoError for what is no video, is beyond a limit or cannot be written, ValueError for options that mean nothing for
    this model, OSError for files that cannot be read or written.
    """
    extension = out.suffix.lower()
    if extension not in WRITTEN:
        raise VideoError(f"{out.name}: the result is written as {', '.join(WRITTEN)}")
    if extension in FORMATS:
        pyav()
    eyes, skip = check_options(model, direction, options, resolution, False, batch_size)
    planner = Planner(model, direction, options, eyes, skip, resolution or model.translate_size)
    with open_clip(source) as clip, atomic_path(out) as temporary:
        done, size = _write(clip, planner, temporary, extension, batch_size, comment, progress)
    return Translated(done, size, tuple(dict.fromkeys(clip.notes)))


def _write(
    clip: Clip, planner: Planner, path: Path, extension: str, batch_size: int, comment: str, progress: Progress
) -> tuple[int, tuple[int, int]]:
    writer: Writer | None = None
    done, size = 0, (0, 0)
    try:
        for frames, sounds in _groups(clip, batch_size):
            for frame, result in planner.translated(frames, batch_size):
                if writer is None:
                    size = result.size
                    writer = open_writer(path, extension, clip, size, comment)
                result = result if result.size == size else result.resize(size, Image.Resampling.LANCZOS)
                writer.frame(replace(frame, image=result))
                done += 1
            progress(done, clip.count)
            if writer is not None:
                for packet in sounds:
                    writer.sound(packet)
    except BaseException:
        if writer is not None:
            with suppress(Exception):
                writer.close()
        raise
    if writer is not None:
        writer.close()
    return done, size


def _groups(clip: Clip, count: int) -> Iterator[tuple[list[Frame], list[Any]]]:
    """The frames, `count` at a time, and the packets of sound among them."""
    frames: list[Frame] = []
    sounds: list[Any] = []
    for part in clip.parts():
        (frames if isinstance(part, Frame) else sounds).append(part)
        if len(frames) == count:
            yield frames, sounds
            frames, sounds = [], []
    if frames or sounds:
        yield frames, sounds


class Planner:
    """What of each frame goes through the network, and what becomes of the frame."""

    def __init__(self, model: Model, direction: Any, options: Options, eyes: Eyes | None, skip: bool, side: Resolution) -> None:
        self.channels, self.options, self.eyes, self.skip = model.channels, options, eyes, skip
        self.faces, self.network = _Followed(options), runner(model, direction, bool(options.ensemble))
        if isinstance(model, OnnxGenerator) and model.size is not None:  # exported for squares of this size alone
            self.side: Resolution = model.size
            self.fit: Callable[[Image.Image], Image.Image] = partial(images.square, size=model.size)
        else:
            self.side, self.fit = side, fit_to(side, model.translate_size)

    def translated(self, frames: list[Frame], batch_size: int) -> Iterator[tuple[Frame, Image.Image]]:
        jobs = [Job(i, self.plan(frame.image)) for i, frame in enumerate(frames)]
        results = {job.name: job.result() for job in run_in_batches(self.network, jobs, batch_size)}
        return ((frame, results[i]) for i, frame in enumerate(frames))

    def plan(self, image: Image.Image) -> Work:
        photo = Photograph(*images.decode_with_alpha(image, self.channels), "this frame")
        faces: list[Face] = []
        if self.eyes is not None:
            faces = self.faces.after(find_faces(photo.image))
            if not faces and not self.options.whole:
                faces = [_centred(photo.image.size, self.eyes)]
            if not faces:
                return photo.unchanged()
        # The faces that are followed are those that were asked for.
        options = self.options if self.eyes is None or self.options.face == "all" else replace(self.options, face="auto")
        return photo.plan(options, eyes=self.eyes, skip=self.skip, side=self.side, fit=self.fit, find=lambda _: faces)


class _Followed:
    """The faces of a video that were asked for, from frame to frame."""

    def __init__(self, options: Options) -> None:
        self._choice, self._whole = options.face, options.whole
        self._one: Track | None = None
        self._all: list[Track] = []
        self._last: list[Face] = []

    def after(self, found: list[Face]) -> list[Face]:
        """Where they are in the next frame, in which these faces are found.

        One that is lost stays where it was last, or is left alone where faces are put back into the frame.
        """
        if self._choice == "all":
            self._all = follow_all(self._all, found)
            return [track.face for track in self._all]
        if self._one is None and isinstance(self._choice, int) and not self._last:
            found = found[self._choice : self._choice + 1]
        self._one = follow(self._one, found)
        if self._one is not None:
            self._last = [self._one.face]
        return [] if self._whole and self._one is None else self._last


def _centred(size: tuple[int, int], eyes: Eyes) -> Face:
    """What stands for a face where none is found: aligned, it is the centred square."""
    side = min(size)
    corner = complex((size[0] - side) / 2, (size[1] - side) / 2)
    points = (corner + side * complex(eyes[0], eyes[1]), corner + side * complex(eyes[2], eyes[3]))
    return Face((corner.real, corner.imag, corner.real + side, corner.imag + side), (*points, *points[:1] * 3), 0.0)


def digest_of(path: Path, *settings: object) -> str:
    """32 hex digits of a file's content and of what else a result depends on."""
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=16)
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
