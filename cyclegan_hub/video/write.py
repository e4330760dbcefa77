"""Frames, their times and a video's sound as a file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from cyclegan_hub.errors import counted
from cyclegan_hub.video.read import (
    ANIMATION_EXTENSIONS,
    Clip,
    Frame,
    VideoError,
    check_animation,
    container_format,
    pyav,
)

# The format, the encoders of pictures and of sound, and the picture encoder's options: visually lossless, at a moderate speed.
_X264 = {"crf": "17", "preset": "medium"}
FORMATS: dict[str, tuple[str, str, str, dict[str, str]]] = {
    ".mp4": ("mp4", "libx264", "aac", _X264),
    ".mov": ("mov", "libx264", "aac", _X264),
    ".webm": ("webm", "libvpx-vp9", "libopus", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4"}),
}
WRITTEN = (*FORMATS, *ANIMATION_EXTENSIONS)


def open_writer(path: Path, extension: str, clip: Clip, size: tuple[int, int], comment: str) -> Writer:
    """A writer to `path` of what `extension` names, with the timing, colours and sound of `clip`. `comment` goes into the file.

    It takes frames of `size` px in the order of their times. `extension` is one of WRITTEN. Raises VideoError where PyAV lacks an
    encoder.
    """
    return (_AnimationWriter if extension in ANIMATION_EXTENSIONS else _VideoWriter)(path, extension, clip, size, comment)


class _VideoWriter:
    def __init__(self, path: Path, extension: str, clip: Clip, size: tuple[int, int], comment: str) -> None:
        av = pyav()
        format, codec, audio_codec, options = FORMATS[extension]
        self._clip, self._damaged = clip, 0  # packets of sound that could not be decoded
        quick = {"movflags": "+faststart"} if format in ("mp4", "mov") else {}
        self._container = av.open(str(path), "w", format=format, container_options=quick)
        self._container.metadata["comment"] = comment
        try:
            self._video = self._container.add_stream(codec, rate=clip.rate, options=options)
            self._sounds = {stream.index: self._sound_stream(stream, audio_codec) for stream in clip.audio}
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(f"this installation of PyAV cannot write {extension}: {error}") from None
        context = self._video.codec_context
        # Encoders halve the colours' resolution: an odd row or column would have none.
        context.width, context.height, context.pix_fmt = size[0] - size[0] % 2, size[1] - size[1] % 2, "yuv420p"
        context.time_base = clip.time_base
        context.colorspace, context.color_primaries = clip.colours.space, clip.colours.primaries
        context.color_trc, context.color_range = clip.colours.transfer, clip.colours.range

    def _sound_stream(self, source: Any, codec: str) -> tuple[Any, bool]:
        """The stream for a stream of sound, and whether its packets are copied; decoded and encoded where they cannot be."""
        name = source.codec_context.codec.canonical_name
        if name in self._container.supported_codecs:
            return self._container.add_stream_from_template(source), True
        self._clip.notes.append(f"this kind of file holds no {name} sound: it is encoded again as {codec.removeprefix('lib')}")
        rate = 48_000 if codec == "libopus" else source.codec_context.sample_rate
        return self._container.add_stream(codec, rate=rate, layout=source.codec_context.layout.name), False

    def frame(self, frame: Frame) -> None:
        av, context = pyav(), self._video.codec_context
        image = frame.image.convert("RGB").crop((0, 0, context.width, context.height))
        colours, unit = self._clip.colours, self._clip.time_base
        # FFmpeg takes the numbers of a file that does not say what they mean for BT.601 (matrix 5) and the limited range.
        picture = av.VideoFrame.from_image(image).reformat(
            format="yuv420p",
            dst_colorspace=colours.space if colours.space in (1, 5, 6, 7, 9) else 5,
            dst_color_range=colours.range or 1,
        )
        picture.pts, picture.time_base = round(frame.time / unit), unit
        if frame.duration is not None:
            picture.duration = round(frame.duration / unit)
        self._container.mux(self._video.encode(picture))

    def sound(self, packet: Any) -> None:
        stream, copied = self._sounds[packet.stream.index]
        if copied:
            packet.stream = stream
            self._container.mux(packet)
            return
        try:
            decoded = packet.decode()
        except pyav().FFmpegError:
            self._damaged += 1
            return
        for part in decoded:
            self._container.mux(stream.encode(part))

    def close(self) -> None:
        for stream in (self._video, *(stream for stream, copied in self._sounds.values() if not copied)):
            self._container.mux(stream.encode(None))
        self._container.close()
        if self._damaged:
            self._clip.notes.append(f"{counted(self._damaged, 'damaged packet', 'are')} left out of the sound")


class _AnimationWriter:
    def __init__(self, path: Path, extension: str, clip: Clip, size: tuple[int, int], comment: str) -> None:
        self._path, self._format, self._clip, self._size, self._comment = path, extension[1:].upper(), clip, size, comment
        self._frames: list[Image.Image] = []
        self._ends: list[Fraction] = []
        check_animation(clip.name, size, clip.count or 1)

    def frame(self, frame: Frame) -> None:
        check_animation(self._clip.name, self._size, len(self._frames) + 1)
        if self._ends:
            self._ends[-1] = frame.time
        self._frames.append(frame.image)
        self._ends.append(frame.time + (frame.duration or 1 / self._clip.rate))

    def sound(self, packet: Any) -> None:
        if (note := f"a .{self._format.lower()} has no sound") not in self._clip.notes:
            self._clip.notes.append(note)

    def close(self) -> None:
        first, *others = self._frames
        save: dict[str, Any] = {"save_all": True, "append_images": others, "duration": _milliseconds(self._ends)}
        if self._format == "WEBP":
            save |= {"quality": 90, "method": 4, "loop": self._clip.loop, "xmp": self._comment.encode()}
        else:
            # `loop` of a GIF: how often it is repeated; without it, it is shown once.
            save |= {"comment": self._comment} | ({"loop": self._clip.loop} if self._clip.loop != 1 else {})
        first.save(self._path, self._format, **save)


Writer: TypeAlias = _VideoWriter | _AnimationWriter


def _milliseconds(ends: Sequence[Fraction]) -> list[int]:
    """How long each frame is shown, in the hundredths of a second that a GIF counts in; the rounding does not add up."""
    begin, durations, start = Fraction(0), [], 0
    for end in ends:
        stop = max(round((end - begin) * 100), start + 2)  # below 20 ms browsers show a frame for 100
        durations.append(10 * (stop - start))
        start = stop
    return durations


def comment_in(path: Path) -> str:
    """The comment that `open_writer` put into a file; "" where there is none or the file cannot be opened."""
    with path.open("rb") as file:
        container = container_format(file.read(16))
        file.seek(0)
        if container is None:
            try:
                with Image.open(file, formats=["GIF", "WEBP"]) as image:
                    found = image.info.get("comment") or image.info.get("xmp") or b""
                return bytes(found).decode(errors="replace")
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                return ""
        av = pyav()
        try:
            with av.open(file, format=container) as opened:
                return str(opened.metadata.get("comment") or opened.metadata.get("COMMENT") or "")
        except av.FFmpegError:
            return ""
