"""Piles of files that Pillow alone cannot open: PNG with much metadata, HEIC."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclegan_hub.commands.convert import convert
from cyclegan_hub.data.resolve import resolve
from support.loading import load_domains
from support.pictures import encoded, picture

# --- files that Pillow alone cannot open, and `decode` can


def with_long_text(data: bytes) -> bytes:
    """A PNG with more metadata than Pillow takes."""
    body = b"zTXt" + b"k\0\0" + zlib.compress(b"a" * 3 * 2**20)
    return data[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def heic(seed: int) -> bytes:
    writer = pytest.importorskip("pillow_heif", reason="the tests' HEIC files need pillow-heif: pip install pillow-heif")
    pytest.importorskip("pi_heif")
    buffer = io.BytesIO()
    writer.from_pillow(picture(seed, (32, 32))).save(buffer, quality=90)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["png", "heic"])
def test_photographs_of_a_phone_and_pictures_of_tools_are_trained_on(kind: str, tmp_path: Path) -> None:
    for side in "AB":
        (tmp_path / f"train{side}").mkdir()
        for i in range(4):
            seed = i + 10 * (side == "B")
            data = heic(seed) if kind == "heic" else with_long_text(encoded(seed, (32, 32)))
            (tmp_path / f"train{side}" / f"{i}.{kind}").write_bytes(data)
    a, b = load_domains(resolve(None, str(tmp_path), None, None), image_size=16)
    assert a.counts["unreadable"] == b.counts["unreadable"] == 0 and a.counts["kept"] == 3
    parquet_file(tmp_path / "x.parquet", [path.read_bytes() for path in sorted((tmp_path / "trainA").iterdir())])
    assert convert(str(tmp_path / "x.parquet"), tmp_path / "x.zip") == 0
    assert zipfile.ZipFile(tmp_path / "x.zip").namelist() == [f"{i:06d}.{kind}" for i in range(4)]


def parquet_file(path: Path, cells: list[bytes]) -> None:
    pq.write_table(pa.table({"image": pa.array(cells, pa.binary())}), path)
