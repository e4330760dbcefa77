"""models/photograph.py: options that mean nothing, faces that are not there, and works that share batches."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from cyclegan_hub.imaging import images
from cyclegan_hub.models.photograph import Work, run_in_batches
from support.translations import LANDSCAPE, PORTRAIT, faces_model, picture, tiny

FACES, ANY = "a_to_b", "b_to_a"  # the two directions of faces_model()


@pytest.mark.parametrize(
    ("direction", "skip", "options", "message"),
    [
        (FACES, True, {"face": "first"}, r"face='first': give 'auto', 'none', 'all', or the number of a face, 0 for the largest"),
        (FACES, True, {"face": -1}, r"face=-1: give 'auto'"),
        (FACES, True, {"face": True}, r"face=True: give 'auto'"),
        (FACES, True, {"face": 1.0}, r"face=1\.0: give 'auto'"),
        (FACES, True, {"face": None}, r"face=None: give 'auto'"),
        (FACES, True, {"face": "all"}, r"face='all': several faces need .*: add whole=True"),
        (FACES, True, {"face": "none", "whole": True}, r"whole=True, face='none': there is no face to put back"),
        (ANY, True, {"face": 0}, r"face=0: this direction takes any picture, not aligned faces: leave face out"),
        (ANY, True, {"face": "all", "whole": True}, r"face='all': this direction takes any picture"),
        (ANY, True, {"whole": True}, r"whole=True: this direction translates whole pictures anyway"),
        (FACES, True, {"strength": -0.1}, r"strength=-0\.1: give a number from 0 \(nothing changes\) to 1\.5"),
        (FACES, True, {"strength": 1.6}, r"strength=1\.6: give a number"),
        (FACES, True, {"strength": float("nan")}, r"strength=nan: give a number"),
        (FACES, True, {"strength": "1"}, r"strength='1': give a number"),
        (FACES, True, {"strength": True}, r"strength=True: give a number"),
        (FACES, False, {"strength": 0.5}, r"strength=0\.5: this model .*: leave strength out"),
        (ANY, False, {"strength": 0}, r"strength=0: this model"),
        (FACES, True, {"face": 2}, r"face=2: this image has 1 face: give 0"),
    ],
)  # fmt: skip
def test_a_combination_without_meaning_is_one_clear_line(direction: Any, skip: bool, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}") as caught:
        faces_model(skip=skip).translate(PORTRAIT, direction, **options)
    assert "\n" not in str(caught.value)


def test_a_number_of_a_face_where_there_is_none() -> None:
    with pytest.raises(images.ImageError, match=r"^face=0: no face is found in this image$"):
        faces_model().translate(LANDSCAPE, face=0)


@pytest.mark.parametrize(
    "eyes", [(), (0.1, 0.5, 0.6), (0.6, 0.5, 0.4, 0.5), (0, 0.5, 0.6, 0.5), (47, 64, 81, 64), "auto", 0.5, [True] * 4]
)
def test_eyes_that_are_not_two_places_in_a_square(eyes: Any) -> None:
    with pytest.raises(ValueError, match=r"^eyes=.*: give the left and the right eye in shares of the side"):
        tiny(eyes_a=eyes)


# --- batches


def test_works_of_no_one_and_several_inputs_share_batches() -> None:
    def work(name: str, *sizes: int) -> Work:
        return Work(
            [picture(size, 8) for size in sizes], lambda outputs: Image.new("L", (1 + sum(one.width for one in outputs), 1))
        )

    batches: list[list[int]] = []

    def run(given: Any) -> Any:
        batches.append([one.width for one in given])
        return given

    works = [work("none"), work("two", 8, 16), work("one", 8), work("three", 16, 8, 8), work("none")]
    results = dict(run_in_batches(run, works, 3))
    assert [results[place].width - 1 for place in range(5)] == [0, 24, 8, 32, 0]
    assert sorted(batches) == [[8], [8, 8, 8], [16, 16]]
