"""The models and epochs between which a visitor chooses, with their texts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError

from cyclegan_hub import checkpoints
from cyclegan_hub.domains import DOMAINS, Domain, Eyes, ImageSet, place
from cyclegan_hub.errors import UserError
from cyclegan_hub.hub.errors import FaultKind, fault_of
from cyclegan_hub.hub.provenance import provenance_of, public_record, without_paths
from cyclegan_hub.hub.records import ModelError, RunRecord, address_of, epochs_in, folder_of, read_metrics, read_run_record
from cyclegan_hub.hub.repository import refs_of
from cyclegan_hub.models.auto import KINDS, Model
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.protocols import arrow, check_eyes, check_value_range
from cyclegan_hub.publishing.card import render_statement
from cyclegan_hub.recipes.pair_rules import PAIR_RULES, PairRule
from cyclegan_hub.serving.messages import ServingError, one_line, public_error_text

Origin = Literal["bundled", "folder", "Hub", "cache"]


@dataclass(frozen=True)
class EpochChoice:
    """One published epoch of a domain."""

    name: str  # "epoch-025", or "main" where there are no epochs
    number: int | None  # None for "main"
    label: str  # "Epoch 25 · best"; "· last" where no epoch was measured
    best: bool  # whether it is used if no epoch is given


@dataclass(frozen=True)
class DomainChoice:
    """One model of the page."""

    name: str  # "smile"
    title: str  # "Smile"
    labels: tuple[str, ...]  # of A and of B, or the one label of a model that draws; without angle brackets
    original_size: bool  # whether a translation at the picture's own size is offered
    image_size: int  # side in px of its training images
    source: str  # a folder's name, or a repository
    origin: Origin
    licence: str  # terms of the training images, in words
    redistributable: bool  # whether all training images may be passed on
    kind: str = "cyclegan"  # the method: "cyclegan", "pix2pix" or "dcgan"
    directions: tuple[str, ...] = ("a_to_b", "b_to_a")  # or ("a_to_b",); ("samples",) for a model that draws
    eyes_a: Eyes | None = None  # where the eyes lie in the inputs of `a_to_b`, which are aligned faces; None: any pictures
    eyes_b: Eyes | None = None  # the same of `b_to_a`
    portraits: bool = False  # whether its domain is of faces, aligned or not: they are its examples
    skip: bool = False  # whether its output is its input plus a change, so that a strength is offered
    channels: int = 3  # 1: grey
    rule: PairRule = PAIR_RULES["given"]  # how the network's input is derived from a picture
    started_from: str = ""  # the model whose weights its training started from; "": random weights
    value_range: tuple[int, int] | None = None  # of 16-bit pictures: what is black and what is white

    @property
    def draws(self) -> bool:
        """Whether it draws pictures from seeds, instead of translating pictures."""
        return self.directions == ("samples",)

    @property
    def enlarges(self) -> int:
        """How many times as large as its input a translation is."""
        return self.rule.scale if self.rule.enlarges else 1

    @property
    def faces(self) -> bool:
        """Whether the inputs of `a_to_b` are aligned faces."""
        return self.takes_faces("a_to_b")

    def eyes(self, direction: str) -> Eyes | None:
        """Where the eyes lie in the inputs of a direction, in shares of the side; None where they are any pictures."""
        return {"a_to_b": self.eyes_a, "b_to_a": self.eyes_b}.get(direction)

    def takes_faces(self, direction: str) -> bool:
        """Whether the inputs of a direction are aligned faces."""
        return self.eyes(direction) is not None

    def arrow(self, direction: str) -> str:
        """ "not smiling → smiling" for a_to_b, the other way round for b_to_a; "noise → face" for samples."""
        return f"noise → {self.labels[0]}" if self.draws else arrow(direction, self.labels)


@dataclass(frozen=True)
class Published:
    """All that is known about a model of the page before it is loaded."""

    choice: DomainChoice
    epochs: tuple[EpochChoice, ...]  # ascending, never empty
    where: str  # argument of `checkpoints.load`
    revisions: dict[str, str]  # epoch -> a text that changes when its weights are replaced
    statement: str  # intended use, limits, data and licence, as Markdown
    metrics: dict[str, Any] | None  # metrics.json
    run: RunRecord | None  # recipe.json
    page: str | None  # its address on the Hub
    sample: Path | None = None  # samples.png: examples of its outputs
    failures: tuple[str, ...] = ()  # known failures of these weights, a sentence each

    def epoch(self, wanted: Any) -> EpochChoice:
        """The epoch for 25, 25.0, "25" or "epoch-025"; for "main", "" or None the best one. Raises ServingError for any other."""
        if wanted in (None, "", "main"):
            return next((epoch for epoch in self.epochs if epoch.best), self.epochs[-1])
        for epoch in self.epochs:
            if wanted == epoch.name or (not isinstance(wanted, bool) and epoch.number is not None and wanted == epoch.number):
                return epoch
            if isinstance(wanted, str) and wanted.isdecimal() and int(wanted[:9]) == epoch.number:
                return epoch
        numbers = [str(epoch.number) for epoch in self.epochs if epoch.number is not None]
        remedy = f"there are: {', '.join(numbers)}." if numbers else "it has only one: leave the epoch out."
        raise ServingError(f"{self.choice.title} has no epoch '{one_line(wanted)}'; {remedy}")


# Finds the models of the page: in a folder, on the Hub, in the Hub's cache, or among the bundled ones.


BESIDE = ("metrics.json", "recipe.json", "samples.png", "failures.txt")  # files that may be beside config.json
Place = Literal["bundled", "folder", "user", "repository"]
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"


@dataclass(frozen=True)
class Catalog:
    """All models by name, those of `DOMAINS` first."""

    models: dict[str, Published]
    status: str  # a sentence on the source and its faults
    hub_down: bool = False


def kind_of(models: str | None) -> Place:
    """The kind of source that CYCLEGAN_HUB_MODELS names. Raises ServingError if it is neither a folder nor a name on the Hub."""
    if not models:
        return "bundled"
    if os.path.isdir(models):  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
        return "folder"
    if re.fullmatch(_NAME, models):
        return "user"
    if re.fullmatch(f"{_NAME}/{_NAME}", models):
        return "repository"
    raise ServingError(f"models {models[:200]!r}: no such folder; give one, a user of the Hub, or user/repository")


def find_models(models: str | None, bundled: Path) -> Catalog:
    """Finds the models. `status` names those that cannot be used. Without a name on the Hub no request is sent."""
    kind, problems, down = kind_of(models), list[str](), False
    if kind in ("bundled", "folder"):
        found = _in_folder(Path(models) if models else bundled, kind, problems)
    else:
        found, down = _on_hub(str(models), kind, problems)
        if kind == "user" or not found:
            found = _in_folder(bundled, "bundled", problems) | found
    found = {name: found[name] for name in sorted(found, key=place)}
    return Catalog(found, " ".join([_status(kind, models, down, found), *problems]), down)


# ------------------------------------------------------------------------------------------------------------- folders
def _in_folder(path: Path, origin: Origin, problems: list[str]) -> dict[str, Published]:
    """The models of a folder: one for each subfolder, or a single one if the folder itself is a run or a model."""
    found = {}
    alone = _is_model(path)
    for folder in [path] if alone else sorted(path.iterdir()) if path.is_dir() else []:
        still_written = folder.name.startswith(".") and not alone
        if still_written or not _is_model(folder):
            continue
        folder = folder.resolve()
        try:
            epochs = checkpoints.list_epochs(folder)
            config = folder_of(folder, None) / constants.CONFIG_NAME
            name = (_json(config).get("domain") if alone else None) or folder.name
            revisions = {epoch.name: f"{epoch.revision} {_stamp(Path(epoch.revision))}" for epoch in epochs}
            files = [config, *(folder / name for name in BESIDE)]
            model = _published(_slug(name), str(folder), folder.name, origin, epochs, revisions, files)
        except (OSError, ValueError) as error:
            problems.append(
                f"{one_line(folder.name)} cannot be used ({public_error_text(error, str(folder), one_line(folder.name))})."
            )
        else:
            found[model.choice.name] = model
    return found


def _is_model(folder: Path) -> bool:
    """Whether a folder holds one of our models. With a damaged config it counts as one, so that the fault is reported."""
    config = folder / constants.CONFIG_NAME
    if not config.is_file():
        return folder.is_dir() and bool(epochs_in(folder))
    try:
        return _json(config).get("model", CycleGenerator.__name__) in list(KINDS)
    except ModelError:
        return True


def _stamp(folder: Path) -> int:
    weights = folder / constants.SAFETENSORS_SINGLE_FILE
    return weights.stat().st_mtime_ns if weights.is_file() else 0  # loading reports the missing file


# ------------------------------------------------------------------------------------------------------------- the Hub
def _on_hub(name: str, kind: Place, problems: list[str]) -> tuple[dict[str, Published], bool]:
    """Returns (models of a user or a repository, whether the Hub is down); if it is down, the models come from its cache."""
    found: dict[str, Published] = {}
    down = False
    for domain, repo in _candidates(name, kind):
        if domain in found:
            continue
        main = None
        try:
            main = None if down else refs_of(repo)[0]
        except Exception as error:  # OSError and, by version, the errors of one of two HTTP libraries
            fault = fault_of(error)
            if fault.kind is FaultKind.REPOSITORY:
                if kind == "repository":
                    problems.append(f"{repo} is not on the Hub, or private.")
                continue
            if not fault.is_down:
                problems.append(f"{repo} cannot be used (the Hub says {fault.status or fault.words}).")
                continue
            down = True  # no more requests for the other models
        try:
            checkpoints.forget(repo)
            epochs = checkpoints.list_epochs(repo, local_files_only=down)
            best = next((epoch for epoch in epochs if epoch.best), epochs[-1])
            commits = [main or "main", best.revision]
            files = [_fetched(repo, file, commits, down) for file in (constants.CONFIG_NAME, *BESIDE)]
            if files[0] is None:
                raise ModelError(f"{repo}: no config.json there")
            own = domain or _slug(_json(files[0]).get("domain") or repo.split("/")[1])
            revisions = {epoch.name: epoch.revision for epoch in epochs}
            found[own] = _published(own, repo, repo, "cache" if down else "Hub", epochs, revisions, files)
        except Exception as error:  # as above
            if not down:  # else it is just not in the cache
                problems.append(f"{repo} cannot be used ({public_error_text(error, repo, repo)}).")
    return found, down


def _candidates(name: str, kind: Place) -> Iterator[tuple[str | None, str]]:
    """(domain, repository) in the order of the search. For a user: each domain's usual repository name, then its short name."""
    if kind == "repository":
        yield None, name
        return
    for domain in DOMAINS.values():
        yield from ((domain.name, f"{name}/{repo}") for repo in (domain.repo_id, domain.name))


def _fetched(repo: str, file: str, commits: list[str], down: bool) -> Path | None:
    """The path of a small file at the first of `commits` that has it, from the cache if possible; None if there is none."""
    for commit in commits:
        cached = try_to_load_from_cache(repo, file, revision=commit)
        if isinstance(cached, str):
            return Path(cached)
        if cached is None and not down:
            try:
                return Path(hf_hub_download(repo, file, revision=commit))
            except EntryNotFoundError:
                continue
    return None


# ---------------------------------------------------------------------------------------------------------------- both
def _published(
    name: str, where: str, source: str, origin: Origin, epochs: list[checkpoints.Epoch], revisions: dict[str, str], files: Any
) -> Published:
    """Makes the entry of one model; `files`: the paths of config.json and of BESIDE. Raises ValueError for a damaged config."""
    config, metrics = _json(files[0]), read_metrics(files[1]) if files[1] else None
    model = config.get("model", CycleGenerator.__name__)
    if model not in list(KINDS):  # a list: from a damaged config it may be anything
        raise ModelError(f"{where}: config.json describes a {model!r}, none of {', '.join(KINDS)}: publish the model again")
    kind, (labels, size) = KINDS[model], _labels_and_size(where, config)
    domain = DOMAINS.get(str(config.get("domain")))
    piles = _piles(domain, kind, labels)
    eyes_a, eyes_b = (_eyes(config, name) for name in ("eyes_a", "eyes_b"))
    portraits = bool(piles and domain and domain.a.eyes and domain.a.label in labels and kind.takes_pictures)
    run = read_run_record(files[2]) if files[2] else None
    run, metrics = public_record(run) if run else None, without_paths(metrics)
    provenance = provenance_of(run)
    choice = DomainChoice(
        name=name, title=name.replace("-", " ").replace("_", " ").capitalize(), labels=labels, kind=kind.method,
        directions=kind.directions, rule=PAIR_RULES.get(str(config.get("pairs")), PAIR_RULES["given"]),
        started_from=_started_from(run), eyes_a=eyes_a, eyes_b=eyes_b, portraits=portraits, skip=config.get("skip") is True,
        original_size=not (portraits or eyes_a or eyes_b), image_size=size, source=one_line(source, 200), origin=origin,
        licence=provenance.terms, redistributable=provenance.redistributable,
        value_range=_value_range(config), channels=1 if config.get("channels") == 1 else 3,
    )  # fmt: skip
    statement = render_statement(str(config.get("domain")), labels, run, kind, measured=bool(metrics))
    mark = (" · best" if metrics else " · last") if len(epochs) > 1 else ""
    alone = f"Epoch {config['epoch']}" if isinstance(config.get("epoch"), int) else "The published model"
    choices = tuple(
        EpochChoice(e.name, e.number, alone if e.number is None else f"Epoch {e.number}{mark if e.best else ''}", e.best)
        for e in epochs
    )
    page = address_of(source) if origin in ("Hub", "cache") else None  # the name was checked by `kind_of`
    sample = files[3] if files[3] and files[3].is_file() else None
    return Published(choice, choices, where, revisions, statement, metrics, run, page, sample, _lines(files[4]))


def _lines(path: Path | None) -> tuple[str, ...]:
    """The lines of a small text file; empty if there is no such file."""
    if path is None or not path.is_file():
        return ()
    text = without_paths(path.read_bytes()[:20_000].decode("utf-8", "replace"))
    return tuple(line.removeprefix("- ").strip() for line in text.splitlines() if line.strip())


def _labels_and_size(where: str, config: dict[str, Any]) -> tuple[tuple[str, ...], int]:
    """Returns (labels of a config, safe to show; side of the training images in px)."""
    kind = KINDS[config.get("model", CycleGenerator.__name__)]
    labels, size = config.get("labels"), kind.trained_size(config)
    whole = isinstance(labels, list) and len(labels) == kind.label_count
    if not (whole and size is not None and 0 < size <= 4096):
        wanted = "two labels, or no image_size" if kind.takes_pictures else "single label, or no widths of images"
        raise ModelError(f"{where}: config.json has no {wanted} up to 4096: publish the model again")
    return tuple(one_line(label) for label in labels or ()), size


def _value_range(config: dict[str, Any]) -> tuple[int, int] | None:
    """A config's `value_range`: the values of 16-bit pictures that are black and white. None if damaged: loading reports that."""
    try:
        return check_value_range(config.get("value_range"))
    except UserError:
        return None


def _eyes(config: dict[str, Any], name: str) -> Eyes | None:
    """A config's `eyes_a` or `eyes_b`. None if absent, or damaged: loading reports that."""
    try:
        return check_eyes(config.get(name))
    except UserError:
        return None


def _piles(domain: Domain | None, kind: type[Model], labels: tuple[str, ...]) -> tuple[ImageSet, ...]:
    """The piles on which a model with these labels was trained; empty if the labels are not those of its domain."""
    two = len(kind.data_sides) == 2
    if domain is None or (two and labels != domain.labels):
        return ()
    if two:
        return domain.image_sets
    own = {*domain.labels, *(rule.label_of_input(labels[-1]) for rule in PAIR_RULES.values())}
    return tuple(pile for pile in domain.image_sets if pile.label == labels[-1] and labels[0] in own)


def _started_from(run: RunRecord | None) -> str:
    """The model whose weights a run started from (`--init`); "" without it."""
    init = run.get("init") if run else None
    return one_line(init) if isinstance(init, str) else ""


def _slug(name: object) -> str:
    """A name from a config or a folder, made safe for the API and for file names."""
    return re.sub(r"[^\w.-]+", "-", one_line(name)).strip("-.") or "model"


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} is damaged: publish the model again")
    return content


def _status(kind: Place, models: str | None, down: bool, found: dict[str, Published]) -> str:
    if not found:
        why = "The Hub does not answer, and nothing of it is in the cache." if down else "There are no models yet."
        return f"{why} Train one and publish it, or set CYCLEGAN_HUB_MODELS to a user of the Hub, a repository or a folder."
    of = {origin: ", ".join(n for n, m in found.items() if m.choice.origin == origin) for origin in ("Hub", "cache", "bundled")}
    match kind:
        case "bundled":
            return "Serving the models that are bundled with this page."
        case "folder":
            return f"Serving the models of the folder {one_line(Path(str(models)).resolve().name)}."
    first = f"Serving {of['Hub']} of {models} from the Hub" if of["Hub"] else f"{models} has no models on the Hub"
    if down:
        first = "The Hub does not answer" + (f": serving {of['cache']} of {models} from its cache" if of["cache"] else "")
    return first + (f"; bundled with this page: {of['bundled']}." if of["bundled"] else ".")
