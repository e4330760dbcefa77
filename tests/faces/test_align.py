"""faces/align.py: eyes brought to their places, without aliasing and without black, and a face put back into its photograph."""

from __future__ import annotations

import cmath

import numpy as np
import pytest
from PIL import Image, ImageOps

from cyclegan_hub.data.reading import EyePair
from cyclegan_hub.domains import DOMAINS, Eyes
from cyclegan_hub.faces import Similarity, align, alignment, find_faces, put_back, region_of, warp
from support.photos import EYES, nearest, photo, rotated, scaled
from support.pixels import apart

ANIME, SMILE = DOMAINS["anime"].a.eyes, DOMAINS["smile"].a.eyes  # the closest and the widest view


def values(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float64)


def wave(width: int, height: int) -> Image.Image:
    """A smooth pattern of all three channels that is not its own mirror image."""
    x, y = np.arange(width)[None, :] / width, np.arange(height)[:, None] / height
    bands = [np.sin(7 * x + 3 * y), np.cos(5 * y - 4 * x * y), np.sin(9 * x * y + 2 * y)]
    return Image.fromarray((127.5 + 120 * np.stack(bands, 2)).astype(np.uint8))


# --- where the eyes come to lie


@pytest.mark.parametrize("eyes", [ANIME, SMILE])
def test_the_eyes_are_found_again_at_their_places(eyes: Eyes) -> None:
    image = photo("astronaut_face")
    wanted = complex(*eyes[:2]) * 128, complex(*eyes[2:]) * 128
    given = [*(rotated(image, degrees)[0] for degrees in (-30, 0, 15)), scaled(image, 2), ImageOps.mirror(image)]
    distances = [nearest(find_faces(align(one, find_faces(one)[0], eyes, 128)), wanted) for one in given]
    assert np.median(distances) < 1.5 and max(distances) < 3


@pytest.mark.parametrize("seed", range(3))
def test_both_eyes_go_exactly_to_their_places_and_back(seed: int) -> None:
    random = np.random.default_rng(seed)
    here, there = random.uniform(0, 4000, 2) @ [1, 1j], random.uniform(0, 4000, 2) @ [1, 1j]
    eyes = tuple(random.uniform(0.05, 0.45, 2)) + tuple(random.uniform(0.55, 0.95, 2))
    to_photo = alignment(EyePair((here, there)), eyes, 96)
    assert abs(to_photo(96 * complex(*eyes[:2])) - here) < 1e-6 and abs(to_photo(96 * complex(*eyes[2:])) - there) < 1e-6
    z = complex(*random.uniform(-500, 5000, 2))
    assert abs(to_photo(to_photo.inverse()(z)) - z) < 1e-6
    assert abs(to_photo.after(to_photo.inverse())(z) - z) < 1e-6
    other = Similarity(0.3 - 2j, 5 + 1j)
    assert abs(other.after(to_photo)(z) - other(to_photo(z))) < 1e-6
    assert abs(abs(to_photo(z) - to_photo(z + 3 - 4j)) - 5 * to_photo.scale) < 1e-6


@pytest.mark.parametrize("scale, degrees", [(0.4, 25), (1, 0), (1.6, 25), (2, 0), (3.3, 25), (6, 0)])
def test_points_of_the_square_are_those_of_the_photograph(scale: float, degrees: float) -> None:
    """Three soft dots in a photograph: where they are seen in the square, taken back, is where they are, to 0.1 px."""
    transform = Similarity(cmath.rect(scale, np.deg2rad(degrees)), 0)
    middle = 300 + 280j
    transform = Similarity(transform.turn, middle - transform(32 + 32j))
    y, x = np.mgrid[:600, :600] + 0.5
    for dot in (middle, middle + 7.3 * scale, middle - 5.1j * scale):
        photograph = Image.fromarray((np.exp(-(abs(x + 1j * y - dot) ** 2) / (2 * (2.5 * scale + 0.5) ** 2))).astype(np.float32))
        seen = values(warp(photograph, transform, (64, 64)))
        rows, columns = np.mgrid[:64, :64] + 0.5
        assert abs(transform((seen * (columns + 1j * rows)).sum() / seen.sum()) - dot) < 0.1


# --- what is seen


@pytest.mark.parametrize("name", ["astronaut", "examples/grace_hopper_face"])
def test_a_larger_photograph_gives_the_same_square(name: str) -> None:
    """As through a filter: a photograph enlarged six times shows no more than the original."""
    image, (here, there) = photo(name), EYES[name]
    size = round(abs(there - here) / 0.25)  # the square at about the photograph's own scale
    own = align(image, EyePair((here, there)), SMILE, size)
    large = align(scaled(image, 6), EyePair((6 * here, 6 * there)), SMILE, size)
    assert np.abs(values(own) - values(large)).mean() < 4


@pytest.mark.parametrize("scale, degrees", [(2, 20), (2.7, 0), (3.9, 45), (4, 20), (9.5, 45)])
def test_a_fine_checkerboard_becomes_grey(scale: float, degrees: float) -> None:
    board = Image.fromarray(((np.indices((900, 900)).sum(0) % 2) * 255).astype(np.uint8))
    turn = cmath.rect(scale, np.deg2rad(degrees))
    square = values(warp(board, Similarity(turn, 450 + 450j - turn * (32 + 32j)), (64, 64)))
    assert np.abs(square - 127.5).max() < 25 and square.std() < 6 and abs(square.mean() - 127.5) < 1


def test_at_its_own_scale_an_image_is_itself() -> None:
    image = wave(61, 47)
    assert apart(warp(image, Similarity(1, 0), image.size), image) <= 1
    assert apart(warp(image, Similarity(1, 11 + 5j), (30, 20)), image.crop((11, 5, 41, 25))) <= 1
    turned = warp(image, Similarity(1j, 61), (47, 61))  # a quarter of a turn: (x, y) shows (61 - y, x)
    assert apart(turned, image.transpose(Image.Transpose.ROTATE_90)) <= 1


# --- beyond the borders


def test_beyond_a_border_an_image_is_mirrored() -> None:
    image = wave(40, 30)
    mirrored = {-40: ImageOps.mirror(image), 40: ImageOps.mirror(image), -80: image, 80: image}
    for shift, expected in mirrored.items():
        assert apart(warp(image, Similarity(1, shift), image.size), expected) <= 1
    assert apart(warp(image, Similarity(1, -30j), image.size), ImageOps.flip(image)) <= 1
    assert apart(warp(image, Similarity(1, -40 - 30j), image.size), ImageOps.mirror(ImageOps.flip(image))) <= 1


@pytest.mark.parametrize("mode, scale", [("L", 0.7), ("RGB", 1.5), ("F", 3.4)])
@pytest.mark.parametrize(("right", "below"), [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(("size", "mean"), [((300, 198), 1), ((299, 199), 6)])  # the second is not a multiple of the factor of 3
def test_a_face_in_a_corner_is_seen_as_in_a_mirrored_image(
    size: tuple[int, int], mean: float, right: int, below: int, scale: float, mode: str
) -> None:
    image, turn = wave(*size).convert(mode), cmath.rect(scale, 0.3)
    transform = Similarity(turn, complex(right * size[0], below * size[1]) - turn * (32 + 32j))
    square = warp(image, transform, (64, 64))
    padding = ((300, 300), (300, 300), (0, 0))[: np.asarray(image).ndim]
    padded = Image.fromarray(np.pad(np.asarray(image), padding, "symmetric"))
    expected = warp(padded, Similarity(turn, transform.shift + 300 + 300j), (64, 64))
    assert (square.mode, square.size) == (mode, (64, 64))
    assert np.abs(values(square) - values(expected)).mean() < mean


def test_modes_agree() -> None:
    photograph, pair = photo("astronaut").convert("L"), EyePair(EYES["astronaut"])
    grey = align(photograph, pair, SMILE, 64)
    colour = align(photograph.convert("RGB"), pair, SMILE, 64)
    floats = align(photograph.convert("F"), pair, SMILE, 64)
    assert (grey.mode, colour.mode, floats.mode) == ("L", "RGB", "F")
    assert apart(grey.convert("RGB"), colour) <= 1 and np.abs(values(grey) - values(floats)).mean() < 1


# --- put back


@pytest.mark.parametrize("name", ["astronaut", "examples/grace_hopper"])
def test_outside_its_ellipse_a_photograph_stays_bit_by_bit(name: str) -> None:
    photograph = photo(name)
    to_photo = alignment(EyePair(EYES[name]), ANIME, 128)
    result = put_back(photograph, Image.new("RGB", (128, 128), "lime"), to_photo)
    y, x = np.mgrid[: photograph.height, : photograph.width] + 0.5
    inverse = to_photo.inverse()
    radius = np.abs(inverse.turn * (x + 1j * y) + inverse.shift - (64 + 64j)) / 64
    before, after = np.asarray(photograph), np.asarray(result)
    assert (before == after)[radius > 1].all()
    assert (after[radius < 0.7] == (0, 255, 0)).all()
    edge = after[(radius > 0.8) & (radius < 0.9)]
    assert len(np.unique(edge[:, 1])) > 10  # soft


def test_a_face_put_back_unchanged_leaves_the_photograph_nearly_as_it_was() -> None:
    photograph, pair = photo("examples/grace_hopper_face"), EyePair(EYES["examples/grace_hopper_face"])
    size = round(alignment(pair, SMILE, 1).scale)  # its own scale
    result = put_back(photograph, align(photograph, pair, SMILE, size), alignment(pair, SMILE, size))
    difference = np.abs(values(photograph) - values(result))
    assert difference[difference.max(2) > 0].mean() < 5


def test_a_square_partly_and_wholly_outside() -> None:
    photograph, lime = photo("coffee"), Image.new("RGB", (64, 64), "lime")
    at_the_corner = put_back(photograph, lime, Similarity(1, -32 - 32j))
    assert at_the_corner.getpixel((0, 0)) == (0, 255, 0) and at_the_corner.getpixel((40, 40)) == photograph.getpixel((40, 40))
    outside = Similarity(1, -80 - 10j)
    assert region_of(photograph, outside, 64) is None
    assert put_back(photograph, lime, outside).tobytes() == photograph.tobytes()


def test_a_mask_is_an_ellipse_from_1_to_0() -> None:
    region = region_of(Image.new("L", (300, 200)), Similarity(cmath.rect(1.2, 0.4), 100 + 30j), 64)
    assert region is not None
    mask = region.mask()
    assert mask.shape == region.size[::-1] and mask.min() == 0 and mask.max() == 1
    middle = Similarity(cmath.rect(1.2, 0.4), 100 + 30j)(32 + 32j) - complex(*region.box[:2])
    assert mask[int(middle.imag), int(middle.real)] == 1
    edges = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert edges.max() < 0.05
