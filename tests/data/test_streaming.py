from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from cyclegan_hub.data import streaming
from cyclegan_hub.data.resolve import resolve, resolve_pairs
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.data.streaming import StreamingBatches
from cyclegan_hub.imaging import images
from support.loading import open_streams
from support.pictures import encoded, folder, parquet, picture, scans, sides


def open_stream(path: Path, a: str | None = None, **options) -> StreamingBatches:
    given = dict(image_size=20, batch_size=4, seed=0, steps_per_epoch=5) | options
    return open_streams(resolve(None, str(path), a, None), **given)


def keys(batches: Iterable[dict[str, torch.Tensor]], letter: str = "a") -> list[bytes]:
    """The images of one domain in some batches, in order."""
    return [x.numpy().tobytes() for batch in batches for x in batch[letter]]


def known(seeds: range) -> Counter:
    """The pictures of these seeds, each once."""
    return Counter(images.to_uint8_tensor(picture(seed)).numpy().tobytes() for seed in seeds)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 and 20 training images, in Parquet and as files; held out: 3 and 2."""
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0, raising=False)  # else 5 s a pass over Parquet
    parquet(tmp_path / "trainA.parquet", range(40))
    parquet(tmp_path / "testA.parquet", range(200, 203))
    return sides(tmp_path, trainB=range(100, 120), testB=range(300, 302))


def test_a_pass_shows_every_image_once_in_a_new_order(data: Path) -> None:
    stream = open_stream(data, steps_per_epoch=10)
    epochs = [list(stream.epoch(epoch)) for epoch in range(2)]
    shown = [keys(epoch) for epoch in epochs]
    assert Counter(shown[0]) == Counter(shown[1]) == known(range(40)) and shown[0] != shown[1]
    b = [key for epoch in epochs for key in keys(epoch, "b")]  # 80 images: 4 passes over 20
    assert all(Counter(b[i : i + 20]) == known(range(100, 120)) for i in range(0, 80, 20))
    assert stream.counts["a"] == dict(found=80, unreadable=0, tiny=0, kept=80, held_out=3)
    assert stream.steps_per_epoch == 10 and len(list(stream.epoch(2, start=7))) == 3


def test_shapes_and_held_out(data: Path) -> None:
    stream = open_stream(data, image_size=16, load_size=18, channels=1)
    batch = next(stream.epoch(0))
    assert batch["a"].shape == batch["b"].shape == (4, 1, 18, 18) and batch["a"].dtype == torch.uint8
    assert stream.held_out[0].shape == (3, 1, 16, 16) and stream.held_out[1].shape == (2, 1, 16, 16)


def test_the_seed_decides_and_domains_of_equal_length_are_not_paired(data: Path) -> None:
    for letter, first in (("A", 600), ("B", 700)):
        parquet(data / f"equal/train{letter}.parquet", range(first, first + 40))
        parquet(data / f"equal/test{letter}.parquet", range(first + 50, first + 52))

    def order(seed: int) -> list[list[int]]:
        batches = list(open_stream(data / "equal", steps_per_epoch=10, seed=seed).epoch(0))
        seen = {letter: list(known(range(first, first + 40))) for letter, first in (("a", 600), ("b", 700))}
        return [[seeds.index(key) for key in keys(batches, letter)] for letter, seeds in seen.items()]

    a, b = order(1)
    assert [a, b] == order(1) and a != b and a != order(2)[0]


def test_processes_read_disjoint_parts(data: Path) -> None:
    parts = [open_stream(data, rank=rank, world_size=2) for rank in range(2)]
    shown = [keys(part.epoch(0)) for part in parts]
    assert len(shown[0]) == len(shown[1]) == 20 and Counter(shown[0] + shown[1]) == known(range(40))


def test_without_a_held_out_split_the_head_is_held_out(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HELD_OUT_ROWS", 8)
    (data / "testA.parquet").unlink()
    stream = open_stream(data, steps_per_epoch=16)
    assert Counter(keys([{"a": stream.held_out[0]}])) == known(range(8))
    shown = Counter(keys(stream.epoch(0)))
    assert set(shown) == set(known(range(8, 40))) and set(shown.values()) == {2}


def test_a_saved_position_continues_with_the_rows_that_were_not_read(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streaming, "SHUFFLE_BUFFER", 2)
    stream = open_stream(data)
    before = set(keys(stream.epoch(0)))
    state = json.loads(json.dumps(stream.state_dict()))
    again = open_stream(data)
    again.load_state_dict(state)
    assert "refilled shuffle buffer" in caplog.text
    assert json.loads(json.dumps(again.state_dict())) == state
    assert again.counts["a"]["found"] == 20
    rest = keys(again.epoch(0))
    # What is left of the pass: the 20 rows not shown, less at most the 2 that waited in the buffer; then the next pass.
    assert set(rest[:18]).isdisjoint(before) and len(set(rest[:18])) == 18
    assert again.counts["a"]["found"] == 40 and again.state_dict()["a"]["passes"] == 1


def test_a_position_at_the_very_end_of_a_pass_continues_with_the_next(data: Path) -> None:
    stream = open_stream(data, steps_per_epoch=10)
    assert len(list(stream.epoch(0))) == 10
    state = stream.state_dict()
    again = open_stream(data, steps_per_epoch=10)
    again.load_state_dict(state)
    assert Counter(keys(again.epoch(1))) == known(range(40))


def test_the_state_of_other_data_is_refused(data: Path) -> None:
    state = open_stream(data).state_dict()
    (data / "testB/0300.png").write_bytes(encoded(999))
    with pytest.raises(DataError, match="domain B is not that of this run"):
        open_stream(data).load_state_dict(state)
    with pytest.raises(DataError, match="resume without streaming"):
        open_stream(data).load_state_dict({})


def test_unreadable_and_tiny_images_are_skipped_and_counted(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    (data / "trainB/broken.png").write_text("<html>")
    (data / "trainB/tiny.png").write_bytes(encoded(1, (15, 15)))
    stream = open_stream(data)
    shown = keys(stream.epoch(0), "b")
    list(stream.epoch(1))
    assert Counter(shown) == known(range(100, 120))
    assert stream.counts["b"]["unreadable"] >= 1 and stream.counts["b"]["tiny"] >= 1
    assert "broken.png" in caplog.text and "tiny.png" in caplog.text


def test_more_than_five_percent_unreadable_stops_after_a_hundred(data: Path) -> None:
    for i in range(2):
        (data / f"trainB/broken{i}.png").write_text("<html>")
    stream = open_stream(data, steps_per_epoch=20)  # 2 of 22 in every pass
    with pytest.raises(DataError, match=r"domain B: \d+ of 1\d\d images cannot be read.*broken"):
        list(stream.epoch(0)) + list(stream.epoch(1))
    assert stream.counts["b"]["found"] >= 100


def test_upscaling_is_logged_once(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    list(open_stream(data, image_size=24).epoch(0))
    assert sorted(record.message for record in caplog.records if "upscaled" in record.message) == [
        "A: images smaller than 24 px are upscaled",
        "B: images smaller than 24 px are upscaled",
    ]


def test_what_cannot_be_streamed_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="steps_per_epoch None"):
        open_stream(data, steps_per_epoch=None)
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 20, 20), np.uint8))
    with pytest.raises(DataError, match=r"x\.npz cannot be streamed: leave streaming out \(--set streaming=False\); it reads"):
        open_stream(data, a=str(tmp_path / "x.npz"))
    with pytest.raises(DataError, match=r"pairs in two places cannot be streamed: leave streaming out \(--set streaming=False"):
        open_streams(resolve_pairs(str(data), None, None), image_size=20, batch_size=1, seed=0, steps_per_epoch=2)
    parquet(data / "testA.parquet", range(300, 302))
    with pytest.raises(DataError, match="same held-out images"):
        open_stream(data)


def test_a_dataset_is_streamed_with_its_filter(data: Path) -> None:
    parquet(data / "faces/train.parquet", range(400, 410), Smiling=[i % 2 == 0 for i in range(10)])
    parquet(data / "faces/test.parquet", range(500, 504), Smiling=[True, False, True, True])
    stream = open_stream(data, a=f"hf:{data / 'faces'}?split=train&test_split=test&filter=Smiling=1")
    shown = Counter(keys(stream.epoch(0)))
    assert shown == Counter({key: 4 for key in known(range(400, 410, 2))}) and len(stream.held_out[0]) == 3
    with pytest.raises(DataError, match="no column 'Male'"):
        open_stream(data, a=f"hf:{data / 'faces'}?filter=Male=1")


def test_held_out_images_of_either_domain_are_not_trained_on(data: Path) -> None:
    """Nor are copies of them in another format: the pixels count."""
    folder(data / "trainA", range(40))
    (data / "trainA.parquet").unlink()
    for name, seed in (("own.bmp", 200), ("other.bmp", 300)):
        picture(seed).save(data / "trainA" / name)
    folder(data / "trainB", [200])
    stream = open_stream(data, steps_per_epoch=10)
    batches = list(stream.epoch(0))
    assert Counter(keys(batches)) == known(range(40)) and set(keys(batches, "b")) == set(known(range(100, 120)))
    assert stream.counts["a"]["also_held_out"] == 2 and stream.counts["b"]["also_held_out"] == 2  # in two passes


def test_a_stream_with_nothing_to_train_on_stops(data: Path) -> None:
    (data / "testA.parquet").unlink()
    parquet(data / "trainA.parquet", range(40))  # all of them within the head that is held out
    with pytest.raises(DataError, match="no image to train on"):
        next(open_stream(data).epoch(0))


def test_dark_16_bit_images_are_warned_of_in_a_stream_too(data: Path) -> None:
    scans(data / "scans", 4080, count=70)
    notes = open_stream(data, str(data / "scans"), channels=1).notes
    (note,) = [note for note in notes if "16 bits" in note]
    assert note.startswith("A: the held-out part: the greatest value") and "--set value_range=0,4095" in note
    stream = open_stream(data, str(data / "scans"), channels=1, value_range=(0, 4095))
    assert int(next(stream.epoch(0))["a"].max()) > 240
