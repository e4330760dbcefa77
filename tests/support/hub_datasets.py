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

NAMES = ("flwrlabs/celeba", "cgarciae/cartoonset", "huggan/monet2photo")  # the others are like the last one

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


def _monet2photo(folder: Path) -> None:
    """imageA and imageB, train and test; the paintings of imageA are fewer, and repeated to match the photos."""
    for start, (split, count) in enumerate({"train": 20, "test": 6}.items()):
        paintings, photos = ([first + 100 * start + i for i in range(count)] for first in (1000, 2000))
        columns = {"imageA": _cells([paintings[i % 8] for i in range(count)]), "imageB": _cells(photos)}
        _write(folder / f"data/{split}-00000-of-00001.parquet", **columns)


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
                _monet2photo(own)
        api.upload_folder(repo_id=name, folder_path=own, repo_type="dataset", revision=revision)
