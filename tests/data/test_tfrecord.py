from __future__ import annotations

import pickle
import struct
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from cyclegan_hub.data import tfrecord
from cyclegan_hub.data.resolve import parse_source, resolve
from cyclegan_hub.data.sources import open_items, open_stream
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.data.tfrecord import TFRecordItems
from cyclegan_hub.imaging import images
from support.loading import load_domains, open_streams
from support.pictures import encoded, folder, parquet
from support.tfrecords import crc32c, delimited, example, masked, monet, record, shard, varint


def jpegs(seeds: Iterable[int]) -> Counter:
    """The pixels of the JPEG files of these seeds, each once."""
    decoded = (images.decode(encoded(seed, format="JPEG")) for seed in seeds)
    return Counter(images.to_uint8_tensor(image).numpy().tobytes() for image in decoded)


# The writer below is independent of the reader: its CRC is taken bit by bit.


def test_the_crc_is_the_published_one() -> None:
    # The check value of CRC-32C, and RFC 3720, appendix B.4: 32 bytes of zeros, of ones, ascending.
    assert tfrecord.crc32c(b"123456789") == crc32c(b"123456789") == 0xE3069283
    assert [tfrecord.crc32c(data) for data in (bytes(32), b"\xff" * 32, bytes(range(32)))] == [0x8A9136AA, 0x62A8AB43, 0x46DD794E]


def test_shards_are_one_source_of_their_jpegs_byte_for_byte(tmp_path: Path) -> None:
    paths = [shard(tmp_path / "0.tfrec", [1, 2, 3]), shard(tmp_path / "1.tfrec", []), shard(tmp_path / "2.tfrec", [4])]
    items = open_items(Files("TFRecord", tuple(paths)))
    assert [items.read(i) for i in range(len(items))] == [encoded(seed, format="JPEG") for seed in (1, 2, 3, 4)]
    assert items.name(0) == "byte 0 of 0.tfrec" and items.name(1) == f"byte {len(monet(1))} of 0.tfrec"
    assert items.name(3) == "byte 0 of 2.tfrec"


def test_items_go_to_a_worker_and_list_without_reading_the_images(tmp_path: Path) -> None:
    big = record(example(image=encoded(1, (300, 300), "PNG")))  # 270 kB of noise
    (tmp_path / "x.tfrec").write_bytes(big * 2)
    list(tfrecord.offsets(tmp_path / "x.tfrec"))  # the tables of the CRC are made once
    tracemalloc.start()
    assert list(tfrecord.offsets(tmp_path / "x.tfrec")) == [0, len(big)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(big) / 10
    items = pickle.loads(pickle.dumps(TFRecordItems.open(Files("TFRecord", (tmp_path / "x.tfrec",)))))
    assert items.read(1) == encoded(1, (300, 300), "PNG") and len(pickle.dumps(items)) < 2000


@pytest.mark.parametrize(
    ("features", "wanted"),
    [
        ({"image": b"webp", "image__encoded": encoded(2), "thumbnail": encoded(3)}, b"webp"),
        ({"image__encoded": encoded(1), "image_raw": b"raw", "image": 3}, encoded(1)),
        ({"thumbnail": encoded(2), "image_raw": encoded(1), "image__encoded": [encoded(3), encoded(4)]}, encoded(1)),
        ({"photo": encoded(1, format="JPEG"), "target": b"photo", "n": 5, "x": 0.5, "other": []}, encoded(1, format="JPEG")),
    ],
)
def test_the_feature_is_image_then_the_other_names_then_the_only_encoded_one(features: dict, wanted: bytes) -> None:
    assert tfrecord.image_in(example(**features)) == wanted
    assert tfrecord.image_in(example(**dict(reversed(features.items())))) == wanted


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({}, "no feature that is one JPEG or PNG, and none called image, image/encoded, image_raw; its features: none"),
        ({"target": b"monet", "n": 1, "x": 0.5}, "its features: 'target' (bytes), 'n' (int64), 'x' (float)"),
        ({"a": encoded(1), "b": encoded(2)}, "2 features that are a JPEG or PNG, and none called image"),
        ({"image": [encoded(1), encoded(2)]}, "no feature that is one JPEG or PNG"),
        ({"image": 3}, "its features: 'image' (int64)"),
    ],
)
def test_without_an_image_the_features_are_listed(tmp_path: Path, features: dict, words: str) -> None:
    (tmp_path / "x.tfrec").write_bytes(record(example(**features)) * 2)
    with pytest.raises(DataError) as error:
        TFRecordItems.open(Files("TFRecord", (tmp_path / "x.tfrec",)))
    assert str(error.value).startswith("x.tfrec, record at byte 0: ") and words in str(error.value)
    with pytest.raises(DataError, match=r"x\.tfrec, record at byte 0: "):
        open_stream(Files("TFRecord", (tmp_path / "x.tfrec",)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (monet(1)[:5], "x.tfrec is cut short in the record at byte 0"),
        (monet(1)[:-1], "x.tfrec is cut short: the record at byte 0 has"),
        (monet(1) + monet(2)[:300], f"x.tfrec is cut short: the record at byte {len(monet(1))} has"),
        (monet(1) + bytes(3), f"x.tfrec is cut short in the record at byte {len(monet(1))}"),
        (monet(1) + b"\0" + monet(2), f"x.tfrec: no record starts at byte {len(monet(1))}"),
        (struct.pack("<Q", 2**63) + masked(struct.pack("<Q", 2**63)) + bytes(50), "has 9,223,372,036,854,775,808 bytes"),
        (b"\x1f\x8b\x08\0" + bytes(60), "it is compressed: unpack it first"),
        (b"<html><body>not found</body></html>", "x.tfrec: no record starts at byte 0"),
    ],
)
def test_a_file_that_is_cut_short_or_no_tfrecord_is_one_line_with_name_and_byte(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "x.tfrec").write_bytes(data)
    with pytest.raises(DataError) as error:
        open_items(Files("TFRecord", (tmp_path / "x.tfrec",)))
    assert words in str(error.value) and "\n" not in str(error.value) and str(tmp_path) not in str(error.value)


def test_a_damaged_record_is_one_unreadable_image(tmp_path: Path) -> None:
    data = bytearray(monet(1) + monet(2) + monet(3))
    for start, size in ((0, len(monet(1))), (len(monet(1)), len(monet(2)))):
        data[start + size // 2] ^= 1
    (tmp_path / "x.tfrec").write_bytes(data)
    items = TFRecordItems.open(Files("TFRecord", (tmp_path / "x.tfrec",)))
    assert items.read(2) == encoded(3, format="JPEG")
    with pytest.raises(images.ImageError, match=rf"x\.tfrec, record at byte {len(monet(1))}: its CRC does not fit its data"):
        items.read(1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (delimited(1, delimited(1, b"")) * 20_000, "more than 10,000 fields"),
        (b"\x0a" + varint(2**62), "a field is longer than what is left"),
        (b"\x0a" + b"\xff" * 20, "a number does not end"),
        (b"\x0b\x0b", "a field of type 3"),
        (delimited(1, b"\x0a\x7f\x00"), "a field is longer than what is left"),
    ],
)
def test_a_malformed_message_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tfrecord.image_in(data)


def test_a_record_above_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tfrecord.MAX_RECORD_BYTES > images.MAX_BYTES
    path = shard(tmp_path / "x.tfrec", [1])
    monkeypatch.setattr(tfrecord, "MAX_RECORD_BYTES", 100)
    with pytest.raises(DataError, match=r"record at byte 0: it has [\d,]+ bytes, and at most 100 are read"):
        tfrecord.image_at(path, 0)


def test_a_source_is_one_file_or_a_folder_of_shards(tmp_path: Path) -> None:
    paths = tuple(shard(tmp_path / "monet_tfrec" / name, [1]) for name in ("monet00-60.tfrec", "monet04-60.tfrec"))
    (tmp_path / "monet_tfrec/readme.txt").write_text("no shard")
    assert parse_source(str(tmp_path / "monet_tfrec")).train == Files("TFRecord", paths)
    assert Files("TFRecord", paths).describe() == "TFRecord monet_tfrec/monet00-60.tfrec and 1 more"
    for name in ("x.tfrec", "x.tfrecord", "x.tfrecords", "x.tfrecord-00000-of-00002"):
        assert parse_source(str(shard(tmp_path / name, [1]))).train == Files("TFRecord", (tmp_path / name,))
    parquet(tmp_path / "monet_tfrec/x.parquet", [1])
    with pytest.raises(DataError, match="both Parquet and TFRecord shards"):
        parse_source(str(tmp_path / "monet_tfrec"))


def test_domains_of_shards_load_as_the_same_images_in_folders_do(tmp_path: Path) -> None:
    for letter, seeds in (("A", range(30)), ("B", range(100, 112))):
        shard(tmp_path / f"shards/train{letter}-0.tfrec", seeds[:7])
        shard(tmp_path / f"shards/train{letter}-1.tfrec", seeds[7:])
        (tmp_path / f"files/train{letter}").mkdir(parents=True)
        for seed in seeds:
            (tmp_path / f"files/train{letter}/{seed:03d}.jpg").write_bytes(encoded(seed, format="JPEG"))
    shards, files = (load_domains(resolve(None, str(tmp_path / name), None, None), image_size=16) for name in ("shards", "files"))
    for ours, theirs in zip(shards, files, strict=True):
        assert ours.fingerprint == theirs.fingerprint and ours.counts == theirs.counts
        assert ours.train.equal(theirs.train) and ours.held_out.equal(theirs.held_out)
    assert shards[0].counts["found"] == 30 and shards[0].train.shape[1:] == (3, 16, 16)


def test_shards_are_streamed_and_a_damaged_record_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for i in range(2):
        shard(tmp_path / f"trainA-{i}.tfrec", range(20 * i, 20 * i + 20))
    shard(tmp_path / "testA.tfrec", [200, 201])
    folder(tmp_path / "trainB", range(100, 120))
    folder(tmp_path / "testB", [300])
    path = tmp_path / "trainA-0.tfrec"
    bad, data = len(monet(0)), bytearray(path.read_bytes())
    data[bad + 100] ^= 1
    path.write_bytes(data)
    options = dict(image_size=20, batch_size=3, seed=0, steps_per_epoch=13)
    drawn = open_streams(resolve(None, str(tmp_path), None, None), **options)
    first = [x.numpy().tobytes() for batch in drawn.epoch(0) for x in batch["a"]]
    assert Counter(first) == jpegs(seed for seed in range(40) if seed != 1)
    state = drawn.state_dict()
    assert len(drawn.held_out[0]) == 2 and drawn.counts["a"]["unreadable"] == 1 and f"byte {bad}" in caplog.text
    again = open_streams(resolve(None, str(tmp_path), None, None), **options)
    again.load_state_dict(state)
    assert next(again.epoch(1))["a"].equal(next(drawn.epoch(1))["a"])
    path.write_bytes(data[:-1])
    with pytest.raises(DataError, match=r"trainA-0\.tfrec is cut short"):
        list(open_streams(resolve(None, str(tmp_path), None, None), **options).epoch(0))
