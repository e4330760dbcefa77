"""Domains are loaded: unusable images and copies left out, others held out or chosen, and what changes images is noted."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from cyclegan_hub.data import load as loading
from cyclegan_hub.data.load import DomainImages, LazyImages
from cyclegan_hub.data.reading import Reading
from cyclegan_hub.data.resolve import resolve, resolve_pairs
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.imaging import images
from support.hostile_files import png
from support.loading import contents, load_domains, open_batches
from support.pictures import archive, encoded, folder, picture, scans, sides


def load(path: Path, **options) -> tuple[DomainImages, DomainImages]:
    """Both domains of a folder at 20 px, the size of the images, unless `options` differ."""
    return load_domains(resolve(None, str(path), None, None), **({"image_size": 20} | options))


def pixels(seed: int, size: int = 20, channels: int = 3) -> torch.Tensor:
    image = picture(seed).convert("RGB" if channels == 3 else "L")
    return images.to_uint8_tensor(images.square(image, size))


def digest(seed: int) -> str:
    return images.content_hash(picture(seed))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """30 and 12 training images; held out: 3 and 2."""
    return sides(tmp_path, trainA=range(30), trainB=range(100, 112), testA=range(200, 203), testB=range(300, 302))


def test_images_come_squared_in_file_order(data: Path) -> None:
    a, b = load(data, load_size=24, image_size=16)
    assert torch.equal(a.train, torch.stack([pixels(seed, 24) for seed in range(30)])) and a.train.dtype == torch.uint8
    assert torch.equal(b.held_out, torch.stack([pixels(seed, 16) for seed in (300, 301)]))
    assert a.counts == dict(found=30, unreadable=0, tiny=0, duplicates=0, also_held_out=0, not_chosen=0, kept=30, held_out=3)
    assert a.notes == []
    grey, _ = load(data, channels=1)
    assert torch.equal(grey.train[7], pixels(7, channels=1)) and grey.held_out.shape == (3, 1, 20, 20)


def test_equal_pixels_are_one_image_whatever_the_file(data: Path) -> None:
    (data / "trainA/copy.bmp").write_bytes(encoded(3, format="BMP"))
    (data / "trainA/held.bmp").write_bytes(encoded(201, format="BMP"))
    (data / "testA/copy.bmp").write_bytes(encoded(200, format="BMP"))
    a, _ = load(data)
    assert torch.equal(a.train, torch.stack([pixels(seed) for seed in range(30)]))
    assert (a.counts["found"], a.counts["duplicates"], a.counts["also_held_out"], a.counts["held_out"]) == (32, 1, 1, 3)


def test_unreadable_and_tiny_images_are_skipped_counted_and_named(data: Path) -> None:
    (data / "trainA/broken.png").write_bytes(encoded(1)[:-40])
    (data / "trainA/tiny.png").write_bytes(encoded(1, (15, 40)))
    a, _ = load(data)
    assert (a.counts["unreadable"], a.counts["tiny"], a.counts["kept"]) == (1, 1, 30)
    assert "broken.png" in a.notes[0] and "tiny.png" in a.notes[1] and "below 16 px" in a.notes[1]


def table(path: Path, cells: list[bytes | None]) -> Path:
    pq.write_table(pa.table({"image": pa.array(cells, pa.binary())}), path)
    return path


def alone(a: Path) -> DomainImages:
    """Domain A from one file, beside another that is in order."""
    b = table(a.parent / "other.parquet", [encoded(seed) for seed in range(1000, 1030)])
    return load_domains(resolve(None, None, str(a), str(b)), image_size=16)[0]


def test_unreadable_and_empty_cells_are_counted_apart_and_a_reason_is_given_once(tmp_path: Path) -> None:
    images_of_40 = [encoded(seed) for seed in range(40)]
    a = alone(table(tmp_path / "a.parquet", [*images_of_40, b"junk", b"waste", *[None] * 9]))
    notes = "\n".join(a.notes)
    assert a.counts["unreadable"] == 2 and a.counts["empty"] == 9, a.counts
    assert sum(n for name, n in a.counts.items() if name != "found") == a.counts["found"] == 51
    assert "A: skipped 2 unreadable images: 'row 40', 'row 41' are not an image that can be read: give a JPEG" in notes, notes
    assert "A: 9 empty cells without an image: row 42, row 43" in notes and notes.count("give a JPEG") == 1
    with pytest.raises(DataError, match=r"all of its 3 cells are empty: name another \?column="):
        alone(table(tmp_path / "c.parquet", [None] * 3))
    cells = [*({"bytes": one, "path": None} for one in images_of_40), {"bytes": None, "path": "gone.png"}]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "a.parquet")
    assert "'row 40 (gone.png)' cannot be read: No such file" in "\n".join(alone(tmp_path / "a.parquet").notes)


def test_a_damaged_file_in_an_archive_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {f"{i}.png": encoded(i) for i in range(30)})
    start = path.read_bytes().find(b"IDAT")
    path.write_bytes(path.read_bytes()[:start] + b"\xff" * 9 + path.read_bytes()[start + 9 :])
    (note,) = [one for one in alone(path).notes if "unreadable" in one]
    assert note == "A: skipped 1 unreadable image: '0.png' is damaged in the archive: download it again"


def test_held_out_images_of_either_domain_are_trained_on_by_neither(tmp_path: Path) -> None:
    sides(tmp_path, (16, 16), trainA=range(40), trainB=range(40, 80), testA=range(75, 85), testB=range(5))
    a, b = load(tmp_path, image_size=16)
    assert not (contents(a.train) | contents(b.train)) & (contents(a.held_out) | contents(b.held_out))
    assert (a.counts["kept"], a.counts["also_held_out"]) == (35, 5) and (b.counts["kept"], b.counts["also_held_out"]) == (35, 5)


def test_upscaling_is_noted_once_for_a_domain(data: Path) -> None:
    a, b = load(data, image_size=32)
    assert a.notes == ["A: 30 of 30 images are smaller than 32 px and will be upscaled"]
    assert a.held_out.shape[-1] == 32 and b.train.shape[-1] == 32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: [(data / f"trainA/broken{i}.png").touch() for i in "01"], r"2 of 32 images cannot be read.*broken0\.png"),
        (lambda data: folder(data / "testB", range(300, 302), (15, 15)), "domain B: no image of the held-out split can be used"),
        (lambda data: folder(data / "testB", range(100, 112)), "no training image is left"),
    ],
)
def test_a_domain_that_cannot_be_used_stops(data: Path, change: Callable, message: str) -> None:
    change(data)
    with pytest.raises(DataError, match=message):
        load(data)


def test_an_empty_domain_and_two_of_the_same_images_stop(data: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz", images=np.zeros((0, 20, 20, 3), np.uint8))
    folder(data / "copyA", reversed(range(30)))
    with pytest.raises(DataError, match=r"domain A is empty: no image in npz .*none\.npz"):
        load_domains(resolve(None, str(data), str(tmp_path / "none.npz"), None), image_size=20)
    with pytest.raises(DataError, match="both domains hold the same 30 images"):
        load_domains(resolve(None, str(data), None, str(data / "copyA")), image_size=20)


def test_images_in_both_domains_are_noted(data: Path) -> None:
    folder(data / "trainB", [4, 5])
    assert "A and B: 2 images are in both domains" in load(data)[0].notes


def without_test(data: Path) -> Path:
    for name in ("testA", "testB"):
        (data / name).rename(data / f"unused{name}")
    return data


def test_a_tenth_is_held_out_by_content_hash(data: Path) -> None:
    a, b = load(without_test(data))
    for side, seeds in ((a, range(30)), (b, range(100, 112))):
        held = [seed for seed in seeds if in_the_tenth(seed)] or [min(seeds, key=digest)]
        assert torch.equal(side.held_out, torch.stack([pixels(seed) for seed in held]))
        assert torch.equal(side.train, torch.stack([pixels(seed) for seed in seeds if seed not in held]))
        assert side.counts["kept"] + side.counts["held_out"] == side.counts["found"] == len(seeds)
        assert any(
            f"{len(held)} of {len(seeds)} images {'is' if len(held) == 1 else 'are'} held out" in note for note in side.notes
        )


def test_more_or_renamed_files_move_no_image_between_training_and_held_out(data: Path) -> None:
    a, _ = load(without_test(data))
    train, held = contents(a.train), contents(a.held_out)
    for path in list((data / "trainA").iterdir()):
        path.rename(path.with_name(f"{int(path.stem) * 7 % 31:02d}.png"))
    folder(data / "trainA", range(400, 440))
    more, _ = load(data)
    assert train < contents(more.train) and held < contents(more.held_out)


def in_the_tenth(seed: int) -> bool:
    return int(digest(seed)[:8], 16) % 10 == 0


@pytest.mark.parametrize(("says_so", "counts"), [(False, (2, 1)), (True, (1, 2))])
def test_of_few_images_one_is_held_out_and_one_is_trained_on(tmp_path: Path, says_so: bool, counts: tuple[int, int]) -> None:
    seeds = [seed for seed in range(99) if in_the_tenth(seed) is says_so][:3]
    a, _ = load(sides(tmp_path, trainA=seeds, trainB=[5001, 5002]))
    assert (a.counts["kept"], a.counts["held_out"]) == counts
    assert says_so or torch.equal(a.held_out, pixels(min(seeds, key=digest))[None])


def test_copies_of_one_image_are_not_enough(tmp_path: Path) -> None:
    sides(tmp_path, trainA=[1], trainB=[5001, 5002])
    (tmp_path / "trainA/copy.bmp").write_bytes(encoded(1, format="BMP"))
    with pytest.raises(DataError, match="domain A has 1 different usable image: at least 2 are needed"):
        load(tmp_path)


def test_at_most_so_many_held_out_are_read(data: Path) -> None:
    assert torch.equal(load(data, max_held_out=2)[0].held_out, torch.stack([pixels(200), pixels(201)]))


def test_max_images_is_a_seeded_choice_that_file_names_do_not_change(data: Path) -> None:
    first, b = load(data, max_images=12, seed=1)
    assert first.counts["kept"] == 12 and first.counts["not_chosen"] == 18 and b.counts["kept"] == 12
    assert contents(load(data, max_images=6, seed=1)[0].train) < contents(first.train)
    assert contents(load(data, max_images=12, seed=2)[0].train) != contents(first.train)
    for path in list((data / "trainA").iterdir()):
        path.rename(path.with_name(f"{int(path.stem) * 7 % 31:02d}.png"))
    assert contents(load(data, max_images=12, seed=1)[0].train) == contents(first.train)
    with pytest.raises(DataError, match="max_images is 0"):
        load(data, max_images=0)


@pytest.mark.parametrize("own_split", [True, False])
def test_with_max_images_no_more_are_decoded_than_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_split: bool
) -> None:
    for letter, start in (("A", 0), ("B", 1000)):
        folder(tmp_path / f"train{letter}", range(start, start + 200))
        for seed in range(start, start + 5):  # copies need no scan either
            (tmp_path / f"train{letter}/copy{seed}.png").write_bytes(encoded(seed))
        if own_split:
            folder(tmp_path / f"test{letter}", range(start + 500, start + 503))
    decoded, decode = [], images.decode

    def counted(*arguments: object, **options: object) -> object:
        decoded.append(1)
        return decode(*arguments, **options)

    monkeypatch.setattr(images, "decode", counted)
    a, b = load(tmp_path, max_images=10)
    assert a.counts["kept"] == b.counts["kept"] == 10 and a.counts["found"] == 205 and a.counts["duplicates"] == 5
    assert len(decoded) <= (2 * 13 if own_split else 2 * 60)  # one of ten is held out: the first may take some looking for
    for side in (a, b):
        counted_all = sum(side.counts[key] for key in ("unreadable", "tiny", "duplicates", "also_held_out", "not_chosen", "kept"))
        assert counted_all + (0 if own_split else side.counts["held_out"]) == 205


def test_equal_sides_cuts_the_larger_domain(data: Path) -> None:
    a, b = load(data, equal_sides=True)
    assert a.counts["kept"] == b.counts["kept"] == 12 and contents(a.train) == contents(load(data, max_images=12)[0].train)


@pytest.mark.parametrize("limit", [None, 10])
def test_images_that_do_not_fit_are_decoded_later(data: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
    cached, _ = load(data, max_images=limit)
    monkeypatch.setattr(loading, "CACHE_BYTES", 15 * 3 * 20 * 20)  # 15 images: neither all 42 nor 10 of each side
    a, _ = load(data, max_images=limit)
    assert isinstance(a.train, LazyImages)
    assert torch.equal(torch.stack([a.train[i] for i in range(len(a.train))]), cached.train)
    assert a.fingerprint == cached.fingerprint
    monkeypatch.setattr(loading, "CACHE_BYTES", 20 * 3 * 20 * 20)  # not all, but 10 of each
    again, _ = load(data, max_images=limit)
    assert isinstance(again.train, LazyImages if limit is None else torch.Tensor)
    assert torch.equal(torch.stack([again.train[i] for i in range(len(again.train))]), cached.train)


def test_a_file_that_vanishes_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "CACHE_BYTES", 0)
    a, _ = load(data)
    (data / "trainA/0004.png").unlink()
    with pytest.raises(DataError, match=r"0004\.png could be read at the start"):
        a.train[4]


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda data: (data / "trainA/0003.png").rename(data / "trainA/0003-b.png"), False),
        (lambda data: (data / "trainA/0003.png").write_bytes(encoded(3, format="BMP")), False),
        (lambda data: (data / "trainA/0003.png").rename(data / "trainA/9999.png"), True),  # another order
        (lambda data: (data / "trainA/0003.png").write_bytes(encoded(777)), True),
        (lambda data: (data / "testA/0201.png").unlink(), True),
    ],
)
def test_the_fingerprint_is_of_the_images_and_their_order(data: Path, change: Callable, differs: bool) -> None:
    before = load(data)[0].fingerprint
    change(data)
    assert (load(data)[0].fingerprint != before) is differs


def test_an_evaluation_that_reads_more_held_out_images_has_the_fingerprint_of_the_training(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading.Selection, "max_held_out", 2)
    fewer, more = load(data, max_held_out=2)[0], load(data, max_held_out=3)[0]
    assert [len(side.held_out) for side in (fewer, more)] == [2, 3] and fewer.fingerprint == more.fingerprint


_DARK = "A: the greatest value of its 2 images of 16 bits{} is {} of {}, so they are almost black: {}"


@pytest.mark.parametrize(
    ("peaks", "value_range", "note"),
    [
        ([4080, 3], None, _DARK.format("", "4,080", "65,535", "set the white value with --set value_range=0,4095")),
        ([1000, 3], None, _DARK.format("", "1,000", "65,535", "set the white value with --set value_range=0,1023")),
        ([3, 16000], None, _DARK.format("", "16,000", "65,535", "set the white value with --set value_range=0,16383")),
        ([4080, 3], (-1000, 60000), _DARK.format("", "4,080", "60,000", "set the white value with --set value_range=-1000,4095")),
        ([4080, 3], (0, 4095), None),
        ([65535, 3], None, None),
        ([None, None], None, None),
    ],
)
def test_dark_16_bit_images_are_noted_with_the_remedy(
    peaks: list[int | None], value_range: tuple[int, int] | None, note: str | None
) -> None:
    found = loading.notes_on_values([(peak, False) for peak in peaks], "A", value_range)
    assert found == ([note] if note else [])


def test_dark_16_bit_images_are_noted_once_and_a_range_sets_them(tmp_path: Path) -> None:
    scans(tmp_path / "trainA", 4080, format="TIFF")
    folder(tmp_path / "trainB", range(5))
    a, b = load(tmp_path, channels=1)
    assert [sum("16 bits" in note for note in domain.notes) for domain in (a, b)] == [1, 0]
    assert int(a.train.max()) <= 255 * 4080 // 65535 + 1
    bright = load(tmp_path, channels=1, value_range=(0, 4095))[0]
    assert int(bright.train.max()) > 200 and bright.fingerprint != a.fingerprint


def test_arrays_of_16_bits_are_read_warned_of_and_take_a_range(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4081, (8, 20, 20)).astype(np.uint16)
    np.savez(tmp_path / "trainA.npz", images=values)
    np.savez(tmp_path / "trainB.npz", np.random.default_rng(1).integers(0, 4081, (8, 20, 20, 3)).astype(np.uint16))
    a, b = load(tmp_path)
    for domain in (a, b):
        assert any("of 16 bits is 4,0" in note and "value_range=0,4095" in note for note in domain.notes)
    assert int(a.train.max()) <= 16
    assert all(int(domain.train.max()) > 240 for domain in load(tmp_path, value_range=(0, 4095)))
    alpha = np.array([[[0, 65535], [4095, 65535], [2000, 0]]], np.uint16)
    assert np.asarray(images.decode(alpha, 1, value_range=(0, 4095))).tolist() == [[0, 255, 255]]


def test_pairs_of_16_bits_are_warned_of_too(tmp_path: Path) -> None:
    scans(tmp_path / "trainA", 4080)
    scans(tmp_path / "trainB", 65_000)  # the darker half counts
    (side,) = load_domains(resolve_pairs(str(tmp_path), None, None), image_size=20, halves=True)
    assert any("of 16 bits is 4,080 of 65,535" in note for note in side.notes)


def deep(values: list[int]) -> bytes:
    """A PNG of 16 bits a channel in colour, 20 rows, as Pillow cannot write it."""
    row = b"\0" + np.repeat(np.array(values, ">u2"), 3).tobytes()
    return png(len(values), 20, (b"IDAT", zlib.compress(20 * row)), depth=16)


def test_colour_of_16_bits_is_read_by_its_high_byte_and_noted(tmp_path: Path) -> None:
    (tmp_path / "trainA").mkdir()
    for i in range(6):
        (tmp_path / "trainA" / f"{i}.png").write_bytes(deep([0, 257 * i, 4080] * 10))
    folder(tmp_path / "trainB", range(5))
    (note,) = [note for note in load(tmp_path)[0].notes if "16 bits" in note]
    assert "6 images of 16 bits in colour is 3,855 of 65,535" in note and "8 bits, 4,095 as white" in note
    with pytest.raises(images.ImageError, match="16 bits a channel in colour, where a value range cannot be used: save it in"):
        images.decode(deep([0, 4000] * 10), value_range=(0, 4095))
    assert images.decode(deep([0, 257 * 90, 65535])).tobytes()[:9] == bytes([0, 0, 0, 90, 90, 90, 255, 255, 255])


def test_one_grey_domain_is_noted(tmp_path: Path) -> None:
    (tmp_path / "trainA").mkdir()
    for i in range(4):
        picture(i, mode="L").save(tmp_path / f"trainA/{i}.png")
    folder(tmp_path / "trainB", range(10, 14))
    assert any("A is grey and B in colour: both are read with 3 channels" in note for note in load(tmp_path)[0].notes)
    assert not any("grey" in note for note in load(tmp_path, channels=1)[0].notes)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """30 x 20 px in domain A, squares in domain B."""
    folder(tmp_path / "trainA", range(6), (30, 20))
    folder(tmp_path / "trainB", range(10, 16))
    return tmp_path


@pytest.mark.parametrize(
    ("fit", "said"),
    [("crop", "centred squares are taken"), ("stretch", "distorted"), ("pad", "black at two sides"), ("random-crop", "random")],
)
def test_images_that_are_not_square_are_noted_once(wide: Path, fit: str, said: str) -> None:
    a, b = load(wide, fit=fit)
    (note,) = [note for note in a.notes if "not square" in note]
    assert "A: 6 of 6 images are not square" in note and said in note and "fit=crop|random-crop|stretch|pad" in note
    assert not any("not square" in note for note in b.notes)


def test_each_fit_makes_squares(wide: Path) -> None:
    image = images.decode(wide / "trainA/0000.png")
    x = np.asarray(image)
    made = {
        fit: np.asarray(images.to_pil(images.from_uint8(Reading(20, fit=fit).tensor(image))))
        for fit in ("crop", "stretch", "pad")
    }
    assert np.array_equal(made["crop"], x[:, 5:25])
    assert np.array_equal(made["stretch"], np.asarray(image.resize((20, 20), Image.Resampling.LANCZOS)))
    assert (made["pad"][:3] == 0).all() and (made["pad"][-3:] == 0).all() and made["pad"][5:15].any()
    with pytest.raises(DataError, match="fit='squash': give crop, random-crop, stretch, pad"):
        Reading(20, fit="squash")


@pytest.mark.parametrize("lazy", [False, True])
def test_random_crops_differ_from_epoch_to_epoch_and_repeat(wide: Path, monkeypatch: pytest.MonkeyPatch, lazy: bool) -> None:
    if lazy:
        monkeypatch.setattr(loading, "CACHE_BYTES", 0)

    def epochs() -> list[torch.Tensor]:
        sources = resolve(None, str(wide), None, None)
        batches = open_batches(sources, image_size=20, batch_size=5, seed=0, fit="random-crop")
        return [torch.cat([batch["a"] for batch in batches.epoch(epoch)]) for epoch in range(4)]

    drawn = epochs()
    assert all(torch.equal(a, b) for a, b in zip(drawn, epochs(), strict=True)) and drawn[0].shape == (5, 3, 20, 20)
    wholes = [np.asarray(images.decode(path)) for path in sorted((wide / "trainA").iterdir())]
    places = set()
    for x in torch.cat(drawn):
        square = x.permute(1, 2, 0).numpy()
        found = [left for whole in wholes for left in range(11) if np.array_equal(whole[:, left : left + 20], square)]
        assert len(found) == 1  # each is a square out of one of the images, at its full height
        places.update(found)
    assert len(places) > 3


def test_a_held_out_image_is_its_centre_with_random_crops(wide: Path) -> None:
    sides(wide, (30, 20), testA=[50], testB=[51])
    a, _ = load(wide, fit="random-crop")
    whole = np.asarray(images.decode(encoded(50, (30, 20))))
    assert np.array_equal(a.held_out[0].permute(1, 2, 0).numpy(), whole[:, 5:25])
