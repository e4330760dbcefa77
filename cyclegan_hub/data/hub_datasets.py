"""One split of a dataset on the Hub, or of a local folder that `datasets` reads: only the files of that split are fetched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cyclegan_hub.data import tables
from cyclegan_hub.data.files import Stream, TarItems, ZipItems
from cyclegan_hub.data.specs import DataError, DataSource, Pair
from cyclegan_hub.data.tables import TableItems, explained, image_stream, read_parquet
from cyclegan_hub.domains import HubSplit
from cyclegan_hub.errors import counted
from cyclegan_hub.files import write_atomic

if TYPE_CHECKING:
    import datasets

PARQUET_REVISION = "refs/convert/parquet"  # of most datasets on the Hub: a copy in Parquet that the Hub itself makes


@dataclass(frozen=True)
class Download:
    """The files of a split on the Hub, which other splits may share; sizes in bytes."""

    files: dict[str, int]  # size of each, by name in the dataset
    missing: frozenset[str]  # those that are not in the cache yet
    rows: int | None  # of the split, if the dataset states it

    @property
    def copied(self) -> int:
        """The size of the Arrow copy that `datasets` makes beside the files; 0 for Parquet that fits in memory."""
        whole = sum(self.files.values())
        in_place = whole <= tables.PARQUET_IN_MEMORY_BYTES and all(name.endswith(".parquet") for name in self.files)
        return 0 if in_place else whole


class HubItems(TableItems):
    """The images of one split of a dataset."""

    kind: ClassVar[str] = "hub"

    @classmethod
    def open(cls, source: HubSplit) -> Self | None:
        """Raises DataError if there is no such dataset, config, split or column, or the Hub cannot be reached."""
        with _explained(source):
            if remembered := _remembered(source):
                paths, classes = remembered
                return cls.of(read_parquet(paths, source), source, classes)
            found = _Split.find(source)
            if found is None:
                return None
            if not found.is_parquet:
                return cls.of(found.prepared().data, source, found.classes())
            paths, classes = found.local_files(), found.classes()
            if not source.is_local:
                _remember(source, paths, classes)
            return cls.of(read_parquet(paths, source), source, classes)

    @classmethod
    def stream(cls, source: HubSplit) -> Stream | None:
        with _explained(source):
            found = _Split.find(source)
            return None if found is None else image_stream(found.stream(), source, found.classes())


@dataclass
class _Split:
    """A split of a dataset whose files are known, of which none has been fetched."""

    source: HubSplit
    builder: datasets.DatasetBuilder
    names: list[str]  # of the splits that `source.split` is made of
    files: list[str]  # paths, or addresses hf://datasets/ID@COMMIT/NAME

    @classmethod
    def find(cls, source: HubSplit) -> Self | None:
        """None for a missing optional split. Raises DataError, which lists the splits, for any other."""
        import datasets

        from cyclegan_hub.hub import repository

        path = str(Path(source.dataset).expanduser().resolve()) if source.is_local else source.dataset
        revision = source.revision
        if not source.is_local:
            if not datasets.config.HF_HUB_OFFLINE:
                repository.check_reachable()
            elif cached := _cached(source):
                path, revision = str(cached), None
        try:
            builder = datasets.load_dataset_builder(path, name=source.config, data_dir=source.data_dir, revision=revision)
        except (datasets.exceptions.DatasetsError, ValueError):
            _check_data_dir(source)
            raise
        data_files = builder.config.data_files or {}
        splits = [str(name) for name in data_files or builder.info.splits or ()]
        wanted = [part.partition("[")[0].strip() for part in source.split.split("+")]
        if all(name in splits for name in wanted):
            files = [file for name in dict.fromkeys(wanted) for file in data_files.get(name, ())]
            if {"trainA", "trainB"} <= {cls._name(file).partition("/")[0] for file in files}:
                raise DataError(f"{source.describe()} holds both domains: add data_dir=trainA or data_dir=trainB")
            return cls(source, builder, wanted, files)
        folder = wanted[0]  # such as trainA/, which `datasets` takes for a part of the split "train"
        everything = [cls._name(file) for files in data_files.values() for file in files]
        if source.data_dir is None and any(name.startswith(f"{folder}/") for name in everything):
            return cls.find(replace(source, split=source.split.replace(folder, "train", 1), data_dir=folder))
        if source.optional:
            return None
        raise DataError(f"{source.dataset} has no split {source.split!r}: its splits are {', '.join(splits)}")

    @property
    def is_parquet(self) -> bool:
        """Whether the split as a whole is Parquet files, which are read without a copy."""
        return bool(self.files) and "[" not in self.source.split and all(file.endswith(".parquet") for file in self.files)

    def local_files(self) -> list[Path]:
        """The files of the split on this machine, fetched if need be."""
        remote = [self._name(file) for file in self.files if "://" in file]
        if not remote:
            return [Path(file) for file in self.files]
        from cyclegan_hub.hub import repository

        return repository.download(self.source.dataset, remote, self.source.revision)

    def prepared(self) -> Any:
        """The split as a `datasets.Dataset`; of the dataset's files only those of the split are fetched and copied."""
        import datasets

        config, names = self.builder.config, sorted(set(self.names))
        options = {}
        # Without files it is a copy in the cache of `datasets`, of which the files are not known any more.
        if self.files and set(names) != set(map(str, config.data_files)):
            config.data_files = type(config.data_files)({name: config.data_files[name] for name in names})
            # A folder beside that of the whole dataset; the splits that are left out are not missed.
            options = {"output_dir": f"{self.builder.cache_dir}-{'-'.join(names)}", "verification_mode": "no_checks"}
        try:
            self.builder.download_and_prepare(**options)
        except datasets.exceptions.DatasetGenerationError as error:
            packed = [self._name(file) for file in self.files if file.endswith((*ZipItems.extensions, *TarItems.extensions))]
            if not packed:
                raise
            raise DataError(
                f"{self.source.describe()}: `datasets` cannot read {packed[0]}: fetch it by `hf download --repo-type dataset "
                f"{self.source.dataset} {packed[0]} --local-dir .` and give --data {packed[0]}"
            ) from error
        return self.builder.as_dataset(split=self.source.split)

    def stream(self) -> Any:
        """The split as a `datasets.IterableDataset`."""
        if hasattr(self.builder.config, "decode_num_threads"):
            self.builder.config.decode_num_threads = 0  # else remote folders come decoded by `datasets`, without our limits
        return self.builder.as_streaming_dataset(split=self.source.split)

    def classes(self) -> dict[str, list[str]]:
        """The names of the classes of each column of class labels that the dataset's card declares."""
        features = self.builder.info.features or {}
        return {name: list(kind.names) for name, kind in features.items() if getattr(kind, "names", None)}

    def download(self) -> Download:
        """The sizes of the files and which are in the cache, from the Hub."""
        from cyclegan_hub.hub import repository

        remote = [file for file in self.files if "://" in file]
        names = [self._name(file) for file in remote]
        commit = remote[0].partition("@")[2].partition("/")[0] if remote else ""
        files = repository.dry_run(self.source.dataset, names, commit) if names else []
        found = {file.filename: file.file_size or 0 for file in files}
        missing = frozenset(file.filename for file in files if not file.is_cached)
        known = self.builder.info.splits or {}
        rows = [known[name].num_examples for name in self.names if name in known]
        whole = bool(rows) and len(rows) == len(self.names) and "[" not in self.source.split and not self.source.data_dir
        return Download(found, missing, sum(rows) if whole else None)

    @staticmethod
    def _name(file: str) -> str:
        """The name in the dataset of hf://datasets/ID@COMMIT/NAME."""
        return file.partition("@")[2].partition("/")[2]


def _check_data_dir(source: HubSplit) -> None:
    """Raises DataError, which lists the folders of the dataset, if that of `source` is not one of them."""
    import datasets

    from cyclegan_hub.hub import repository

    if source.is_local or source.data_dir is None or datasets.config.HF_HUB_OFFLINE:
        return
    if not repository.has_folder(source.dataset, source.data_dir, source.revision):
        folders = ", ".join(repository.folders(source.dataset, source.revision)) or "none"
        raise DataError(f"{source.dataset} has no folder {source.data_dir!r}: its folders are {folders}")


def _memory(source: HubSplit) -> Path:
    """Where it is noted which files a split was read from, so that they are found again without the Hub."""
    import datasets

    key = repr((source.dataset, source.revision, source.config, source.data_dir, source.split))
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    return Path(datasets.config.HF_DATASETS_CACHE, "cyclegan_hub", f"{name}.json")


def _remember(source: HubSplit, paths: Sequence[Path], classes: dict[str, list[str]]) -> None:
    note = _memory(source)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(note, json.dumps({"files": [str(path) for path in paths], "classes": classes}).encode())
    except OSError:
        pass  # a cache that may not be written: the Hub will be asked again


def _remembered(source: HubSplit) -> tuple[list[Path], dict[str, list[str]]] | None:
    """Files and names of classes of a split that was read before, where the Hub may not be asked; None without a note."""
    import datasets

    if source.is_local or not datasets.config.HF_HUB_OFFLINE:
        return None
    try:
        note = json.loads(_memory(source).read_text("utf-8"))
        paths = [Path(path) for path in note["files"]]
        return (paths, dict(note["classes"])) if paths and all(path.is_file() for path in paths) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _cached(source: HubSplit) -> Path | None:
    from cyclegan_hub.hub import repository

    folder = repository.cached_folder(source.dataset, source.revision)
    # A README alone, which inspecting a dataset fetches, is not a copy of it.
    return folder if folder and any(path.is_file() and path.suffix != ".md" for path in folder.rglob("*")) else None


@contextmanager
def _explained(source: HubSplit) -> Iterator[None]:
    """Turn what `datasets` and the Hub's client raise into a DataError with a remedy."""
    if source.is_local:
        with explained(source.describe()):
            yield
        return
    from datasets.exceptions import DatasetsError

    from cyclegan_hub.hub.errors import HUB_ERRORS, dataset_message

    try:
        yield
    except DataError:
        raise
    except (DatasetsError, ValueError, *HUB_ERRORS) as error:
        import datasets

        if "scripts are no longer supported" in str(error):  # RuntimeError of `datasets` from version 4 on
            raise DataError(
                f"dataset {source.dataset} is a script, which is never run: give the Parquet form that the Hub makes of it, "
                f"hf:{source.dataset}?revision={PARQUET_REVISION}"
            ) from error
        offline = bool(datasets.config.HF_HUB_OFFLINE)
        line = dataset_message(error, source.dataset, source.describe(), cached=_has_copy(source), offline=offline)
        raise DataError(line) from error


def _has_copy(source: HubSplit) -> bool:
    import datasets

    prepared = Path(datasets.config.HF_DATASETS_CACHE, source.dataset.replace("/", "___"))
    return prepared.is_dir() or _memory(source).is_file() or _cached(source) is not None


# ------------------------------------------------------------------------------------------ sizes before a download


def download_lines(sources: Iterable[DataSource]) -> list[str]:
    """What opening these sources would fetch, a line for each split on the Hub and one on all of them; [] if that is nothing.

    Raises DataError as opening them does.
    """
    named = [part for source in sources for part in (source.train, source.held_out)]
    single = [one for part in named for one in ((part.a, part.b) if isinstance(part, Pair) else (part,))]
    missing: dict[tuple[str, str | None, str], int] = {}  # sizes: each file once, even if several splits share it
    copied, lines = 0, []
    for split in dict.fromkeys(one for one in single if isinstance(one, HubSplit) and not one.is_local):
        with _explained(split):
            found = _Split.find(split)
            download = found.download() if found else None
        if download is None:
            continue
        missing |= {(split.dataset, split.revision, name): download.files[name] for name in download.missing}
        copied += download.copied
        rows = f", {counted(download.rows, 'row')}" if download.rows is not None else ""
        there = " (in the cache)" if not download.missing else ""
        size = megabytes(sum(download.files.values()))
        lines.append(f"{split.describe()}: {counted(len(download.files), 'file')}, {size}{rows}{there}")
    fetched = sum(missing.values())
    disk = f"disk needed for the images: {megabytes(fetched + copied)}"
    return [*lines, f"to download: {megabytes(fetched)}; {disk}"] if fetched else []


def megabytes(size: int) -> str:
    """A size in bytes as a person reads it, in powers of ten as the Hub shows it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
