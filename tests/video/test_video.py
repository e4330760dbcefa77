"""Video files: what is read and written, with timing, sound, rotation and colours; what is refused, in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.faces import find_faces
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.video import read
from cyclegan_hub.video.read import Frame, VideoError, open_clip
from cyclegan_hub.video.translate import Translated, translate_video

av = pytest.importorskip("av", reason="PyAV is not installed")

PHOTO = Path(__file__).parents[2] / "cyclegan_hub/free_images/astronaut_face.jpg"
AS_IT_IS = Options(face="none", strength=0)  # what a model with the skip gives back unchanged


@pytest.fixture(scope="module")
def model() -> CycleGenerator:
    torch.manual_seed(0)
    return CycleGenerator(width=4, blocks=1, image_size=32, skip=True, eyes_a=(0.34, 0.4, 0.66, 0.4)).eval()


def picture(i: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """A frame with a bright square at the upper left, and a number that can be read from its grey."""
    image = Image.new("RGB", size, (60 + 4 * i,) * 3)
    image.paste((230, 230, 230), (0, 0, 16, 16))
    return image


def write(
    path: Path,
    frames: Sequence[Image.Image] = tuple(picture(i) for i in range(6)),
    times: Sequence[int] = (),
    rate: int = 25,
    sound: str = "",
    full: bool = False,
    audio_only: bool = False,
) -> Path:
    """A clip; `times` are milliseconds."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}) as out:
        video = None if audio_only else out.add_stream("libvpx-vp9" if path.suffix == ".webm" else "libx264", rate=rate)
        tone = out.add_stream(sound, rate=48_000, layout="mono") if sound else None
        if video is not None:
            context = video.codec_context
            context.width, context.height, context.pix_fmt = *frames[0].size, "yuv420p"
            context.time_base, context.color_range = Fraction(1, 1000), 2 if full else 0
            for i, image in enumerate(frames):
                frame = av.VideoFrame.from_image(image).reformat(format="yuv420p", dst_color_range=2 if full else 1)
                frame.pts, frame.time_base = times[i] if times else 1000 * i // rate, Fraction(1, 1000)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if tone is not None:
            wave = np.sin(np.arange(48_000 // 4) / 17).astype(np.float32)[None]
            for start in range(0, wave.shape[1] - 1023, 1024):
                part = av.AudioFrame.from_ndarray(wave[:, start : start + 1024].copy(), format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = 48_000, start, Fraction(1, 48_000)
                out.mux(tone.encode(part))
            out.mux(tone.encode(None))
    return path


def frames_of(path: Path) -> list[Frame]:
    with open_clip(path) as clip:
        return [part for part in clip.parts() if isinstance(part, Frame)]


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def grey(image: Image.Image) -> float:
    """The mean of the lower right quarter."""
    width, height = image.size
    return float(np.asarray(image.convert("L").crop((width // 2, height // 2, width, height)), np.float64).mean())


def translated(model: CycleGenerator, source: Path, out: Path, options: Options = AS_IT_IS, **more: Any) -> Translated:
    return translate_video(model, source, out, options=options, resolution="original", **more)


@pytest.mark.parametrize("extension", [".mp4", ".mov", ".webm"])
def test_every_frame_keeps_its_time(model: CycleGenerator, tmp_path: Path, extension: str) -> None:
    times = [0, 40, 80, 200, 240, 500]  # a variable frame rate
    done = translated(model, write(tmp_path / "in.mp4", times=times), tmp_path / f"out{extension}", batch_size=4)
    assert (done.frames, done.size, done.notes) == (6, (48, 32), ())
    found = frames_of(tmp_path / f"out{extension}")
    assert [round(1000 * frame.time) for frame in found] == times
    for i, frame in enumerate(found):
        assert grey(frame.image) == pytest.approx(60 + 4 * i, abs=2.5), i
        assert frame.image.getpixel((4, 4))[0] == pytest.approx(230, abs=4)


def test_frame_rate_is_kept_and_sound_is_copied(model: CycleGenerator, tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", rate=50, sound="aac")
    assert translated(model, source, tmp_path / "out.mp4").notes == ()
    assert packets_of(tmp_path / "out.mp4") == packets_of(source) != []
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert float(file.streams.video[0].average_rate) == pytest.approx(50, rel=0.01)


def test_sound_that_the_file_cannot_hold_is_encoded_again(model: CycleGenerator, tmp_path: Path) -> None:
    done = translated(model, write(tmp_path / "in.mp4", sound="aac"), tmp_path / "out.webm")
    assert done.notes == ("this kind of file holds no aac sound: it is encoded again as opus",)
    with av.open(str(tmp_path / "out.webm")) as file:
        seconds = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert seconds == pytest.approx(0.25, abs=0.05)


def test_damaged_sound_that_is_encoded_again_is_counted(model: CycleGenerator, tmp_path: Path) -> None:
    data, packets = write(tmp_path / "in.mp4", sound="aac").read_bytes(), packets_of(tmp_path / "in.mp4")
    for packet in packets[4:6]:
        data = data.replace(packet, b"\xff" * len(packet))
    (tmp_path / "in.mp4").write_bytes(data)
    assert translated(model, tmp_path / "in.mp4", tmp_path / "copied.mp4").notes == ()
    done = translated(model, tmp_path / "in.mp4", tmp_path / "out.webm")
    assert done.notes[1:] == ("2 damaged packets are left out of the sound",)
    with av.open(str(tmp_path / "out.webm")) as file:
        assert sum(1 for _ in file.decode(audio=0)) > 2


def test_a_turned_video_is_written_upright(model: CycleGenerator, tmp_path: Path) -> None:
    """A phone's clip: the pixels lie on their side, and a matrix in the header says by how much they are turned."""
    data = bytearray(write(tmp_path / "in.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # ISO 14496-12, section 8.3.2, version 0
    quarter = [0, 1 << 16, 0, -(1 << 16), 0, 0, 32 << 16, 0, 1 << 30]  # 90 degrees clockwise
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in quarter)
    (tmp_path / "turned.mp4").write_bytes(data)
    assert translated(model, tmp_path / "turned.mp4", tmp_path / "out.mp4").size == (32, 48)
    (first, *_) = frames_of(tmp_path / "out.mp4")
    assert first.image.getpixel((27, 4))[0] > 200 > 120 > first.image.getpixel((4, 4))[0]  # its corner is on the right now


@pytest.mark.parametrize("full", [False, True])
def test_colour_range_is_kept(model: CycleGenerator, tmp_path: Path, full: bool) -> None:
    flat = [Image.new("RGB", (32, 32), (level,) * 3) for level in (4, 128, 251)]
    translated(model, write(tmp_path / "in.mp4", flat, full=full), tmp_path / "out.mp4")
    assert [grey(frame.image) for frame in frames_of(tmp_path / "out.mp4")] == pytest.approx([4, 128, 251], abs=2)
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert (file.streams.video[0].codec_context.color_range == 2) is full


def test_one_frame_and_odd_sides(model: CycleGenerator, tmp_path: Path) -> None:
    Image.new("RGB", (35, 33), (90, 90, 90)).save(tmp_path / "in.gif")
    done = translated(model, tmp_path / "in.gif", tmp_path / "out.mp4")
    assert done.frames == 1 and len(frames_of(tmp_path / "out.mp4")) == 1


@pytest.mark.parametrize("extension", [".gif", ".webp"])
def test_animations_keep_times_repeats_and_transparency(model: CycleGenerator, tmp_path: Path, extension: str) -> None:
    images = [picture(10 * i).convert("RGBA") for i in range(3)]
    for image in images:
        image.putalpha(Image.fromarray(np.repeat(np.repeat(np.uint8([[255, 0]]), 32, 0), 24, 1)))
    images[0].save(tmp_path / f"in{extension}", save_all=True, append_images=images[1:], duration=[50, 120, 70], loop=3)
    done = translated(model, tmp_path / f"in{extension}", tmp_path / f"out{extension}")
    assert done.frames == 3
    with Image.open(tmp_path / f"out{extension}") as result:
        assert (result.n_frames, result.info["loop"]) == (3, 3)
    found = frames_of(tmp_path / f"out{extension}")
    assert [frame.duration for frame in found] == [Fraction(50, 1000), Fraction(120, 1000), Fraction(70, 1000)]
    assert [frame.image.getpixel((40, 16))[3] for frame in found] == [0, 0, 0]
    assert [frame.image.getpixel((20, 20))[0] for frame in found] == pytest.approx([60, 100, 140], abs=4)


def test_a_video_becomes_an_animation(model: CycleGenerator, tmp_path: Path) -> None:
    done = translated(model, write(tmp_path / "in.mp4", rate=30, sound="aac"), tmp_path / "out.gif")
    assert done.notes == ("a .gif has no sound",)
    durations = [frame.duration for frame in frames_of(tmp_path / "out.gif")]
    assert sum(durations, Fraction(0)) == pytest.approx(Fraction(6, 30), abs=0.02)  # 33 ms are 3 or 4 hundredths


def test_a_broken_end_is_left_out(model: CycleGenerator, tmp_path: Path) -> None:
    noisy = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8)) for i in range(8)]
    data = write(tmp_path / "whole.mp4", noisy).read_bytes()
    (tmp_path / "in.mp4").write_bytes(data[: -len(data) // 4])
    done = translated(model, tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert 0 < done.frames < 8 and len(done.notes) >= 1
    assert len(frames_of(tmp_path / "out.mp4")) == done.frames


def panned(count: int, tilt: float = 0) -> list[Image.Image]:
    """A portrait that moves by 2 px a frame, jittered by a pixel."""
    photo = Image.open(PHOTO).convert("RGB")
    return [photo.rotate(tilt, translate=(2 * i + i % 2, i % 2), resample=Image.Resampling.BICUBIC) for i in range(count)]


def test_a_face_is_followed(model: CycleGenerator, tmp_path: Path) -> None:
    frames = panned(6)
    write(tmp_path / "in.mp4", [frame.crop((0, 0, *(side - side % 2 for side in frame.size))) for frame in frames])
    done = translate_video(model, tmp_path / "in.mp4", tmp_path / "face.mp4", options=Options(strength=0, detail=True))
    left = [find_faces(frame.image)[0].eyes[0] / done.size[0] for frame in frames_of(tmp_path / "face.mp4")]
    assert max(abs(eye - complex(0.34, 0.4)) for eye in left) < 0.04  # of the side; smoothing lags behind


def test_around_a_face_put_back_the_frame_is_untouched(model: CycleGenerator, tmp_path: Path) -> None:
    frame = panned(1)[0]
    frame.save(tmp_path / "in.webp", save_all=True, append_images=[frame.transpose(Image.Transpose.ROTATE_180)], lossless=True)
    done = translate_video(model, tmp_path / "in.webp", tmp_path / "out.mp4", options=Options(whole=True, strength=1.5))
    first, second = (np.asarray(one.image, np.float64) for one in frames_of(tmp_path / "out.mp4"))
    before = np.asarray(frame.crop((0, 0, *done.size)), np.float64)
    assert np.abs(first - before)[:12].mean() < 4 < np.abs(first - before).mean()
    # The second frame has no face that is found; the first one's place is kept for a few frames.
    assert done.frames == 2 and second.shape == first.shape


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"", "a.mp4 is empty (0 bytes)"),
        ("a.mp4", b"#EXTM3U\nfile:///etc/hostname\n", "a.mp4 is not a video that is read"),
        ("a.mp4", b"ffconcat version 1.0\nfile /etc/hostname\n", "a.mp4 is not a video that is read"),
        ("a.mp4", b"\0\0\0\x20ftypisom" + bytes(40), "a.mp4 cannot be opened: "),
        ("a.webm", b"\x1aE\xdf\xa3" + bytes(40), "a.webm cannot be opened: "),
        ("a.gif", b"GIF89a" + bytes(3), "a.gif cannot be opened: it is damaged or too large"),
        ("a.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "a.webp cannot be opened: it is damaged or too large"),
    ],
)
def test_what_is_no_video(model: CycleGenerator, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError) as raised:
        translated(model, tmp_path / name, tmp_path / "out.mp4")
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value) and str(tmp_path) not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_BYTES", 100, "in.mp4 has 0.0 GiB, more than the 0 that are read: cut it first"),
        ("MAX_SECONDS", 0.1, "in.mp4 is longer than 0.0 minutes: cut it first"),
        ("MAX_FRAMES", 3, "in.mp4 is longer than 60 minutes: cut it first"),
        ("MAX_SIDE", 40, "in.mp4 has frames of 48 x 32 px: at most 40 px a side are read"),
    ],
)
def test_limits(
    model: CycleGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, message: str
) -> None:
    write(tmp_path / "in.mp4")
    monkeypatch.setattr(read, limit, value)
    with pytest.raises(VideoError) as raised:
        translated(model, tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert str(raised.value) == message
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_sound_alone_is_no_video(model: CycleGenerator, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"^song.mp4 has no pictures, only sound$"):
        translated(model, write(tmp_path / "song.mp4", sound="aac", audio_only=True), tmp_path / "out.mp4")


def test_an_animation_that_does_not_fit_memory(model: CycleGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in.mp4")
    monkeypatch.setattr(read, "ANIMATION_PIXELS", 5 * 48 * 32)
    with pytest.raises(VideoError, match=r"6 frames of 48 x 32 px are more than a \.gif or \.webp .*: use \.mp4 or \.webm"):
        translated(model, tmp_path / "in.mp4", tmp_path / "out.gif")


def test_an_interruption_leaves_nothing(model: CycleGenerator, tmp_path: Path) -> None:
    def interrupt(done: int, count: int | None) -> None:
        raise KeyboardInterrupt

    write(tmp_path / "in.mp4", sound="aac")
    (tmp_path / "out.mp4").write_bytes(b"the old one")
    with pytest.raises(KeyboardInterrupt):
        translated(model, tmp_path / "in.mp4", tmp_path / "out.mp4", progress=interrupt, batch_size=2)
    assert (tmp_path / "out.mp4").read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_without_pyav_the_error_says_what_to_install(
    model: CycleGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(VideoError, match=r"pip install 'cyclegan_hub\[video\]'"):
        translated(model, tmp_path / "in.mp4", tmp_path / "out.mp4")


def test_an_exported_file_translates_a_video(model: CycleGenerator, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the export needs: pip install 'cyclegan_hub[export]'")
    from cyclegan_hub import OnnxGenerator
    from cyclegan_hub.export.onnx_export import export

    model.save_pretrained(tmp_path / "model")
    export(str(tmp_path / "model"), tmp_path / "model.onnx")
    exported, source = OnnxGenerator(tmp_path / "model.onnx"), write(tmp_path / "in.mp4")
    for size in (None, 32):
        exported.size = size  # of a file for this size alone, whose graph is the same
        done = translate_video(exported, source, tmp_path / "out.mp4", options=AS_IT_IS)
        assert done.size == ((32, 32) if size else (48, 32)) and done.frames == 6
