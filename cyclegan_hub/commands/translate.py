"""Translates a folder or a zip of images by a published model, in one process or several.

The output folder itself shows the progress: a result appears under its name only when it is complete. The same command again
makes the missing results, and those whose input was replaced in the meantime.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from tqdm import tqdm

from cyclegan_hub.checkpoints import load
from cyclegan_hub.data.files import ArchiveItems, FolderItems, RawImages, find_images, is_image_name, order
from cyclegan_hub.data.sources import source_of_file
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError, counted
from cyclegan_hub.files import Format, atomic_path, remove_leftover, result_names, write_atomic
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.imaging.decoding import IMAGE_ENDINGS, ImageError, has_several_frames
from cyclegan_hub.models.cycle_generator import Direction
from cyclegan_hub.models.inference import optimize_for_cpu
from cyclegan_hub.models.onnx import OnnxGenerator, OnnxSizeWarning
from cyclegan_hub.models.photograph import DEFAULT, FaceNotFoundWarning, Options
from cyclegan_hub.models.protocols import Translator
from cyclegan_hub.models.translate_many import Done, Skipped, ahead, check_options, encode, translate_files

NOTED = (FaceNotFoundWarning, OnnxSizeWarning)
SUBMISSION = (7_000, 10_000)  # images that Kaggle's "I'm Something of a Painter Myself" takes


def translate(
    source: str,
    images: Path,
    out: Path,
    *,
    options: Options = DEFAULT,
    direction: Direction | None = None,
    epoch: int | None = None,
    batch_size: int = 8,
    resolution: int | Literal["original"] | None = None,
    square: bool = False,
    format: Format = "png",
    zipped: bool = False,
    submission: bool = False,
) -> int:
    """Translates every image of `images` into the folder `out`, or the zip `out` if `zipped`; 0, or 1 if some were skipped.

    `images` is a folder (at any depth), a .zip or one image; `options`, `resolution`, `square` and `batch_size` are those of
    `translate_files`. With several processes (environment variables WORLD_SIZE and
    RANK) each takes every WORLD_SIZE-th image. The last one to finish makes the zip and prints the summary; only it may return
    1, because a launcher stops all processes when one fails. `submission` prints a warning if the competition does not take
    this number of images. Raises ValueError or OSError for a mistake, and if `out` holds other files, before anything is written.
    """
    rank, world = _number("RANK", 0), _number("WORLD_SIZE", 1)
    if rank >= world:
        raise UserError(f"RANK={rank} and WORLD_SIZE={world}: ranks count from 0 to {world - 1}")
    images, out = images.expanduser().resolve(), out.expanduser().resolve()
    _check_places(images, out, zipped)
    results = Results(out, zipped, rank, world)
    items, wanted = _open(images, (results.work, out))
    if rank == 0:
        for note in items.notes:
            print(note, file=sys.stderr)
    names = [items.name(i) for i in range(len(items))]
    index = {name: i for i, name in enumerate(names)}
    # "": no result, because the path leads out of its folder or is too long
    result_of = {name: result or "" for name, result in zip(names, result_names(names, format), strict=True) if name in wanted}
    model: Any = load_translator(source, epoch)
    direction = cast(Direction, direction or model.directions[0])
    eyes, skip = check_options(model, direction, options, resolution, square, batch_size)
    record = {"images of": _place(images), **model_record(model, direction, resolution), "square": square, "format": format}
    record |= options_record(options, eyes, skip) | {"ensemble": model.ensembles(direction, options.ensemble)}
    results.claim(record, [result for result in result_of.values() if result])
    share = list(result_of)[rank::world]
    results.clear({Path(result_of[name]).name for name in share})

    skipped = {name: "its path leads out of its folder or is too long" for name in share if not result_of[name]}
    digests = {name: _digest(items, index[name]) for name in share if result_of[name] and results.has(result_of[name])}
    todo = [name for name in share if result_of[name] and not results.is_of(result_of[name], digests.get(name, ""))]
    if replaced := [result_of[name] for name in todo if name in digests]:
        results.drop(replaced)
        changed = counted(len(replaced), verb="have")
        print(f"{changed} changed since the last translation and will be translated again", file=sys.stderr)
    before = len(share) - len(skipped) - len(todo)
    several: list[str] = []  # names of animations and of files with several pages
    sources = ((name, partial(_read, items, index[name], several)) for name in todo)
    outcomes: Iterator[Done | Skipped] = translate_files(
        optimize_for_cpu(model), sources, direction, options=options, resolution=resolution, square=square, batch_size=batch_size
    )

    def save(one: Done | Skipped) -> Done | Skipped:
        if isinstance(one, Done):
            results.write(result_of[one.name], encode(one.image, format), _digest(items, index[one.name]))
        return one

    # tqdm shows no bar where stderr is not a terminal; of several processes only the first shows one.
    done = before + len(skipped)
    bar = tqdm(total=len(share), initial=done, desc="translating", unit=" images", disable=rank > 0 or None)
    with _warnings_as_lines(), bar:
        for name, reason in skipped.items():
            tqdm.write(f"skipped {shown(name)}: {reason}", file=sys.stderr)
        for one in ahead(save, outcomes):
            bar.update()
            if isinstance(one, Skipped):
                skipped[one.name] = one.reason
                tqdm.write(f"skipped {shown(one.name)}: {one.reason}", file=sys.stderr)
    if several:
        print(f"first frame or page translated of {len(several):,}: {shown(min(several))} …", file=sys.stderr)
    results.note_skipped(list(skipped))
    return _finish(results, result_of, before, submission)


def _read(items: RawImages, index: int, several: list[str]) -> Any:
    """An image as `translate_files` takes it. The name of one with several frames or pages is added to `several`."""
    raw = items.read(index)
    if isinstance(raw, bytes | Path) and has_several_frames(raw):
        several.append(items.name(index))
    return raw


def _digest(items: RawImages, index: int) -> str:
    """BLAKE2b (32 hex digits) of an image's file or pixels; "" if it cannot be read, which its translation reports."""
    try:
        return hashlib.blake2b(items.stored(index), digest_size=16).hexdigest()
    except (ImageError, OSError):
        return ""


def _finish(results: Results, result_of: dict[str, str], before: int, submission: bool) -> int:
    """Completes the results and prints the summary, unless another process is still working."""
    results.refresh()
    there = [result for result in result_of.values() if result and results.has(result)]
    missing = {name for name, result in result_of.items() if not result or not results.has(result)}
    if not missing <= results.skipped_names():
        print(f"one of {results.world} processes has done its images; the last to finish completes {results.out.name}")
        return 0
    results.complete(there)
    already = f" ({before:,} of them earlier)" if before and results.world == 1 else ""
    left_out = f", {len(missing):,} skipped" if missing else ""
    where = f"{'in' if there else 'nothing written to'} {shown(str(results.out))}"
    print(f"{counted(len(there))} translated{already}{left_out}: {where}")
    if submission and not SUBMISSION[0] <= len(there) <= SUBMISSION[1]:
        print(
            f"warning: the competition takes {SUBMISSION[0]:,} to {SUBMISSION[1]:,} images, these are {len(there):,}",
            file=sys.stderr,
        )
    return 1 if missing else 0


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Prints each warning of `NOTED` (no face found; an image translated in one piece or smaller) above the progress bar."""
    with warnings.catch_warnings():
        for noted in NOTED:
            warnings.simplefilter("always", noted)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *more: Any, **rest: Any) -> None:
            if issubclass(category, NOTED):
                tqdm.write(f"note: {shown(str(message))}", file=sys.stderr)
            else:
                usual(message, category, *more, **rest)

        warnings.showwarning = show
        yield


def _check_places(images: Path, out: Path, zipped: bool) -> None:
    if not images.exists():
        raise DataError(f"{images}: there is no such file or folder")
    if out == images:
        raise DataError(f"{out} is what is to be translated: give another name for the results")
    if zipped and (out.suffix.lower() != ".zip" or out.is_dir()):
        raise DataError(f"{out}: with --zip give a file name that ends in .zip")
    if not zipped and out.suffix.lower() == ".zip":
        raise DataError(f"{out}: add --zip, or give a folder")
    if not zipped and (out.is_file() or (is_image_name(out.name) and not out.exists())):
        raise DataError(f"{out}: give the folder that the results are to be in")


def _open(images: Path, without: Sequence[Path]) -> tuple[RawImages, set[str]]:
    """Returns (images of a folder or an archive, names of those to translate); folders in `without` (our results) are left out.

    If `images` is one image, the others in its folder are listed too, so that its result is named as if all were translated.
    """
    archive = source_of_file(images)
    items: RawImages
    if images.is_dir():
        items = FolderItems.open(Files(FolderItems.kind, (images,))).without(without)
    elif archive is not None and issubclass(archive, ArchiveItems):
        items = archive.open(Files(archive.kind, (images,)))
    else:
        files = [path.name for path in images.parent.iterdir() if path.is_file()]
        beside = find_images(files, lambda name: (images.parent / name).open("rb"))
        return FolderItems(images.parent, sorted({*beside.names, images.name}, key=order)), {images.name}
    if not items:
        passed = "".join(f"; {note}" for note in items.notes)
        raise DataError(f"{images} holds no image; looked for {', '.join(IMAGE_ENDINGS)} at any depth{passed}")
    return items, {items.name(i) for i in range(len(items))}


def load_translator(source: str, epoch: int | None) -> Translator | OnnxGenerator:
    """The model of a folder or repository on this process's device, or of an ONNX file. Raises ModelError for a DCGAN."""
    if source.lower().endswith(".onnx"):
        if epoch is not None:
            raise ModelError(f"{source} holds one epoch: leave --epoch out")
        model: Any = OnnxGenerator(source)
    else:
        model = load(source, epoch)
    if not model.takes_pictures:
        raise ModelError(f"{source} generates {model.labels[0]} images and translates none: give a model that translates")
    return cast(Translator | OnnxGenerator, model if isinstance(model, OnnxGenerator) else model.to(_device()))


def model_record(
    model: Translator | OnnxGenerator, direction: Direction, resolution: int | Literal["original"] | None
) -> dict[str, Any]:
    """What results depend on of the model, as JSON takes it."""
    weights = hashlib.blake2b(digest_size=8)
    if isinstance(model, OnnxGenerator):
        weights.update(model.path.read_bytes())
    else:
        for name, tensor in model.network(direction).state_dict().items():
            weights.update(name.encode())
            weights.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return {
        "direction": direction,
        "epoch": model.epoch,
        "weights": weights.hexdigest(),
        "resolution": resolution or model.translate_size,
    }


def _place(images: Path) -> str:
    """The folder or archive of the images; no folder above it is named."""
    archive = source_of_file(images) if images.is_file() else None
    place = images if archive or images.is_dir() else images.parent
    return Files(archive.kind if archive else FolderItems.kind, (place,)).describe()


def _number(name: str, default: int) -> int:
    """A number that a launcher (torchrun, accelerate) sets in the environment of each process."""
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise UserError(f"{name}={text!r}: a launcher sets a whole number; unset it to work in one process")
    return int(text)


def _device() -> torch.device:
    """The accelerator of this process, if there is one and `accelerate launch --cpu` does not forbid it."""
    if not torch.accelerator.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        return torch.device("cpu")
    kind = torch.accelerator.current_accelerator()
    return torch.device(kind.type if kind else "cpu", _number("LOCAL_RANK", 0) % torch.accelerator.device_count())


def shown(name: str) -> str:
    """A name without characters that a terminal should not print."""
    return name if name.isprintable() else repr(name)


# The results on disk: a folder or a zip, written by processes that may be killed at any moment.

# In records without these keys.
BEFORE = {"face": "none", "whole": False, "strength": 1.0, "detail": False, "eyes": None, "ensemble": False}


def options_record(options: Options, eyes: Eyes | None, skip: bool) -> dict[str, Any]:
    """What results depend on of `options`; options that give the same results have the same record.

    `eyes` (None: faces are not aligned) and `skip` are those of `translate_many.check_options`.
    """
    detail = skip and (options.detail if eyes else bool(options.detail))
    face = options.face if eyes else "none"
    return {"face": face, "whole": options.whole, "strength": float(options.strength), "detail": detail, "eyes": eyes}


@dataclass
class Results:
    """Results on disk: a folder, or a zip, whose images wait in a hidden folder beside it until all are there."""

    out: Path
    zipped: bool
    rank: int = 0  # of this process, of `world`
    world: int = 1
    record: str = ""  # JSON: what the results depend on; stored in a file, or as the comment of the zip
    packed: frozenset[str] = frozenset()  # names of the results in the zip
    inputs: dict[str, str] = field(default_factory=dict)  # name of a result -> digest of its input, where it is known
    stale: set[str] = field(default_factory=set)  # results in the zip whose input was replaced

    @property
    def work(self) -> Path:
        """The hidden folder for all files that are not results."""
        return self.out.with_name(f".{self.out.name}.translate") if self.zipped else self.out / ".translate"

    @property
    def folder(self) -> Path:
        """The folder into which results are written."""
        return self.work / "images" if self.zipped else self.out

    def claim(self, record: dict[str, Any], results: Sequence[str]) -> None:
        """Writes `record` into the work folder. Raises ValueError if `out` holds other files, or results with another record."""
        self.record = json.dumps(record)
        self.refresh()
        for noted in sorted(self.work.glob("inputs-*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
            self.inputs |= _noted_inputs(noted)
        # The results first: another process may be claiming at this moment, and writes its record before its first result.
        taken = next((result for result in results if (self.folder / result).exists()), None)
        path = self.work / "record.json"
        if path.is_file():
            self._agree(path.read_text("utf-8"))
        elif taken is not None:
            raise UserError(f"{self.out} holds a {taken} that this command did not write: give another folder")
        else:
            self.work.mkdir(parents=True, exist_ok=True)
            write_atomic(path, self.record.encode())

    def refresh(self) -> None:
        """Reads the names and digests in the zip, which another process or an earlier run may have made."""
        if not self.zipped or not self.out.exists():
            return
        try:
            with zipfile.ZipFile(self.out) as archive:
                self._agree(archive.comment.decode(errors="replace"))
                self.packed = frozenset(archive.namelist())
                noted = {one.filename: one.comment.decode(errors="replace") for one in archive.infolist() if one.comment}
                self.inputs = noted | self.inputs  # digests that are known already may be newer
        except (zipfile.BadZipFile, IsADirectoryError):
            raise UserError(self._foreign()) from None

    def _agree(self, text: str) -> None:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UserError(self._foreign())
        found = BEFORE | found
        for key, value in json.loads(self.record).items():
            if found.get(key) != value:
                different = f"{key} {found.get(key)!r}, and now it is {value!r}"
                raise UserError(f"{self.out} holds translations with {different}: ask for the same, or give another name")

    def _foreign(self) -> str:
        return f"{self.out} exists and was not written by translate: give another name"

    def clear(self, own: set[str]) -> None:
        """Removes files that a killed process left, but only those of this process's share (`own`: names of its results)."""
        (self.work / f"skipped-{self.rank}-of-{self.world}.json").unlink(missing_ok=True)
        own = own | {self.out.name} if self.rank == 0 else own
        for path in [*self.folder.rglob(".*.tmp"), *(self.out.parent.glob(".*.tmp") if self.zipped else ())]:
            match = re.fullmatch(r"\.(.+)\.[0-9a-f]+\.tmp", path.name)  # of write_atomic, and of _pack
            if match and match[1] in own:
                remove_leftover(path)

    def has(self, result: str) -> bool:
        """Whether a result exists and is not stale."""
        return (result in self.packed and result not in self.stale) or (self.folder / result).is_file()

    def is_of(self, result: str, digest: str) -> bool:
        """Whether a result exists and was made of the input with this digest. An unknown digest counts as equal."""
        return self.has(result) and self.inputs.get(result, digest) == digest

    def drop(self, results: Sequence[str]) -> None:
        """Removes results whose input was replaced; in a zip they stay until the zip is written again."""
        self.stale |= set(results)
        for result in results:
            (self.folder / result).unlink(missing_ok=True)

    def write(self, result: str, data: bytes, digest: str) -> None:
        """Writes a result, then the digest of its input into the file of this process."""
        path = self.folder / result
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        self.inputs[result] = digest
        with (self.work / f"inputs-{self.rank}-of-{self.world}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([result, digest]) + "\n")

    def note_skipped(self, skipped: Sequence[str]) -> None:
        """Writes down which images this process skipped, for the process that finishes last."""
        if skipped:
            self.work.mkdir(parents=True, exist_ok=True)
            write_atomic(self.work / f"skipped-{self.rank}-of-{self.world}.json", json.dumps(skipped).encode())

    def skipped_names(self) -> set[str]:
        """The images that all processes have skipped so far."""
        noted = self.work.glob(f"skipped-*-of-{self.world}.json")
        return {name for path in noted for name in json.loads(path.read_bytes())}

    def complete(self, results: Sequence[str]) -> None:
        """Removes the temporary files, after it has written the zip, if `zipped`, from all `results`."""
        if not self.zipped:
            for path in self.work.glob("skipped-*-of-*.json"):
                remove_leftover(path)
            return
        renewed = any((self.folder / result).is_file() for result in results)
        if results and (renewed or self.packed != set(results)):
            try:
                self._pack(sorted(results))
            except FileNotFoundError:  # another process finished at the same moment, made the zip and cleared up
                self.refresh()
                if self.packed != set(results):
                    raise
        # First, because images without a record would be taken for foreign files after a kill.
        remove_leftover(self.folder)
        remove_leftover(self.work)

    def _pack(self, results: Sequence[str]) -> None:
        """Writes the zip from the new images and from the old zip, with one image in memory at a time."""
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.out))
            old = stack.enter_context(zipfile.ZipFile(self.out)) if self.packed else None
            with zipfile.ZipFile(temporary, "w") as new:  # stored: they are compressed already
                new.comment = self.record.encode()
                for result in results:
                    member = zipfile.ZipInfo(result)  # dated 1980: equal images make an equal zip
                    member.external_attr = 0o644 << 16
                    member.comment = self.inputs.get(result, "").encode()
                    fresh = self.folder / result
                    new.writestr(member, fresh.read_bytes() if old is None or fresh.is_file() else old.read(result))


def _noted_inputs(path: Path) -> dict[str, str]:
    """Result -> digest of its input, from the file of one process. An incomplete last line, left by a kill, is ignored."""
    found = {}
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            result, digest = json.loads(line)
        except (ValueError, TypeError):
            continue
        found[str(result)] = str(digest)
    return found
