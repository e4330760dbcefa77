"""The data sets of `domains.py` as public pages describe them, in small: configs, columns, splits and folders.

What is not known of the real ones, such as how their files are called, is chosen here and nothing to rely on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from support.hub_client import api
from support.pictures import encoded

PAINTERS = tuple(f"huggan/{name}2photo" for name in ("monet", "vangogh", "cezanne", "ukiyoe"))
NAMES = ("flwrlabs/celeba", "huggan/selfie2anime", "cgarciae/cartoonset", *PAINTERS)

SIZE = (40, 44)  # px, so that images have to be made square
CONFIG = "img_align+identity+attr"
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def _cells(seeds: Iterable[int]) -> pa.Array:
    return pa.array([{"bytes": encoded(seed, SIZE), "path": f"{seed}.png"} for seed in seeds], _IMAGE)


def _write(path: Path, **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def _celeba(folder: Path) -> None:
    """One config; train, valid and test; an image and booleans."""
    for start, (split, count) in enumerate({"train": 24, "valid": 6, "test": 6}.items()):
        seeds = range(100 * start, 100 * start + count)
        columns = {"Smiling": [seed % 2 == 0 for seed in seeds], "Male": [seed % 3 == 0 for seed in seeds]}
        _write(folder / CONFIG / f"{split}-00000-of-00001.parquet", image=_cells(seeds), celeb_id=list(seeds), **columns)
    files = "".join(f"  - split: {split}\n    path: {CONFIG}/{split}-*\n" for split in ("train", "valid", "test"))
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: {CONFIG}\n  data_files:\n{files}---\n")


def _two_columns(folder: Path, repeated: bool) -> None:
    """imageA and imageB, train and test; where the paintings of imageA are fewer, they are repeated to match the photos."""
    for start, (split, count) in enumerate({"train": 20, "test": 6}.items()):
        first = [1000 + 100 * start + (i % 8 if repeated else i) for i in range(count)]
        second = [2000 + 100 * start + i for i in range(count)]
        _write(folder / f"data/{split}-00000-of-00001.parquet", imageA=_cells(first), imageB=_cells(second))


def _cartoonset(folder: Path) -> None:
    """Four folders, no card, one split; the images are plain bytes in a column `img_bytes`."""
    for start, (name, count) in enumerate({"10k": 20, "10k+features": 20, "100k": 40, "100k+features": 40}.items()):
        seeds = range(3000 + 100 * start, 3000 + 100 * start + count)
        _write(folder / name / "train/0000.parquet", img_bytes=[encoded(seed, SIZE) for seed in seeds])


def publish(folder: Path) -> None:
    """Put all of them on the local Hub."""
    for name in NAMES:
        own = folder / name
        own.mkdir(parents=True)
        api.create_repo(name, repo_type="dataset")
        revision = "main"
        match name.split("/")[1]:
            case "celeba":
                _celeba(own)
            case "cartoonset":
                _cartoonset(own)
                revision = "refs/convert/parquet"
                api.create_branch(name, branch=revision, repo_type="dataset")
            case _:
                _two_columns(own, repeated=name in PAINTERS)
        api.upload_folder(repo_id=name, folder_path=own, repo_type="dataset", revision=revision)
