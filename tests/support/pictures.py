"""Small pictures and folders of them for the tests of data: noise of a seed, so that every seed is another picture."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.random  # now: numpy imports it when it is first used, which several threads must not do at once
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (20, 20), mode: str = "RGB") -> Image.Image:
    """Noise of (width, height) px."""
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def encoded(seed: int, size: tuple[int, int] = (20, 20), format: str = "PNG") -> bytes:
    """The bytes of a file of `picture`."""
    buffer = io.BytesIO()
    picture(seed, size).save(buffer, format)
    return buffer.getvalue()


def folder(path: Path, seeds: Iterable[int], size: tuple[int, int] = (20, 20)) -> Path:
    """A folder of PNG files, one for each seed."""
    path.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (path / f"{seed:04d}.png").write_bytes(encoded(seed, size))
    return path


def sides(path: Path, size: tuple[int, int] = (20, 20), **parts: Iterable[int]) -> Path:
    """A dataset: a folder for each of `parts`, such as trainA and testB."""
    for name, seeds in parts.items():
        folder(path / name, seeds, size)
    return path


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip or a tar, by its suffix, of files by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, data in files.items():
                member = zipfile.ZipInfo(name)
                member.filename = name  # with its backslashes, as old .NET and Windows programs write them
                packed.writestr(member, data)
    else:
        with tarfile.open(path, "w") as packed:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    return path


def parquet(path: Path, seeds: Iterable[int], **columns: list) -> Path:
    """A Parquet file with a column `image` as `datasets` writes it, and further columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": encoded(seed), "path": f"{seed:04d}.png"} for seed in seeds]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    pq.write_table(pa.table({"image": pa.array(cells, kind), **columns}), path)
    return path


def scans(path: Path, largest: int, count: int = 6, format: str = "PNG") -> Path:
    """Grey files of 16 bits with values up to `largest`."""
    path.mkdir(parents=True)
    for i in range(count):
        values = np.random.default_rng([i, largest]).integers(0, largest + 1, (20, 20)).astype(np.uint16)
        values[0, 0] = largest
        Image.fromarray(values).save(path / f"{i}.{format.lower()}")
    return path
