"""The run folder, which is the truth of a run: what it holds, how it is written, and what may not be mixed in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cyclegan_hub.data.reading import FILE as LANDMARKS
from cyclegan_hub.data.reading import Landmarks
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import remove_temporary, sync_folder, write_atomic, write_folder
from cyclegan_hub.hub.provenance import same_init
from cyclegan_hub.hub.records import CYCLE_BEGINS, NOTES, RunRecord, RunRecordError, epoch_name, read_history, read_run_record
from cyclegan_hub.recipes.methods import ADDED_FIELDS, RESUMABLE_FIELDS
from cyclegan_hub.training.extension import CARRIED, FIELDS


class RunError(UserError):
    """A run folder that cannot be used or written; the message names it and the remedy."""


class RunFolder:
    """`recipe.json`, `state/step-N/`, `epochs/epoch-N/`, `last/`, `samples/`, `history.jsonl`, `losses.png` of one run.

    Where faces are aligned, `landmarks.json` too: it is neither published nor logged.

    Every file is written under a temporary name, synced and renamed: a kill at any instant leaves the last save whole.
    Only the main process writes, but for its own `rank-R.safetensors` in a state.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: Any = None
        self._landmarks_written = 0

    # ------------------------------------------------------------------------------------------- identity
    def check(self, identity: dict[str, Any]) -> None:
        """Raises RunError, before anything is written, unless the folder is new, empty, or holds a run of this identity.

        `identity` is what makes the run the same run: {"recipe": {...}, "labels", "data", "seed", "init"}. Recipe fields
        in RESUMABLE_FIELDS and NOTES may differ, and so may where the images lie, as long as their fingerprints are the same;
        anything else that differs is named. Keys that `identity` lacks are not compared.
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
        # Only a command that changes the run holds more of these than the run does.
        changing = {name for name in CARRIED if identity.get(name, []) != old.get(name, [])}
        for name, before, now in _differences(dict(old), json.loads(json.dumps(identity))):
            if name.startswith("fingerprints."):
                side = name[-1]
                places = [record.get("data", {}).get(side) for record in (old, identity)]
                moved = f"; they were {places[0]} then, and are {places[1]} now" if places[0] != places[1] else ""
                raise RunError(
                    f"{self.path}: the images of side {side.upper()} have changed since this run began (fingerprint {before} "
                    f"then, {now} now{moved}): restore them, or give another folder with --out"
                )
            if name.partition(".")[0] in NOTES or (name == "init" and same_init(before, now)):
                continue
            if name.startswith("data.") and "fingerprints" in old:  # these decide, once the images have been read
                continue
            if name in changing or ("extended" in changing and name.removeprefix("recipe.") in FIELDS):
                continue
            if name.removeprefix("recipe.") not in RESUMABLE_FIELDS:
                raise RunError(
                    f"{self.path} holds another run: {name} is {before!r} there and {now!r} now. "
                    "Repeat that run's command to go on with it, or give another folder with --out"
                )

    def record(self) -> RunRecord | None:
        """What `recipe.json` says, None in a new run. Raises RunError where it is damaged, or the folder is a file."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file: give another folder with --out")
        try:
            return read_run_record(self.path / "recipe.json")
        except RunRecordError as error:
            raise RunError(f"{str(error).partition(': restore')[0]}: move the folder away, or give another with --out") from None

    def open(self, identity: dict[str, Any]) -> None:
        """Creates the folder, takes its lock, writes `recipe.json`, and clears what a killed process left half-written.

        Raises RunError where another process trains in it.
        """
        self.check(identity)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self.check(identity)  # again: another process may have started a run since
            # Before the folders: a kill between them leaves what `check` takes for a new run, or for this one.
            write_atomic(self.path / "recipe.json", (json.dumps(identity, indent=2, ensure_ascii=False) + "\n").encode())
            for name in ("state", "epochs", "samples"):
                (self.path / name).mkdir(exist_ok=True)
            for folder in (self.path, *(self.path / n for n in ("state", "epochs", "samples", "last", "best"))):
                remove_temporary(folder)
        except OSError as error:
            raise RunError(
                f"cannot write to {self.path}: {error.strerror}. Free space or give another folder with --out"
            ) from error

    def _take_lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: no lock, the rest holds
            return
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released by the kernel however the process ends
        except BlockingIOError:
            raise RunError(
                f"another process is training in {self.path}: wait for it, or give another folder with --out"
            ) from None

    # ------------------------------------------------------------------------------------------ landmarks
    def landmarks(self) -> Landmarks:
        """Where the eyes of the run's images are, as far as they were found. Raises DataError if the file is damaged."""
        return Landmarks.read(self.path)

    def write_landmarks(self, landmarks: Landmarks) -> None:
        """`landmarks.json`, if there is something to write that is not written yet."""
        if len(landmarks.found) > self._landmarks_written:
            write_atomic(self.path / LANDMARKS, landmarks.dumps())
            self._landmarks_written = len(landmarks.found)

    def close(self) -> None:
        """Gives the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # ---------------------------------------------------------------------------------------------- state
    def latest_step(self) -> int | None:
        """Step of the newest complete state, None in a new run."""
        steps = [int(p.name.removeprefix("step-")) for p in (self.path / "state").glob("step-*")]
        return max(steps, default=None)

    def processes_of(self, step: int) -> int:
        """How many processes saved the state of a step."""
        return len(list(self._state(step).glob("rank-*.safetensors")))

    def load_state(self, step: int, rank: int, world_size: int, inexact: bool = False) -> tuple[Any, Any]:
        """(shared, this process's own) state of a step. Raises RunError if damaged or saved by another number of processes.

        With `inexact` that number may differ: a process that is new takes the first one's own state, and of none the random
        numbers and the place in the data go on ("random" and "data" are None).
        """
        folder, saved = self._state(step), self.processes_of(step)
        if saved != world_size and not inexact:
            raise RunError(
                f"{folder} was saved by {saved} processes, now there are {world_size}: launch as many as before, or add "
                "--allow-process-change"
            )
        try:
            shared = unpack(folder / "shared.safetensors")
            own = unpack(folder / f"rank-{rank if rank < saved else 0}.safetensors")
        except (ValueError, OSError) as error:
            raise RunError(f"cannot resume from {folder}: {error}") from error
        return shared, own if saved == world_size else own | {"random": None, "cuda": None, "data": None}

    def steps_per_epoch(self, step: int) -> int:
        """Of the schedule that a state belongs to. Raises RunError if damaged, or of a version that did not note it."""
        shared, _ = self.load_state(step, 0, self.processes_of(step))
        if "steps_per_epoch" not in shared:
            raise RunError(f"{self._state(step)} does not say how long its epochs are: launch as many processes as before")
        return int(shared["steps_per_epoch"])

    def stage_state(self, step: int) -> Path:
        """The temporary folder that the processes write their part of a state into (main process, then a barrier)."""
        folder = self._staging(step)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def write_rank(self, step: int, rank: int, state: Any) -> None:
        """This process's own part (every process, then a barrier)."""
        write_atomic(self._staging(step) / f"rank-{rank}.safetensors", pack(state))

    def commit_state(self, step: int, shared: Any) -> None:
        """Adds the shared part, makes the state appear under its name, and drops the older ones (main process)."""
        staging, final = self._staging(step), self._state(step)
        write_atomic(staging / "shared.safetensors", pack(shared))
        if final.exists():  # resumed there and stopped again before a step: it is this very state
            shutil.rmtree(staging)
            return
        staging.rename(final)
        sync_folder(final.parent)
        for older in final.parent.glob("step-*"):
            if older != final:
                shutil.rmtree(older, ignore_errors=True)

    def _state(self, step: int) -> Path:
        return self.path / "state" / f"step-{step:09d}"

    def _staging(self, step: int) -> Path:
        return self.path / "state" / f".step-{step:09d}.tmp"

    # ---------------------------------------------------------------------------------- epochs and history
    def write_epoch(self, epoch: int, files: dict[str, bytes], keep: int) -> None:
        """`epochs/epoch-NNN/`, and no more than `keep` of them: see `crowded`."""
        write_folder(self.path / "epochs" / epoch_name(epoch), files)
        for old in crowded(self.epochs(), keep):
            shutil.rmtree(self.path / "epochs" / epoch_name(old))

    def write_last(self, files: dict[str, bytes]) -> None:
        """`last/`: the model as it is now, of the same form as an epoch."""
        write_folder(self.path / "last", files)

    def write_best(self, files: dict[str, bytes]) -> None:
        """`best/`: the model that scored best in the light evaluations so far, of the same form as an epoch."""
        write_folder(self.path / "best", files)

    def write_sample(self, epoch: int, png: bytes) -> None:
        """`samples/epoch-NNN.png`."""
        write_atomic(self.path / "samples" / f"{epoch_name(epoch)}.png", png)

    def epochs(self) -> list[int]:
        """Numbers of the epochs that are kept, ascending."""
        return sorted(int(p.name.removeprefix("epoch-")) for p in (self.path / "epochs").glob("epoch-*"))

    def append_history(self, lines: Iterable[dict[str, Any]]) -> None:
        """Adds lines to `history.jsonl` in one write, so that a kill tears at most the last."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        with (self.path / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(text)

    def history(self) -> list[dict[str, Any]]:
        """The lines of `history.jsonl`; a torn one at the end, which a kill can leave, is passed over."""
        return read_history(self.path / "history.jsonl")

    def measured(self) -> list[str]:
        """Names of the held-out figures in the history, of its lines {"event": "evaluation", "step", "epoch", ...}."""
        found = dict.fromkeys(key for line in self.history() if line.get("event") == "evaluation" for key in line)
        return [key for key in found if key not in ("step", "epoch", "event")]

    def trim_history(self, step: int) -> None:
        """Drops the lines after `step`: a resumed run writes them again."""
        path = self.path / "history.jsonl"
        if path.exists():
            kept = [line for line in self.history() if line["step"] <= step]
            write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def crowded(epochs: list[int], keep: int) -> list[int]:
    """Which epochs to drop so that `keep` remain: the first and the last stay, the others spread as evenly as can be."""
    kept, dropped = sorted(epochs), []
    while len(kept) > max(2, keep):
        # The one whose neighbours stand closest together is missed least.
        i = min(range(1, len(kept) - 1), key=lambda i: kept[i + 1] - kept[i - 1])
        dropped.append(kept.pop(i))
    return dropped


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any, Any]]:
    """(name, old value, new value) of what `new` says otherwise than `old`."""
    for key, now in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _differences(before, now, f"{prefix}{key}.")
        elif before != now and not (prefix == "recipe." and key not in old and ADDED_FIELDS.get(key) == now):
            yield f"{prefix}{key}", before, now


# The state of a run as one safetensors file: a tree of dicts, lists, numbers and tensors, never a pickle.


_TREE = "tree"  # key of the header's metadata under which the tree without its tensors stands, as JSON


def pack(tree: Any) -> bytes:
    """A tree of dicts (with text or whole-number keys), lists, tuples, None, bools, numbers, texts and tensors, as bytes.

    Floats come back exactly. Raises TypeError for anything else.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _strip(tree, tensors)
    return save(tensors, metadata={_TREE: json.dumps(skeleton)})


def unpack(path: Any) -> Any:
    """The tree that `pack` wrote to the file at `path`; tensors on the CPU. Raises ValueError for another or a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            skeleton = json.loads((file.metadata() or {})[_TREE])
            return _restore(skeleton, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a dict)
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
