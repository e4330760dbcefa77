"""serving/studio.py and serving/photos.py on faces: aligned, put back, several, in batches, and in a camera's frames."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.faces import Face, align, alignment, find_faces
from cyclegan_hub.faces.track import MAX_MISSED, Track, follow
from cyclegan_hub.imaging import images
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.serving.photos import find_in_frame, scaled
from cyclegan_hub.serving.studio import Studio
from support.photos import MODEL_EYES, ROCKET, TWO, photo
from support.pictures import encoded
from support.pixels import apart
from support.served_models import translate
from support.tiny_models import folder, model

HUMAN = {"domain": "anime", "labels": ("human face", "anime face"), "eyes_a": MODEL_EYES}
SMILE = {"eyes_a": MODEL_EYES, "eyes_b": MODEL_EYES, "skip": True}
NO_FACE = "No face was found, and this model knows only faces: the whole picture is translated."


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """anime, whose a_to_b takes faces, with epochs 1 and 2; smile and grey with the skip; old without eyes."""
    path = tmp_path_factory.mktemp("models")
    folder(path / "anime", 1, 2, **HUMAN)
    folder(path / "smile", **SMILE)
    folder(path / "grey", channels=1, **SMILE)
    folder(path / "old")
    return Studio(str(path))


# --- one picture


@pytest.mark.parametrize("direction", ["a_to_b", "b_to_a"])
@pytest.mark.parametrize("options", [{}, {"whole": True}, {"face": "none"}])
def test_a_result_is_that_of_the_model(studio: Studio, direction: str, options: dict) -> None:
    for name, own in (("anime", model(2, **HUMAN)), ("smile", model(None, **SMILE))):
        if name == "anime" and direction == "b_to_a":
            continue
        result = translate(studio, photo("examples/grace_hopper"), name, direction, **options)
        expected = own.translate(photo("examples/grace_hopper"), direction, **options)
        assert result.notes == () and apart(result.after, expected) <= 1
        assert result.before.size == result.after.size and result.before.mode == "RGB"


def test_before_is_what_the_result_shows(studio: Studio) -> None:
    source = photo("examples/grace_hopper")
    own = round(alignment(find_faces(source)[0], MODEL_EYES, 1).scale)
    sharp = translate(studio, source, "smile")
    assert sharp.before.size == sharp.after.size == sharp.given.size == (own, own)
    assert [one.size for one in sharp.inputs] == [(32, 32)]
    assert apart(sharp.inputs[0], model(None, **SMILE).prepare(source)) <= 1
    small = translate(studio, source, "anime")
    assert small.before.size == small.after.size == (32, 32) and small.given.size == (own, own)
    assert apart(small.before, small.inputs[0]) <= 1
    whole = translate(studio, source, "smile", face="all", whole=True)
    assert whole.before == whole.given == source and whole.after.size == source.size
    unchanged = np.all(np.asarray(whole.after) == np.asarray(source), axis=2)
    assert unchanged[:50].all() and unchanged[-100:].all() and not unchanged[200:250, 230:300].all()


def test_what_the_model_sees(studio: Studio) -> None:
    for options in ({}, {"face": "all", "whole": True}):
        result = translate(studio, photo("examples/grace_hopper"), "smile", strength=0.5, **options)
        before, after, _ = result.shown(as_model_sees=True)
        assert before == result.inputs[0].resize(before.size, Image.Resampling.NEAREST)
        assert after == result.outputs[0].resize(before.size, Image.Resampling.NEAREST)
    result = translate(studio, TWO, "smile", face="all", whole=True, reconstruct=True)
    before, after, back = result.shown(as_model_sees=True)
    assert back is not None and before.size == after.size == back.size and before.width == 2 * before.height
    assert before.resize((64, 32), Image.Resampling.NEAREST).crop((32, 0, 64, 32)) == result.inputs[1]


def test_strength_0_returns_the_input(studio: Studio) -> None:
    source = photo("examples/grace_hopper")
    result = translate(studio, source, "smile", strength=0)
    assert result.after == result.before and result.after != translate(studio, source, "smile", strength=0.5).after
    assert translate(studio, source, "smile", face="all", whole=True, strength=0).after == source


def test_a_reconstruction_at_the_scale_of_the_photograph(studio: Studio) -> None:
    source, own = photo("examples/grace_hopper"), model(2, **HUMAN)
    face = translate(studio, source, "anime", reconstruct=True)
    whole = translate(studio, source, "anime", face="all", whole=True, reconstruct=True)
    assert face.back is not None and apart(face.back, own.cycle(source)) <= 1
    assert whole.back is not None and whole.back.size == source.size and whole.back != whole.after
    sharp = translate(studio, source, "smile", reconstruct=True)
    assert sharp.back is not None and sharp.back.size == sharp.after.size


def test_no_face_is_said_and_the_whole_picture_translated(studio: Studio) -> None:
    result = translate(studio, ROCKET, "anime")
    assert result.notes == (NO_FACE,) and result.given == images.decode(ROCKET)
    assert apart(result.after, model(2, **HUMAN).translate(ROCKET, face="none")) <= 1
    whole = translate(studio, ROCKET, "anime", whole=True)
    assert whole.notes == ("No face was found: the picture is left as it is.",) and whole.after == images.decode(ROCKET)
    assert whole.shown(as_model_sees=True).before.size == whole.shown().after.size


def test_transparency_comes_back_with_the_frame(studio: Studio) -> None:
    clear = photo("examples/grace_hopper")
    alpha = Image.linear_gradient("L").resize(clear.size)
    clear.putalpha(alpha)
    whole = translate(studio, clear, "smile", face="all", whole=True)
    assert whole.after.mode == "RGBA" and whole.after.getchannel("A") == alpha
    assert translate(studio, clear, "smile").after.mode == "RGB" and whole.shown().after.mode == whole.before.mode == "RGB"


def test_a_grey_model_changes_the_photograph_in_grey(studio: Studio) -> None:
    result = translate(studio, photo("examples/grace_hopper"), "grey", face="all", whole=True)
    expected = model(None, channels=1, **SMILE).translate(photo("examples/grace_hopper"), whole=True)
    assert result.notes == ("This model sees and makes grey pictures only.",)
    assert apart(result.after, expected.convert("RGB")) <= 1


def test_a_model_without_eyes_is_as_it_was(studio: Studio) -> None:
    result = translate(studio, photo("examples/grace_hopper"), "old")
    assert result.notes == () and result.after == model(None).translate(photo("examples/grace_hopper"))
    assert studio.open(TWO, "old").faces is None


def test_every_epoch_sees_the_same_face(studio: Studio) -> None:
    for options in ({}, {"face": "all", "whole": True}):
        one, two = studio.every_epoch(studio.open(photo("examples/grace_hopper"), "anime"), Options(**options))
        assert one.before == two.before and one.after.size == two.after.size and one.after != two.after


# --- several pictures


def test_a_batch_aligns_and_says_what_has_no_face(studio: Studio, tmp_path: Path) -> None:
    photo("examples/grace_hopper").save(tmp_path / "face.png")
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(encoded(0, (40, 50)))
    (tmp_path / "broken.png").write_bytes(b"")
    files = [tmp_path / name for name in ("face.png", "1.png", "2.png", "broken.png")]
    batch = studio.translate_batch(files, "anime", folder=tmp_path)
    assert batch.lines == [f"1.png, 2.png: {NO_FACE}"] and len(batch.errors) == 1 and batch.zip
    with zipfile.ZipFile(batch.zip) as zipped:
        face = images.decode(zipped.read("face.png"))
        assert apart(face, model(2, **HUMAN).translate(photo("examples/grace_hopper"))) <= 1
    batch = studio.translate_batch(files[:1] * 2, "smile", options=Options("all", True, 0), folder=tmp_path)
    assert batch.lines == [] and batch.zip
    with zipfile.ZipFile(batch.zip) as zipped:
        assert images.decode(zipped.read("2 face.png")) == photo("examples/grace_hopper")
    batch.notes["So it is."] = [f"{i}.png" for i in range(8)]
    assert batch.lines == ["0.png, 1.png, 2.png, 3.png, 4.png and 3 more: So it is."]


# --- live


def test_a_live_frame_is_the_face_and_without_one_the_middle(studio: Studio) -> None:
    frame = photo("examples/grace_hopper").crop((0, 0, 512, 384))
    before, after, track = studio.live_frame(frame, "anime", epoch=1)
    assert track is not None and before == align(frame, track.face, MODEL_EYES, 32)
    assert apart(before, images.square(frame, 32)) > 50
    assert after == model(1, **HUMAN).translate(before, resolution="original", face="none")
    again = studio.live_frame(frame, "anime", epoch=1, track=track)
    assert again.before == before
    gone = studio.live_frame(images.decode(ROCKET), "anime", epoch=1)
    assert gone.track is None and gone.before == images.square(images.decode(ROCKET), 32)
    other = studio.live_frame(frame, "anime", "b_to_a", epoch=1, track=track)
    assert other.track is None and other.before == images.square(frame, 32)
    smiling, network = studio.live_frame(frame, "smile"), model(None, **SMILE)
    one, four = (network.translate(smiling.before, resolution="original", face="none", ensemble=e) for e in (False, True))
    assert smiling.after == one != four  # a frame has no time for an ensemble


def test_a_frame_is_searched_on_a_small_copy() -> None:
    large = photo("examples/grace_hopper").resize((1024, 1200), Image.Resampling.BICUBIC)
    (found,), (expected,) = find_in_frame(large), find_faces(large)
    apart = abs(expected.eyes[1] - expected.eyes[0])
    assert max(abs(a - b) for a, b in zip(found.eyes, expected.eyes, strict=True)) < 0.03 * apart


FACE = Face((0, 0, 100, 120), (30 + 40j, 70 + 40j, 50 + 60j, 35 + 85j, 65 + 85j), 1.0)


def shifted(shift: complex, face: Face = FACE) -> Face:
    return replace(face, landmarks=tuple(z + shift for z in face.landmarks))


def test_a_trembling_face_moves_less_than_it_is_found_to() -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, (200, 2))  # px of 40 between the eyes
    track, found, seen = None, [], []
    for x, y in noise:
        track = follow(track, [shifted(complex(x, y))])
        assert track is not None
        found.append(complex(x, y) + FACE.eyes[0])
        seen.append(track.face.eyes[0])
    assert np.abs(np.diff(seen)).mean() < np.abs(np.diff(found)).mean() / 3
    assert abs(np.mean(seen) - FACE.eyes[0]) < 0.5


def test_a_jump_is_followed_at_once_and_a_steady_move_closely() -> None:
    assert follow(Track(FACE), [shifted(30)]) == Track(shifted(30))
    track: Track | None = Track(FACE)
    for step in range(1, 40):  # a twentieth of the distance between the eyes a frame
        track = follow(track, [shifted(2 * step)])
        assert track is not None and abs(track.face.eyes[0] - shifted(2 * step).eyes[0]) < 10


def test_a_face_that_is_lost_stays_a_while_and_is_forgotten() -> None:
    assert follow(None, []) is None and follow(None, [FACE]) == Track(FACE)
    track: Track | None = Track(FACE)
    for missed in range(1, MAX_MISSED + 1):
        track = follow(track, [])
        assert track == Track(FACE, missed)
    assert follow(track, []) is None
    back = follow(track, [FACE])
    assert back == Track(FACE)


def test_of_several_faces_the_one_that_was_followed_is_kept() -> None:
    larger = scaled(shifted(200), 2)
    track = follow(Track(FACE), [larger, shifted(1)])
    assert track is not None and abs(track.face.eyes[0] - FACE.eyes[0]) < 1
    assert follow(Track(FACE), [larger, shifted(300)]) == Track(larger)
