"""Batches of images that are too many to be read first: endless streams, shuffled in a buffer."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cyclegan_hub.data.files import EmptyCellError, cell_bytes, cell_name
from cyclegan_hub.data.load import MAX_UNREADABLE, MIN_SIDE, ImageFacts, notes_on_values, peaks_of
from cyclegan_hub.data.reading import Batching, NoFaceError, Reading, random_square
from cyclegan_hub.data.sources import open_stream
from cyclegan_hub.data.specs import DataError, DataSource, Pair
from cyclegan_hub.errors import counted
from cyclegan_hub.imaging import images

SHUFFLE_BUFFER = 1000  # rows
HELD_OUT_ROWS = 64  # first rows, held out if the source has no held-out split
MAX_HELD_OUT = 1000  # rows of a held-out split at most
LEAST_READ = 100  # rows to be read before too many unreadable ones are an error

logger = logging.getLogger(__name__)


class DomainStream:
    """One domain as an endless stream of uint8 tensors (C, S, S) with S the load size.

    `held_out`, `fingerprint`, `counts` and `notes` are like those of `DomainImages`, but `counts` holds the rows read so far, and
    the fingerprint is made of the source's name, without its parent folders, and of the held-out images. Copies of held-out
    images are left out; other duplicates are not, because the images seen so far are not remembered.
    """

    def __init__(self, source: DataSource, label: str, reading: Reading, seed: int, rank: int, world_size: int) -> None:
        if isinstance(source.train, Pair) or isinstance(source.held_out, Pair):
            raise DataError(
                f"{source.describe()}: pairs in two places cannot be streamed: leave streaming out (--set streaming=False)"
            )
        from datasets.distributed import split_dataset_by_node

        self.label, self._reading, self._seed = label, reading, seed
        train = open_stream(source.train)
        test = open_stream(source.held_out) if source.held_out else None
        if train is None:
            raise DataError(f"domain {label}: there is nothing at {source.train.describe()}")
        stream, self._column = train.rows, train.column
        head, column = (stream.take(HELD_OUT_ROWS), self._column) if test is None else (test.rows.take(MAX_HELD_OUT), test.column)
        names = ("found", "unreadable", "tiny", *(("no_face",) if reading.eyes else ()), "kept", "held_out")
        self.counts = dict.fromkeys(names, 0)
        self.held_out, facts = self._read_held_out(head, column)
        self.held_out_hashes = {image.hash for image in facts}  # of what is not trained on; `StreamingBatches` adds the other's
        self.counts["held_out"] = len(self.held_out)
        identity_lines = [source.train.identity(), *(image.hash for image in facts)]
        self.fingerprint = hashlib.blake2b("\n".join(identity_lines).encode(errors="surrogateescape"), digest_size=16).hexdigest()
        self.notes = [f"{label}: streaming from {source.describe()}, {counted(len(self.held_out))} held out"]
        on_values = notes_on_values(peaks_of(facts), "the held-out part", reading.value_range)
        self.notes += [f"{label}: {note}" for note in (*train.notes, *on_values)]
        rest = stream.skip(HELD_OUT_ROWS) if test is None else stream
        shuffled = rest.shuffle(seed=seed, buffer_size=SHUFFLE_BUFFER)
        self._stream = split_dataset_by_node(shuffled, rank=rank, world_size=world_size)
        self._passes = 0
        self._loaded_position: dict[str, Any] | None = None  # the loaded position, until the first row after it is read
        self._images = self._endless()
        self._warned: set[str] = set()  # warnings that were given: each is given once

    def _read_held_out(self, rows: Any, column: str) -> tuple[Tensor, list[ImageFacts]]:
        found: list[Tensor] = []
        facts: list[ImageFacts] = []
        reading = self._reading.held_out()
        for number, row in enumerate(rows):
            try:
                image, name = self._decode(row[column], number)
                of_image = ImageFacts.of(number, image, cell_bytes(row[column]))
                found.append(reading.tensor(image, of_image.hash, name))
            except (images.ImageError, OSError) as error:
                logger.warning("%s: skipped a held-out image: %s", self.label, error)
                continue
            facts.append(of_image)
        if not found:
            raise DataError(f"domain {self.label}: the held-out part of the stream has no image that can be used")
        return torch.stack(found), facts

    def _decode(self, cell: Any, row: int) -> tuple[Image.Image, str]:
        """Returns (image, its name). Raises images.ImageError if it is unreadable or tiny."""
        name = cell_name(cell, f"image {row} of the stream")
        try:
            data = cell_bytes(cell)
        except images.ImageError as error:
            raise type(error)(f"{name}: {error}") from None
        image = self._reading.decode(data, name)
        if min(image.size) < MIN_SIDE:
            raise _TinyError(f"{name} has a side below {MIN_SIDE} px")
        return image, name

    def _endless(self) -> Iterator[Tensor]:
        """Training images, uint8 (C, S, S), in pass after pass over the stream, each in a new order."""
        empty_passes = 0
        while empty_passes < 2:  # the first may be the end of a pass, where a state was saved
            self._stream.set_epoch(self._passes)
            kept = self.counts["kept"]
            for row in self._stream:
                self._loaded_position = None
                if (image := self._use(row[self._column])) is not None:
                    yield image
            self._loaded_position = None
            empty_passes = empty_passes + 1 if self.counts["kept"] == kept else 0
            self._passes += 1
        raise DataError(f"domain {self.label}: the stream has no image to train on for this process")

    def _use(self, cell: Any) -> Tensor | None:
        """A row's training image, uint8 (C, S, S); None if it had to be skipped."""
        self.counts["found"] += 1
        try:
            image, name = self._decode(cell, self.counts["found"] - 1)
            if images.content_hash(image) in self.held_out_hashes:
                self.counts["also_held_out"] = self.counts.get("also_held_out", 0) + 1
                return None
            x = self._reading.tensor(image, name=name)
        except (images.ImageError, OSError) as error:
            self._skip(error)
            return None
        if min(image.size) < self._reading.image_size:
            self._warn_once(f"images smaller than {self._reading.image_size} px are upscaled")
        if image.width != image.height and self._reading.eyes is None:
            self._warn_once(f"images that are not square are made so with fit={self._reading.fit}")
        self.counts["kept"] += 1
        if self._reading.crops_at_random:
            x = random_square(x, self._reading.size, np.random.default_rng([self._seed, self.counts["found"]]))
        return x

    def _warn_once(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            logger.warning("%s: %s", self.label, line)

    def _skip(self, error: Exception) -> None:
        kinds = {_TinyError: "tiny", NoFaceError: "no_face", EmptyCellError: "empty"}
        kind = next((kind for of, kind in kinds.items() if isinstance(error, of)), "unreadable")
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= 10:
            logger.warning("%s: skipped: %s", self.label, error)
        broken, read = self.counts["unreadable"], self.counts["found"]
        if read >= LEAST_READ and broken > MAX_UNREADABLE * read:
            raise DataError(f"domain {self.label}: {broken} of {counted(read)} cannot be read, the last: {error}")

    def take(self, count: int) -> Tensor:
        """The next `count` images: uint8 (count, C, S, S)."""
        return torch.stack([next(self._images) for _ in range(count)])

    def state_dict(self) -> dict[str, Any]:
        """The position in the stream, in plain JSON values."""
        position = self._stream.state_dict() if self._loaded_position is None else self._loaded_position
        return {"fingerprint": self.fingerprint, "passes": self._passes, "counts": dict(self.counts), "position": position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues after the last row that was read when `state` was saved; the shuffle buffer is filled again from there.

        Rows that were waiting in the buffer are left out until the next pass. Raises DataError for the state of other images.
        """
        if state["fingerprint"] != self.fingerprint:
            raise DataError(f"domain {self.label} is not that of this run: its source or its held-out images have changed")
        self.counts.update(state["counts"])  # in place, because StreamingBatches.counts is the same dict
        self._passes, self._loaded_position = state["passes"], state["position"]
        self._stream.load_state_dict(state["position"])
        self._images = self._endless()
        logger.warning("%s: resumed after %d images, with a refilled shuffle buffer", self.label, self.counts["found"])


class _TinyError(images.ImageError):
    """An image with a side below MIN_SIDE px: skipped, but not counted as unreadable."""


class StreamingBatches:
    """Endless batches of two independent streams, or of one; used like `batches.UnpairedBatches`.

    Every process reads its own part of each stream, and saves its own position (`state_dict`). An epoch is `steps_per_epoch`
    steps, whatever the length of a pass. After a pass over Parquet `datasets` waits 5 s for Arrow's threads.

    Raises DataError without `steps_per_epoch`, for npz, for an empty stream, for domains whose held-out images are the same, and
    while iterating when more than 5 % of at least 100 images were unreadable.
    """

    def __init__(self, sources: Sequence[DataSource], readings: Sequence[Reading], batching: Batching, seed: int) -> None:
        steps, self.batch_size = batching.steps_per_epoch, batching.batch_size
        if steps is None or steps < 1 or self.batch_size < 1:
            raise DataError(
                f"streaming with steps_per_epoch {steps} and batch_size {self.batch_size}: both must be given, at least 1, "
                "because the length of a stream is not known"
            )
        # Seeds of their own: with one, two streams of equal length would pair their images up in every pass.
        self.domains = {
            key: DomainStream(source, key.upper(), reading, 2 * seed + i, batching.rank, batching.world_size)
            for i, (key, source, reading) in enumerate(zip("ab"[: len(sources)], sources, readings, strict=True))
        }
        self.held_out = tuple(domain.held_out for domain in self.domains.values())
        held_out_hashes = set[str]().union(*(domain.held_out_hashes for domain in self.domains.values()))
        for domain in self.domains.values():
            domain.held_out_hashes = held_out_hashes
        if len(self.held_out) == 2 and torch.equal(*self.held_out):
            raise DataError("both domains hold the same held-out images: give two different sets of images")
        self.steps_per_epoch = steps
        self.fingerprints = {key: domain.fingerprint for key, domain in self.domains.items()}
        self.counts = {key: domain.counts for key, domain in self.domains.items()}
        self.notes = [note for domain in self.domains.values() for note in domain.notes]
        self.landmarks = readings[0].landmarks

    def epoch(self, epoch: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        """The next `steps_per_epoch - start` batches: {"a": uint8 (B, C, S, S), "b": uint8 (B, C, S, S)}.

        They continue after the last batch, or after the loaded state, whatever the number `epoch`: a stream only goes forward.
        """
        for _ in range(start, self.steps_per_epoch):
            yield {key: domain.take(self.batch_size) for key, domain in self.domains.items()}

    def state_dict(self) -> dict[str, Any]:
        """The position of each domain for this process, in plain JSON values."""
        return {key: domain.state_dict() for key, domain in self.domains.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved position. Raises DataError for the state of a run without streaming, or of other sources."""
        if set(state) != set(self.domains):
            raise DataError("the saved position is not that of a streaming run: resume without streaming, or start a new run")
        for key, domain in self.domains.items():
            domain.load_state_dict(state[key])
