"""Video files and animations as upright RGB frames with their times, and their sound as packets."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageSequence

from cyclegan_hub.errors import UserError, counted
from cyclegan_hub.imaging.decoding import ImageError, check_size

VIDEO_EXTENSIONS = (".mp4", ".mov", ".webm", ".mkv", ".avi")  # read and, but for the last two, written by PyAV
ANIMATION_EXTENSIONS = (".gif", ".webp")  # by Pillow
MAX_BYTES = 4 * 2**30  # of a file
MAX_SECONDS = 3600
MAX_FRAMES = 120 * MAX_SECONDS  # whatever times the frames claim
MAX_SIDE = 4096  # px of a frame
ANIMATION_PIXELS = 2**28  # of all frames together, which Pillow holds in memory when it writes them


class VideoError(UserError):
    """A file that is no video, or is beyond a limit. The message is one sentence and safe to show."""


@dataclass(frozen=True)
class Frame:
    """One frame: an upright image (RGB, or RGBA from an animation) of square pixels, and when it is shown."""

    image: Image.Image
    time: Fraction  # seconds
    duration: Fraction | None = None  # seconds; None: until the next frame


@dataclass(frozen=True)
class Colours:
    """How a video's numbers mean colours, as FFmpeg counts the standards; 2, 2, 2 and 0 stand for "not stated"."""

    space: int = 2
    primaries: int = 2
    transfer: int = 2
    range: int = 0


@dataclass
class Clip:
    """An open video. `parts()` may be iterated once; `notes` is complete after that."""

    name: str
    rate: Fraction  # frames per second, on average
    time_base: Fraction  # seconds that all times are multiples of
    count: int | None  # frames, as far as the file says
    colours: Colours = Colours()
    audio: tuple[Any, ...] = ()  # its audio streams
    loop: int = 0  # how often an animation is repeated; 0: for ever
    notes: list[str] = field(default_factory=list)
    _parts: Iterator[Any] = field(default_factory=lambda: iter(()))

    def parts(self) -> Iterator[Any]:
        """Each `Frame` in the order of their times, and PyAV's packets of sound in between, as they lie in the file.

        Raises VideoError beyond MAX_SECONDS or MAX_FRAMES, and if there is no frame that can be decoded.
        """
        frames = 0
        for part in self._parts:
            if isinstance(part, Frame):
                frames += 1
                if part.time > MAX_SECONDS or frames > MAX_FRAMES:
                    raise VideoError(f"{self.name} is longer than {MAX_SECONDS // 60} minutes: cut it first")
            yield part
        if not frames:
            raise VideoError(f"{self.name}: none of its frames can be decoded; the file is damaged")


@contextmanager
def open_clip(path: Path) -> Iterator[Clip]:
    """Opens a video file or an animation by its content, not by its name.

    Raises VideoError for what is neither, is beyond a limit or has no pictures, OSError for a file that cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise VideoError(
            f"{path.name} has {size / 2**30:.1f} GiB, more than the {MAX_BYTES // 2**30} that are read: cut it first"
        )
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        if not head:
            raise VideoError(f"{path.name} is empty (0 bytes)")
        if head[:4] == b"GIF8" or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
            yield _animation(path.name, file)
            return
        container = container_format(head)
        if container is None:
            kinds = ", ".join(kind[1:] for kind in (*VIDEO_EXTENSIONS, *ANIMATION_EXTENSIONS))
            raise VideoError(f"{path.name} is not a video that is read ({kinds})")
        with _opened(path.name, file, container) as clip:
            yield clip


def container_format(head: bytes) -> str | None:
    """FFmpeg's name of a file's format, by its first bytes.

    FFmpeg is told it: left to guess, it also opens play lists, which lead to other files and addresses.
    """
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


def pyav() -> Any:
    """The library. Raises VideoError where it is not installed."""
    try:
        import av
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        raise VideoError("video files need PyAV: pip install 'cyclegan_hub[video]'") from None
    return av


@contextmanager
def _opened(name: str, file: BinaryIO, format: str) -> Iterator[Clip]:
    av = pyav()
    try:
        container = av.open(file, format=format)
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"{name} cannot be opened: {_reason(error)}; the file is damaged or incomplete") from None
    with container:
        # A cover picture, as music files have one, is no video.
        videos = [stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic]
        if not videos:
            raise VideoError(f"{name} has no pictures" + (", only sound" if container.streams.audio else ""))
        stream = videos[0]
        if stream.codec_context is None:
            raise VideoError(f"{name}: its pictures are in a format that this FFmpeg cannot decode")
        _check_frame(name, stream.codec_context.width, stream.codec_context.height)
        context = stream.codec_context
        context.thread_count = 1  # the network is what takes the time
        duration = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, av.time_base)
        if duration > MAX_SECONDS:
            raise VideoError(f"{name} is longer than {MAX_SECONDS // 60} minutes: cut it first")
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        clip = Clip(
            name,
            rate,
            stream.time_base,
            stream.frames or round(duration * rate) or None,
            Colours(context.colorspace, context.color_primaries, context.color_trc, context.color_range),
            tuple(one for one in container.streams.audio if one.codec_context is not None),
        )
        if container.streams.subtitles:
            clip.notes.append("subtitles are left out")
        clip._parts = _demuxed(clip, container, stream)
        yield clip


def _demuxed(clip: Clip, container: Any, video: Any) -> Iterator[Any]:
    av, damaged, last = pyav(), 0, Fraction(-1)
    packets = container.demux(video, *clip.audio)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            clip.notes.append(f"the file ends early: {_reason(error)}")
            packet = None
        if packet is not None and packet.stream is not video:
            if packet.dts is not None:
                yield packet
            continue
        try:
            decoded = packet.decode() if packet is not None else video.codec_context.decode(None)
        except av.EOFError:
            decoded = []
        except av.FFmpegError:
            damaged, decoded = damaged + 1, []
        for frame in decoded:
            own = None if frame.pts is None else frame.pts * frame.time_base
            time = own if own is not None and own > last else last + 1 / clip.rate  # times must grow
            duration = frame.duration * frame.time_base if frame.duration and frame.time_base else None
            last = max(time, Fraction(0)) if last < 0 else time
            yield Frame(_upright(clip.name, frame, video), last, duration)
        if packet is None:
            break
    if damaged:
        clip.notes.append(f"{counted(damaged, 'damaged frame', 'are')} left out")


def _upright(name: str, frame: Any, stream: Any) -> Image.Image:
    """A decoded frame as it is shown: RGB, square pixels, turned as the file says."""
    _check_frame(name, frame.width, frame.height)
    image: Image.Image = frame.to_image()
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1 and Fraction(1, 8) <= aspect <= 8:
        image = image.resize((max(1, round(image.width * aspect)), image.height), Image.Resampling.LANCZOS)
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _animation(name: str, file: BinaryIO) -> Clip:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=["GIF", "WEBP"])
            _check_frame(name, *image.size)
            count = int(getattr(image, "n_frames", 1))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"{name} cannot be opened: it is damaged or too large") from None
    check_animation(name, image.size, count)
    loop = int(image.info.get("loop", 0 if image.format == "WEBP" else 1))
    clip = Clip(name, Fraction(10), Fraction(1, 1000), count, loop=loop)
    clip._parts = _animated(clip, image)
    return clip


def _animated(clip: Clip, image: Image.Image) -> Iterator[Frame]:
    time = Fraction(0)
    frames = iter(ImageSequence.Iterator(image))
    while True:
        try:
            frame = next(frames, None)
            if frame is None:
                return
            picture = frame.convert("RGBA" if frame.has_transparency_data else "RGB")
        except (OSError, EOFError, SyntaxError, ValueError):
            clip.notes.append("the file ends early: the rest cannot be decoded")
            return
        # Browsers show frames that claim less than 20 ms for 100 ms, and so it is written.
        claimed = int(frame.info.get("duration", 0) or 0)
        duration = Fraction(claimed if claimed >= 20 else 100, 1000)
        yield Frame(picture, time, duration)
        time += duration


def check_animation(name: str, size: tuple[int, int], count: int) -> None:
    """Raises VideoError for an animation that is too much for memory."""
    if size[0] * size[1] * count > ANIMATION_PIXELS:
        what = f"{count:,} frames of {size[0]} x {size[1]} px"
        raise VideoError(f"{name}: {what} are more than a .gif or .webp is made or read of: use .mp4 or .webm")


def _check_frame(name: str, width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise VideoError(f"{name} has frames of {width} x {height} px: at most {MAX_SIDE} px a side are read")
    try:
        check_size(width, height, f"a frame of {width} x {height}")
    except ImageError as error:
        raise VideoError(f"{name}: {error}") from None


def _reason(error: Exception) -> str:
    """FFmpeg's own words, without the path that they end in."""
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text)[:1].lower() + str(text)[1:]
