"""The results of a bulk translation on disk: a folder or a zip, written by processes that may be killed at any moment.

A result appears under its name only when it is complete, a zip only when all its results are. A result that exists is not made
again, unless its input file was replaced. To notice that, a digest of each input is stored: for a folder in text files
in a hidden folder, for a zip in the comments of its members.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import sync_folder, write_atomic
from cyclegan_hub.models.photograph import Options

# What records meant that were written before these keys existed.
BEFORE = {"face": "none", "whole": False, "strength": 1.0, "detail": False, "eyes": None}


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
            # A random name, because processes of other machines may do the same at this moment.
            fresh = self.work / f"{token_hex(4)}.record"
            write_atomic(fresh, self.record.encode())
            fresh.replace(path)

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

    def clear(self, rank: int, world: int, own: set[str]) -> None:
        """Removes files that a killed process left, but only those of this process's share (`own`: names of its results)."""
        (self.work / _note(rank, world)).unlink(missing_ok=True)
        own = own | {self.out.name} if rank == 0 else own
        for path in [*self.folder.rglob(".*.tmp"), *(self.out.parent.glob(".*.tmp") if self.zipped else ())]:
            match = re.fullmatch(r"\.(.+)\.[0-9a-f]+\.tmp", path.name)  # of write_atomic, and of _pack
            if match and match[1] in own:
                path.unlink(missing_ok=True)

    def has(self, result: str) -> bool:
        """Whether a result exists and is not stale."""
        return (result in self.packed and result not in self.stale) or (self.folder / result).is_file()

    def is_of(self, result: str, digest: str) -> bool:
        """Whether a result exists and was made of the input with this digest. An unknown digest counts as equal."""
        return self.has(result) and self.inputs.get(result, digest) == digest

    def drop(self, result: str) -> None:
        """Removes a result whose input was replaced; in a zip it stays until the zip is written again."""
        self.stale.add(result)
        (self.folder / result).unlink(missing_ok=True)

    def write(self, result: str, data: bytes, digest: str, part: str) -> None:
        """Writes a result, then the digest of its input into the file of the process `part`, such as "0-of-1"."""
        path = self.folder / result
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        self.inputs[result] = digest
        with (self.work / f"inputs-{part}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([result, digest]) + "\n")

    def note_skipped(self, rank: int, world: int, skipped: Sequence[str]) -> None:
        """Writes down which images this process skipped, for the process that finishes last."""
        if skipped:
            self.work.mkdir(parents=True, exist_ok=True)
            write_atomic(self.work / _note(rank, world), json.dumps(skipped).encode())

    def skipped_names(self, world: int) -> set[str]:
        """The images that the `world` processes have skipped so far."""
        return {name for path in self.work.glob(_note("*", world)) for name in json.loads(path.read_bytes())}

    def complete(self, results: Sequence[str]) -> None:
        """Removes the temporary files, after it has written the zip, if `zipped`, from all `results`."""
        if not self.zipped:
            for path in self.work.glob(_note("*", "*")):
                path.unlink(missing_ok=True)
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
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)

    def _pack(self, results: Sequence[str]) -> None:
        """Writes the zip from the new images and from the old zip, with one image in memory at a time."""
        temporary = self.out.with_name(f".{self.out.name}.{token_hex(4)}.tmp")
        try:
            with ExitStack() as stack:
                file = stack.enter_context(temporary.open("wb"))
                old = stack.enter_context(zipfile.ZipFile(self.out)) if self.packed else None
                with zipfile.ZipFile(file, "w") as new:  # stored: they are compressed already
                    new.comment = self.record.encode()
                    for result in results:
                        member = zipfile.ZipInfo(result)  # dated 1980: equal images make an equal zip
                        member.external_attr = 0o644 << 16
                        member.comment = self.inputs.get(result, "").encode()
                        fresh = self.folder / result
                        new.writestr(member, fresh.read_bytes() if old is None or fresh.is_file() else old.read(result))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.out)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(self.out.parent)


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


def _note(rank: int | str, world: int | str) -> str:
    return f"skipped-{rank}-of-{world}.json"
