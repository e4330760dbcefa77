"""`cyclegan-hub translate` of clips: one, or a folder of them, and the same command again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.commands import translate_video
from cyclegan_hub.commands.translate_video import clips_in, is_video_job, translate_clips
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.video.read import VideoError

av = pytest.importorskip("av", reason="PyAV is not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    CycleGenerator(width=4, blocks=1, image_size=16).save_pretrained(folder)
    return str(folder)


def clip(path: Path, shade: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.new("RGB", (16, 16), (shade + 20 * i,) * 3) for i in range(3)]
    if path.suffix in (".gif", ".webp"):
        images[0].save(path, save_all=True, append_images=images[1:], duration=50)
        return path
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        for image in images:
            out.mux(video.encode(av.VideoFrame.from_image(image)))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.gif", "out.webp"])
def test_the_same_command_again_makes_nothing_again(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source, out = clip(tmp_path / "in.mp4"), tmp_path / name
    assert translate_clips(model, source, out) == 0
    assert capsys.readouterr().out == f"3 frames of 16 x 16 px: {out}\n"
    made = out.read_bytes()
    assert translate_clips(model, source, out) == 0
    assert capsys.readouterr().out == f"{out} is there already\n" and out.read_bytes() == made
    assert translate_clips(model, source, out, direction="b_to_a") == 0  # another translation replaces it
    assert out.read_bytes() != made
    clip(source, shade=10)
    assert translate_clips(model, source, out, direction="b_to_a") == 0  # and so does another clip
    assert capsys.readouterr().out.count("3 frames") == 2


def test_a_folder_goes_on_with_the_clip_that_was_interrupted(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.mp4", "b/c.mkv", "b/c.mp4", ".hidden/d.mp4"):
        clip(tmp_path / "clips" / name)
    (tmp_path / "clips/e.mp4").write_bytes(b"no video")
    whole, done = translate_video.translate_video, []

    def until_the_second(*arguments, **more):
        done.append(arguments[1].name)
        if len(done) == 2:
            raise KeyboardInterrupt
        return whole(*arguments, **more)

    monkeypatch.setattr(translate_video, "translate_video", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        translate_clips(model, tmp_path / "clips", tmp_path / "out")
    assert translate_clips(model, tmp_path / "clips", tmp_path / "out") == 1
    assert done == ["a.mp4", "c.mkv", "c.mkv", "c.mp4", "e.mp4"]
    printed = capsys.readouterr()
    assert "skipped e.mp4: e.mp4 is not a video that is read" in printed.err
    assert printed.out.endswith(f"3 clips translated, 1 skipped: in {tmp_path / 'out'}\n")
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == [
        "a.mp4", "b/c.mp4", "b/c.mp4.mp4",
    ]  # fmt: skip


def test_what_is_a_video_job(tmp_path: Path) -> None:
    clip(tmp_path / "clips/a.mp4")
    clip(tmp_path / "both/a.mp4")
    Image.new("RGB", (8, 8)).save(tmp_path / "both/b.png")
    for thumbnail in ("clips/@eaDir/a.jpg", "clips/.thumbnails/a.jpg"):  # as a NAS and a desktop add them
        (tmp_path / thumbnail).parent.mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / thumbnail)
    clip(tmp_path / "clips/@eaDir/a.mp4")
    assert is_video_job(tmp_path / "clips", tmp_path / "out") and clips_in(tmp_path / "clips") == [tmp_path / "clips/a.mp4"]
    assert is_video_job(tmp_path / "clips/a.mp4", tmp_path / "out")
    assert is_video_job(tmp_path / "x.gif", tmp_path / "out.mp4") and is_video_job(tmp_path / "x.gif", tmp_path / "out.gif")
    assert not is_video_job(tmp_path / "both", tmp_path / "out")
    assert not is_video_job(tmp_path / "x.gif", tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("in.mp4", "out", "give the result of a video a name that ends in .mp4, .mov, .webm, .gif, .webp"),
        ("in.mp4", "in.mp4", "is what is to be translated"),
        ("gone.mp4", "out.mp4", "there is no such file or folder"),
        ("clips", "out.mp4", "give the folder that the results are to be in"),
        ("clips", "clips/out", "lies in the folder of the clips"),
        ("in.mp4", "notes.webm", "exists and was not written by translate"),
        ("in.mp4", "foreign.mp4", "exists and was not written by translate"),
    ],
)
def test_mistakes(model: str, tmp_path: Path, source: str, out: str, message: str) -> None:
    clip(tmp_path / "in.mp4")
    clip(tmp_path / "clips/a.mp4")
    clip(tmp_path / "foreign.mp4")
    (tmp_path / "notes.webm").write_text("mine")
    with pytest.raises(VideoError) as raised:
        translate_clips(model, tmp_path / source, tmp_path / out)
    assert message in str(raised.value) and "\n" not in str(raised.value)
    assert (tmp_path / "notes.webm").read_text() == "mine"


def test_an_option_without_meaning_is_refused_before_anything_is_written(model: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="whole=True"):
        translate_clips(model, clip(tmp_path / "in.mp4"), tmp_path / "out.mp4", options=Options(whole=True))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
