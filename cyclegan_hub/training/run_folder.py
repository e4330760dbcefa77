"""The run folder: what it holds, how it is written, and which changes a resumed run may bring."""

from __future__ import annotations

import errno
import inspect
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from cyclegan_hub.data.reading import FILE as LANDMARKS
from cyclegan_hub.data.reading import Landmarks
from cyclegan_hub.errors import UserError, counted
from cyclegan_hub.files import (
    UNSUPPORTED,
    best_effort,
    json_bytes,
    remove_folder,
    remove_leftover,
    remove_temporary,
    sync_folder,
    write_atomic,
    write_folder,
)
from cyclegan_hub.hub.mixin import read_metadata
from cyclegan_hub.hub.provenance import same_init
from cyclegan_hub.hub.records import (
    CYCLE_BEGINS,
    NOTES,
    ModelError,
    RunRecord,
    RunRecordError,
    chosen_in,
    epoch_name,
    epoch_number,
    read_history,
    read_run_record,
)
from cyclegan_hub.recipes.methods import ADDED_FIELDS, RESUMABLE_FIELDS

# Of a recipe that has them; `--extend` changes them.
EXTENDABLE_FIELDS = ("epochs", "decay", "cycle", "cycle_a", "identity_a", "identity_b", "droplets", "source_negatives")
# Where it may, filelock falls back to a lock by a file's presence, which a killed process leaves locked.
_NATIVE: dict[str, Any] = {name: False for name in inspect.signature(FileLock.__init__).parameters if name == "fallback_to_soft"}
CARRIED = ("extended", "inexact_resumes")  # keys of recipe.json that a resumed run keeps


class RunError(UserError):
    """A run folder that cannot be used or written; the message names it and the remedy."""


class RunFolder:
    """`recipe.json`, `state/step-N/`, `epochs/epoch-N/`, `last/`, `samples/`, `history.jsonl`, `losses.png` of one run.

    Where faces are aligned, `landmarks.json` too: it is neither published nor logged.

    Every file is written under a temporary name, synced and renamed: a kill at any instant leaves the last save whole.
    Only the main process writes, except that each process writes its own `rank-R.safetensors` of a state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / ".lock", **_NATIVE)
        self._landmarks_written = 0

    # ------------------------------------------------------------------------------------------- identity
    def record(self) -> RunRecord | None:
        """The content of `recipe.json`, None in a new run. Raises RunError where it is damaged, or the folder is a file."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file: give another folder with --out")
        try:
            return read_run_record(self.path / "recipe.json")
        except RunRecordError as error:
            raise RunError(f"{str(error).partition(': restore')[0]}: move the folder away, or give another with --out") from None

    def check(self, identity: Mapping[str, Any]) -> None:
        """Raises RunError unless the folder is new, empty, or holds a run of this identity. Writes nothing.

        `identity` is what makes the run the same run: {"recipe": {...}, "labels", "data", "seed", "init"}. RESUMABLE_FIELDS of
        the recipe and NOTES may differ, and so may the images' location as long as their fingerprints are the same. Keys that
        `identity` lacks are not compared.
        """
        old = self.record()
        if old is None:
            foreign = sorted(p.name for p in self.path.glob("[!.]*")) if self.path.exists() else []
            if foreign:
                raise RunError(f"{self.path} holds {foreign[0]!r} but no run: give an empty or a new folder with --out")
            return
        if old.get("recipe", {}).get("own_cycle") == CYCLE_BEGINS:
            raise RunError(
                f"{self.path} was trained with own_cycle=true when that meant the cycle that begins with a generator, and now it "
                "is the one that ends with it: this run cannot be resumed, give another folder with --out"
            )
        may_differ = {f"recipe.{name}" for name in RESUMABLE_FIELDS}
        # A command that extends the run, or changes its number of processes, has more entries there than the run.
        may_differ |= {name for name in CARRIED if identity.get(name, []) != old.get(name, [])}
        if "extended" in may_differ:
            may_differ |= {f"recipe.{name}" for name in EXTENDABLE_FIELDS}
        for name, before, now in _differences(dict(old), json.loads(json_bytes(identity))):
            key = name.partition(".")[0]
            if key == "fingerprints":
                raise self._changed_images(name[-1], before, now, [r.get("data", {}).get(name[-1]) for r in (old, identity)])
            if name in may_differ or key in NOTES or (name == "init" and same_init(before, now)):
                continue
            if key == "data" and "fingerprints" in old:  # these decide, once the images have been read
                continue
            raise RunError(
                f"{self.path} holds another run: {name} is {before!r} there and {now!r} now. "
                "Repeat that run's command to resume it, or give another folder with --out"
            )

    def _changed_images(self, side: str, before: str, now: str, places: list[str | None]) -> RunError:
        moved = f"; they were {places[0]} then, and are {places[1]} now" if places[0] != places[1] else ""
        return RunError(
            f"{self.path}: the images of domain {side.upper()} have changed since this run began (fingerprint {before} "
            f"then, {now} now{moved}): restore them, or give another folder with --out"
        )

    def open(self, identity: Mapping[str, Any]) -> None:
        """Creates the folder, locks it, checks it, writes `recipe.json`, and removes what a killed process left half-written.

        Raises RunError where another process trains in it, and for another run (see `check`).
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire_lock()
            self.check(identity)
            # Before the folders: a kill between them leaves what `check` takes for a new run, or for this one.
            write_atomic(self.path / "recipe.json", json_bytes(identity))
            for name in ("state", "epochs", "samples"):
                (self.path / name).mkdir(exist_ok=True)
            for folder in (self.path, *(self.path / n for n in ("state", "epochs", "samples", "last", "best"))):
                remove_temporary(folder)
            self._try_writes()
        except OSError as error:
            raise RunError(
                f"cannot write to {self.path}: {error.strerror}. Free space or give another folder with --out"
            ) from error

    def close(self) -> None:
        """Releases the lock; the system does so too, however the process ends."""
        self._lock.release()

    def _acquire_lock(self) -> None:
        try:
            with best_effort(self.path, "locked: start no second training in it", UNSUPPORTED):
                try:
                    self._lock.acquire(blocking=False)
                except NotImplementedError as error:  # older versions raise it for ENOSYS
                    raise OSError(errno.ENOSYS, str(error)) from error
        except Timeout:
            raise RunError(
                f"another process is training in {self.path}: wait for it, or give another folder with --out"
            ) from None

    def _try_writes(self) -> None:
        """Each way in which a run writes: a file system that lacks one raises its OSError now, not after the first epoch."""
        with tempfile.TemporaryDirectory(".tmp", ".try.", self.path, ignore_cleanup_errors=True) as place:
            for content in (b"1", b"2"):  # a folder that appears, and one whose file is replaced
                write_folder(Path(place, "epoch"), {"file": content})
            with Path(place, "epoch", "file").open("a", encoding="utf-8") as file:
                file.write("3")

    # ------------------------------------------------------------------------------------------ landmarks
    def landmarks(self) -> Landmarks:
        """The eyes found so far in the run's images. Raises DataError if the file is damaged."""
        return Landmarks.read(self.path)

    def write_landmarks(self, landmarks: Landmarks) -> None:
        """Writes `landmarks.json` if more landmarks are known than it holds."""
        if len(landmarks.found) > self._landmarks_written:
            write_atomic(self.path / LANDMARKS, landmarks.dumps())
            self._landmarks_written = len(landmarks.found)

    # ---------------------------------------------------------------------------------------------- state
    def latest_step(self) -> int | None:
        """Step of the newest complete state, None in a new run."""
        steps = [int(p.name.removeprefix("step-")) for p in (self.path / "state").glob("step-*")]
        return max(steps, default=None)

    def processes_of(self, step: int) -> int:
        """The number of processes that saved the state of a step."""
        return len(list(self._state(step).glob("rank-*.safetensors")))

    def load_state(self, step: int, rank: int, world_size: int, inexact: bool = False) -> tuple[Any, Any]:
        """(shared, this process's own) state of a step. Raises RunError if damaged or saved by another number of processes.

        With `inexact` that number may differ: an additional process takes the first one's own state, and no process resumes its
        random numbers and its position in the data ("random" and "data" are None).
        """
        folder, saved = self._state(step), self.processes_of(step)
        if saved != world_size and not inexact:
            raise RunError(
                f"{folder} was saved by {counted(saved, 'process')}, now there {'is' if world_size == 1 else 'are'} "
                f"{world_size}: launch as many as before, or add --allow-process-change"
            )
        try:
            shared = unpack(folder / "shared.safetensors")
            own = unpack(folder / f"rank-{rank if rank < saved else 0}.safetensors")
        except (ValueError, OSError) as error:
            raise RunError(f"cannot resume from {folder}: {error}") from error
        return shared, own if saved == world_size else own | {"random": None, "cuda": None, "data": None}

    def stage_state(self, step: int) -> None:
        """Creates the temporary folder into which each process writes its part of a state (main process, then a barrier)."""
        folder = self._staging(step)
        if folder.exists():
            remove_folder(folder)
        folder.mkdir(parents=True)

    def write_rank(self, step: int, rank: int, state: Any) -> None:
        """Writes this process's own part (every process, then a barrier)."""
        write_atomic(self._staging(step) / f"rank-{rank}.safetensors", pack(state))

    def commit_state(self, step: int, shared: Any) -> None:
        """Adds the shared part, renames the state to its final name, and removes the older ones (main process)."""
        staging, final = self._staging(step), self._state(step)
        write_atomic(staging / "shared.safetensors", pack(shared))
        if final.exists():  # resumed there and stopped again before the next step: the same state
            remove_leftover(staging)
            return
        staging.rename(final)
        sync_folder(final.parent)
        for older in final.parent.glob("step-*"):
            if older != final:
                remove_folder(older)

    def _state(self, step: int) -> Path:
        return self.path / "state" / f"step-{step:09d}"

    def _staging(self, step: int) -> Path:
        return self.path / "state" / f".step-{step:09d}.tmp"

    # ---------------------------------------------------------------------------------- epochs and history
    def write_epoch(self, epoch: int, files: dict[str, bytes], keep: int) -> None:
        """Writes `epochs/epoch-NNN/`, then removes epochs until `keep` are left (see `epochs_to_remove`)."""
        write_folder(self.path / "epochs" / epoch_name(epoch), files)
        for old in epochs_to_remove(self.epochs(), keep, self._measured_best()):
            remove_folder(self.path / "epochs" / epoch_name(old))

    def _measured_best(self) -> int | None:
        """The epoch that an evaluation of this run called the best (see `chosen_in`); None if its metrics.json cannot be used."""
        try:
            return epoch_number(chosen_in(self.path))
        except ModelError:
            return None

    def write_model(self, name: Literal["last", "best"], files: dict[str, bytes]) -> None:
        """Writes `last/`, the current model, or `best/`, the best one by the light evaluations; of the same form as an epoch."""
        write_folder(self.path / name, files)

    def write_sample(self, epoch: int, png: bytes) -> None:
        """Writes `samples/epoch-NNN.png`."""
        write_atomic(self.path / "samples" / f"{epoch_name(epoch)}.png", png)

    def epochs(self) -> list[int]:
        """The numbers of the kept epochs, ascending."""
        return sorted(int(p.name.removeprefix("epoch-")) for p in (self.path / "epochs").glob("epoch-*"))

    def append_history(self, lines: Iterable[dict[str, Any]]) -> None:
        """Adds lines to `history.jsonl` in one write, so that a kill tears at most the last."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        with (self.path / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(text)

    def history(self) -> list[dict[str, Any]]:
        """The lines of `history.jsonl`; an incomplete last line, which a kill can leave, is ignored."""
        return read_history(self.path / "history.jsonl")

    def measured(self) -> list[str]:
        """The metrics' names in the history's evaluations: its lines {"event": "evaluation", "step", "epoch", ...}."""
        found = dict.fromkeys(key for line in self.history() if line.get("event") == "evaluation" for key in line)
        return [key for key in found if key not in ("step", "epoch", "event")]

    def trim_history(self, step: int) -> None:
        """Removes the lines after `step`: a resumed run writes them again."""
        path = self.path / "history.jsonl"
        if path.exists():
            kept = [line for line in self.history() if line["step"] <= step]
            write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def epochs_to_remove(epochs: list[int], keep: int, best: int | None = None) -> list[int]:
    """The epochs to remove so that `keep` remain: the first, the last and `best` stay, the others as evenly spread as can be."""
    kept, removed = sorted(epochs), []
    while len(kept) > keep and (inner := [i for i in range(1, len(kept) - 1) if kept[i] != best]):
        # The one whose neighbours are closest to each other leaves the smallest gap.
        removed.append(kept.pop(min(inner, key=lambda i: kept[i + 1] - kept[i - 1])))
    return removed


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any, Any]]:
    """(name, old value, new value) of each key of `new` whose value in `old` is another."""
    for key, now in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _differences(before, now, f"{prefix}{key}.")
        elif before != now and not (prefix == "recipe." and key not in old and ADDED_FIELDS.get(key) == now):
            yield f"{prefix}{key}", before, now


# A tree of dicts, lists, numbers and tensors as one safetensors file, never a pickle.

_TREE = "tree"  # key of the header's metadata that holds the tree without its tensors, as JSON


def pack(tree: Any) -> bytes:
    """A tree of dicts (with str or int keys), lists, tuples, None, bools, numbers, strings and tensors, as bytes.

    Floats are restored exactly. Raises TypeError for anything else.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _strip(tree, tensors)
    return save(tensors, metadata={_TREE: json.dumps(skeleton)})


def unpack(path: Any) -> Any:
    """The tree that `pack` wrote to the file at `path`; tensors on the CPU. Raises ValueError for another or a damaged file."""
    try:
        data = Path(path).read_bytes()
        tensors = load(data)
        return _restore(json.loads(read_metadata(data)[_TREE]), tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a saved state, or damaged ({error})") from error


def _strip(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, Tensor):
        name = f"{len(tensors):06d}"
        # A copy: safetensors refuses tensors that share memory, as tied weights or slices do.
        tensors[name] = node.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"$tensor": name}
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if isinstance(node, list | tuple):
        return {"$tuple" if isinstance(node, tuple) else "$list": [_strip(item, tensors) for item in node]}
    if isinstance(node, dict) and all(isinstance(key, str | int) for key in node):
        return {"$dict": [[key, _strip(value, tensors)] for key, value in node.items()]}
    raise TypeError(f"cannot save a {type(node).__name__} in a run's state")


def _restore(node: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    match kind:
        case "$tensor":
            return tensors[content]
        case "$dict":
            return {key: _restore(value, tensors) for key, value in content}
        case "$list":
            return [_restore(item, tensors) for item in content]
        case "$tuple":
            return tuple(_restore(item, tensors) for item in content)
    raise ValueError(f"unknown node {kind!r}")
