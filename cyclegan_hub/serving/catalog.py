"""The models of the page: found in a folder, on the Hub, in its cache, or among the bundled ones."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError

from cyclegan_hub import checkpoints
from cyclegan_hub.domains import DOMAINS, Domain, Eyes, place
from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation.record import Metrics, read_metrics
from cyclegan_hub.free_images import Example, examples_for
from cyclegan_hub.hub.errors import FailureKind, failure_of
from cyclegan_hub.hub.provenance import provenance_of, public_record, without_paths
from cyclegan_hub.hub.records import ModelError, RunRecord, epochs_in, folder_of, read_run_record
from cyclegan_hub.hub.repository import refs_of, url_of
from cyclegan_hub.models.auto import KINDS, Model
from cyclegan_hub.models.checks import check_eyes, check_value_range
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.protocols import arrow
from cyclegan_hub.publishing.card import render_limits
from cyclegan_hub.recipes.pair_rules import PAIR_RULES, PairRule
from cyclegan_hub.serving.messages import ServingError, one_line, public_error_text

Origin = Literal["bundled", "folder", "Hub", "cache"]
SourceKind = Literal["bundled", "folder", "user", "repository"]
Mark = Literal["", "best", "last"]
OPTIONAL_FILES = ("metrics.json", "recipe.json", "samples.png", "failures.txt")  # that may lie beside config.json
_HUB_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
T = TypeVar("T")


@dataclass(frozen=True)
class EpochEntry:
    """One published epoch of a model."""

    name: str  # "epoch-025", or "main" where there are no epochs
    number: int | None  # None for "main"
    title: str  # "Epoch 25", or "The published model"
    best: bool  # whether it is used if no epoch is given
    mark: Mark = ""  # of several epochs: the best one, or the last one where none was measured
    revision: str = ""  # changes when the weights are replaced

    @property
    def label(self) -> str:
        """ "Epoch 25 · best"."""
        return f"{self.title} · {self.mark}" if self.mark else self.title


@dataclass(frozen=True)
class ModelEntry:
    """All that is known about one model of the page before it is loaded."""

    name: str  # "smile"
    labels: tuple[str, ...]  # of A and of B, or the one label of a model that samples; without angle brackets
    image_size: int  # side in px of its training images
    action: str = ""  # what it does, of a model of one of `DOMAINS`: "Paint like Monet"
    makes: str = ""  # completes "Turn a photo into ": "a Monet painting"
    kind: str = "cyclegan"  # the method: "cyclegan", "pix2pix" or "dcgan"
    directions: tuple[str, ...] = ("a_to_b", "b_to_a")  # or ("a_to_b",); ("samples",) for a model that samples
    eyes_a: Eyes | None = None  # where the eyes lie in the inputs of `a_to_b`, which are aligned faces; None: any image
    eyes_b: Eyes | None = None  # the same of `b_to_a`
    portraits: bool = False  # whether its domain is of faces, aligned or not
    original_size: bool = False  # whether a translation at the image's own size is offered
    skip: bool = False  # whether its output is its input plus a change, so that a strength is offered
    channels: int = 3  # 1: grey
    rule: PairRule = PAIR_RULES["given"]  # how the network's input is derived from an image
    value_range: tuple[int, int] | None = None  # of 16-bit images: what is black and what is white
    epochs: tuple[EpochEntry, ...] = ()  # ascending; every entry of a Catalog has one
    source: str = ""  # a folder's name, or a repository
    origin: Origin = "bundled"
    location: str = ""  # argument of `checkpoints.load`
    url: str | None = None  # on the Hub
    started_from: str = ""  # the model whose weights its training started from; "": random weights
    licence: str = ""  # terms of the training images, in words
    redistributable: bool = False  # whether all training images may be passed on
    limits: str = ""  # intended use, limits, data and licence, as Markdown
    metrics: Metrics | None = None
    run: RunRecord | None = None  # recipe.json
    samples_file: Path | None = None  # samples.png: examples of its outputs
    failures: tuple[str, ...] = ()  # known failures of these weights, a sentence each

    @property
    def title(self) -> str:
        """The name as the page shows it: "Smile"."""
        return self.name.replace("-", " ").replace("_", " ").capitalize()

    @property
    def between(self) -> str:
        """ "photo ↔ Monet", or "photo → Monet" if it translates one way; the one label of a model that samples."""
        return (" ↔ " if len(self.directions) == 2 else " → ").join(self.labels)

    @property
    def is_sampler(self) -> bool:
        """Whether it generates images from seeds, instead of translating images."""
        return self.directions == ("samples",)

    @property
    def enlargement(self) -> int:
        """How many times as large as its input a translation is."""
        return self.rule.scale if self.rule.enlarges else 1

    @property
    def faces(self) -> bool:
        """Whether the inputs of `a_to_b` are aligned faces."""
        return self.eyes_a is not None

    @property
    def best_epoch(self) -> EpochEntry:
        """The epoch that is used if none is given."""
        return next((epoch for epoch in self.epochs if epoch.best), self.epochs[-1])

    def eyes(self, direction: str) -> Eyes | None:
        """Where the eyes lie in the inputs of a direction, in shares of the side; None where they are any images."""
        return {"a_to_b": self.eyes_a, "b_to_a": self.eyes_b}.get(direction)

    def examples(self, direction: str) -> tuple[Example, ...]:
        """Free pictures for a direction; the page opens with the first."""
        return examples_for(self.name, direction, faces=self.portraits or self.eyes(direction) is not None)

    def arrow(self, direction: str) -> str:
        """ "not smiling → smiling" for a_to_b, the other way round for b_to_a; "noise → face" for samples."""
        return f"noise → {self.labels[0]}" if self.is_sampler else arrow(direction, self.labels)

    def heading(self, direction: str) -> str:
        """ "Not smiling → smiling": the arrow as a label of its own."""
        text = self.arrow(direction)
        return text[:1].upper() + text[1:]

    def nearest_epoch(self, number: int) -> EpochEntry:
        """The epoch nearest to a number."""
        return min(self.epochs, key=lambda epoch: abs((epoch.number or 0) - number))

    def epoch(self, wanted: Any) -> EpochEntry:
        """The epoch for 25, 25.0, "25" or "epoch-025"; for "main", "" or None the best one. Raises ServingError for any other."""
        if wanted in (None, "", "main"):
            return self.best_epoch
        for epoch in self.epochs:
            if wanted == epoch.name or (not isinstance(wanted, bool) and epoch.number is not None and wanted == epoch.number):
                return epoch
            if isinstance(wanted, str) and wanted.isdecimal() and int(wanted[:9]) == epoch.number:
                return epoch
        numbers = [str(epoch.number) for epoch in self.epochs if epoch.number is not None]
        remedy = f"there are: {', '.join(numbers)}." if numbers else "it has only one: leave the epoch out."
        raise ServingError(f"{self.title} has no epoch '{one_line(wanted)}'; {remedy}")


@dataclass(frozen=True)
class Catalog:
    """All models by name, those of `DOMAINS` first."""

    models: dict[str, ModelEntry]
    status: str  # a sentence on the source and its errors


def source_kind(models: str | None) -> SourceKind:
    """The kind of source that CYCLEGAN_HUB_MODELS names. Raises ServingError if it is neither a folder nor a name on the Hub."""
    if not models:
        return "bundled"
    if os.path.isdir(models):  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
        return "folder"
    if re.fullmatch(_HUB_NAME, models):
        return "user"
    if re.fullmatch(f"{_HUB_NAME}/{_HUB_NAME}", models):
        return "repository"
    raise ServingError(f"models {models[:200]!r}: no such folder; give one, a user of the Hub, or user/repository")


def find_models(models: str | None, bundled: Path) -> Catalog:
    """Finds the models. `status` names those that cannot be used. Without a name on the Hub no request is sent."""
    kind, problems, down = source_kind(models), list[str](), False
    if kind in ("bundled", "folder"):
        found = _in_folder(Path(models) if models else bundled, kind, problems)
    else:
        found, down = _on_hub(str(models), kind, problems)
        if kind == "user" or not found:
            found = _in_folder(bundled, "bundled", problems) | found
    found = {name: found[name] for name in sorted(found, key=place)}
    return Catalog(found, " ".join([_status(kind, models, down, found), *problems]))


def choices(models: Sequence[ModelEntry]) -> list[tuple[str, str]]:
    """(what a model does, its name) of each, all different: its action, or its labels if it is of no domain of `DOMAINS`."""
    shown = [model.action or model.between for model in models]
    return [
        (f"{does} ({model.name})" if shown.count(does) > 1 else does, model.name)
        for does, model in zip(shown, models, strict=True)
    ]


def promise(models: Sequence[ModelEntry]) -> str:
    """What these models do, in one line: "Turn a photo into anime, a cartoon or a Monet painting."."""
    made = list(dict.fromkeys(model.makes for model in models if model.makes))
    if made:
        more = "" if all(model.action for model in models) else ", and more"
        return f"Turn a photo into {' or '.join(filter(None, [', '.join(made[:-1]), made[-1]]))}{more}."
    if not models:
        return "Turn one kind of picture into another."
    first = models[0]
    if first.action or first.is_sampler:
        return f"{first.action or f'New pictures: {first.labels[0]}'}."
    back = ", and back" if len(first.directions) == 2 else ""
    return f"Turn {first.labels[0]} into {first.labels[1]}{back}."


def _status(kind: SourceKind, models: str | None, down: bool, found: dict[str, ModelEntry]) -> str:
    if not found:
        why = "The Hub does not answer, and nothing of it is in the cache." if down else "There are no models yet."
        return f"{why} Train one and publish it, or set CYCLEGAN_HUB_MODELS to a user of the Hub, a repository or a folder."
    if kind == "bundled":
        return "Serving the models that are bundled with this page."
    if kind == "folder":
        return f"Serving the models of the folder {one_line(Path(str(models)).resolve().name)}."
    of = {origin: ", ".join(n for n, m in found.items() if m.origin == origin) for origin in ("Hub", "cache", "bundled")}
    first = f"Serving {of['Hub']} of {models} from the Hub" if of["Hub"] else f"{models} has no models on the Hub"
    if down:
        first = "The Hub does not answer" + (f": serving {of['cache']} of {models} from its cache" if of["cache"] else "")
    return first + (f"; bundled with this page: {of['bundled']}." if of["bundled"] else ".")


# ------------------------------------------------------------------------------------------------------------- folders
def _in_folder(path: Path, origin: Origin, problems: list[str]) -> dict[str, ModelEntry]:
    """The models of a folder: one for each subfolder, or a single one if the folder itself is a run or a model."""
    found = {}
    single = _is_model(path)
    for folder in [path] if single else sorted(path.iterdir()) if path.is_dir() else []:
        unfinished = folder.name.startswith(".") and not single
        if unfinished or not _is_model(folder):
            continue
        folder = folder.resolve()
        try:
            config = folder_of(folder, None) / constants.CONFIG_NAME
            name = _slug((single and _read_json(config).get("domain")) or folder.name)
            epochs = [replace(epoch, revision=_stamped(epoch.revision)) for epoch in checkpoints.list_epochs(folder)]
            files = [config, *(folder / name for name in OPTIONAL_FILES)]
            found[name] = _entry(name, str(folder), folder.name, origin, epochs, files)
        except (OSError, ValueError) as error:
            shown = one_line(folder.name)
            problems.append(f"{shown} cannot be used ({public_error_text(error, str(folder), shown)}).")
    return found


def _is_model(folder: Path) -> bool:
    """Whether a folder holds one of our models. With a damaged config it counts as one, so that the error is reported."""
    config = folder / constants.CONFIG_NAME
    if not config.is_file():
        return folder.is_dir() and bool(epochs_in(folder))
    try:
        return _read_json(config).get("model", CycleGenerator.__name__) in list(KINDS)
    except ModelError:
        return True


def _stamped(folder: str) -> str:
    """The folder with the time at which its weights were written."""
    weights = Path(folder) / constants.SAFETENSORS_SINGLE_FILE
    return f"{folder} {weights.stat().st_mtime_ns if weights.is_file() else 0}"  # loading reports the missing file


# ------------------------------------------------------------------------------------------------------------- the Hub
def _on_hub(name: str, kind: SourceKind, problems: list[str]) -> tuple[dict[str, ModelEntry], bool]:
    """Returns (models of a user or a repository, whether the Hub is down); if it is down, the models come from its cache."""
    found: dict[str, ModelEntry] = {}
    down = False
    candidates: list[tuple[str | None, str]] = [(None, name)]  # (domain, repository)
    if kind == "user":  # each domain's usual repository name, then its short name
        candidates = [(one.name, f"{name}/{repo}") for one in DOMAINS.values() for repo in (one.repo_id, one.name)]
    for domain, repo in candidates:
        if domain in found:
            continue
        main = None
        try:
            main = None if down else refs_of(repo)[0]
        except Exception as error:  # OSError and, by version, the errors of one of two HTTP libraries
            failure = failure_of(error)
            if failure.kind is FailureKind.REPOSITORY:
                if kind == "repository":
                    problems.append(f"{repo} is not on the Hub, or private.")
                continue
            if not failure.is_down:
                problems.append(f"{repo} cannot be used (the Hub says {failure.status or failure.reason}).")
                continue
            down = True  # no more requests for the other models
            if failure.kind is FailureKind.PROXY:
                problems.append(f"{failure.reason[:1].upper()}{failure.reason[1:]}: {failure.remedy}.")
        try:
            checkpoints.forget(repo)
            epochs = checkpoints.list_epochs(repo, local_files_only=down)
            best = next((epoch for epoch in epochs if epoch.best), epochs[-1])
            commits = [main or "main", best.revision]
            files = [_fetched(repo, file, commits, down) for file in (constants.CONFIG_NAME, *OPTIONAL_FILES)]
            if files[0] is None:
                raise ModelError(f"{repo}: no config.json there")
            own = domain or _slug(_read_json(files[0]).get("domain") or repo.split("/")[1])
            found[own] = _entry(own, repo, repo, "cache" if down else "Hub", epochs, files)
        except Exception as error:  # as above
            if not down:  # else it is just not in the cache
                problems.append(f"{repo} cannot be used ({public_error_text(error, repo, repo)}).")
    return found, down


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


# --------------------------------------------------------------------------------------------------- one model's entry
def _entry(
    name: str,
    location: str,
    source: str,
    origin: Origin,
    epochs: Sequence[checkpoints.Epoch],
    files: Sequence[Path | None],  # config.json and OPTIONAL_FILES
) -> ModelEntry:
    """Reads the small files of a model. Raises ValueError for a damaged one."""
    config_file, metrics_file, run_file, sample, failures = files
    assert config_file is not None
    config, metrics = _read_json(config_file), read_metrics(metrics_file) if metrics_file else None
    model = config.get("model", CycleGenerator.__name__)
    if model not in list(KINDS):  # a list: from a damaged config it may be anything
        raise ModelError(
            f"{location}: config.json describes a {model!r}, which is not one of {', '.join(KINDS)}: publish the model again"
        )
    kind = KINDS[model]
    labels, size = _labels_and_size(location, config, kind)
    domain = DOMAINS.get(str(config.get("domain")))
    portraits = _takes_portraits(domain, kind, labels)
    eyes_a, eyes_b = (_valid(check_eyes, config.get(key)) for key in ("eyes_a", "eyes_b"))
    run = read_run_record(run_file) if run_file else None
    run = public_record(run) if run else None
    init = run.get("init") if run else None
    provenance = provenance_of(run)
    known = domain if domain and domain.labels == labels else None
    return ModelEntry(
        name=name,
        labels=labels,
        image_size=size,
        action=known.action if known else "",
        makes=known.makes if known else "",
        kind=kind.method,
        directions=kind.directions,
        eyes_a=eyes_a,
        eyes_b=eyes_b,
        portraits=portraits,
        original_size=not (portraits or eyes_a or eyes_b),
        skip=config.get("skip") is True,
        channels=1 if config.get("channels") == 1 else 3,
        rule=PAIR_RULES.get(str(config.get("pairs")), PAIR_RULES["given"]),
        value_range=_valid(check_value_range, config.get("value_range")),
        epochs=_epoch_entries(epochs, config, measured=bool(metrics)),
        source=one_line(source, 200),
        origin=origin,
        location=location,
        url=url_of(source) if origin in ("Hub", "cache") else None,  # the name was checked by `source_kind`
        started_from=one_line(init) if isinstance(init, str) else "",
        licence=provenance.terms,
        redistributable=provenance.redistributable,
        limits=render_limits(str(config.get("domain")), labels, run, kind, measured=bool(metrics)),
        metrics=metrics.public if metrics else None,
        run=run,
        samples_file=sample if sample and sample.is_file() else None,
        failures=_lines(failures),
    )


def _epoch_entries(epochs: Sequence[checkpoints.Epoch], config: dict[str, Any], measured: bool) -> tuple[EpochEntry, ...]:
    """The epochs with their titles and marks; `config` is that of the best one."""
    alone = f"Epoch {config['epoch']}" if isinstance(config.get("epoch"), int) else "The published model"
    entries = []
    for epoch in epochs:
        title = alone if epoch.number is None else f"Epoch {epoch.number}"
        mark: Mark = ("best" if measured else "last") if epoch.best and len(epochs) > 1 else ""
        entries.append(EpochEntry(epoch.name, epoch.number, title, epoch.best, mark, epoch.revision))
    return tuple(entries)


def _labels_and_size(location: str, config: dict[str, Any], kind: type[Model]) -> tuple[tuple[str, ...], int]:
    """Returns (labels of a config, safe to show; side of the training images in px)."""
    labels, size = config.get("labels"), kind.trained_size(config)
    if not isinstance(labels, list) or len(labels) != kind.label_count or size is None or not 0 < size <= 4096:
        wanted = "two labels, or no image_size" if kind.takes_pictures else "single label, or no widths of images"
        raise ModelError(f"{location}: config.json has no {wanted} up to 4096: publish the model again")
    return tuple(one_line(label) for label in labels), size


def _valid(check: Callable[[Any], T | None], value: Any) -> T | None:
    """A checked value of a config. None if absent, or damaged: loading reports that."""
    try:
        return check(value)
    except UserError:
        return None


def _takes_portraits(domain: Domain | None, kind: type[Model], labels: tuple[str, ...]) -> bool:
    """Whether a model with these labels translates from or to its domain's photographs of faces."""
    if domain is None or not domain.a.eyes or not kind.takes_pictures or domain.a.label not in labels:
        return False
    if len(kind.data_sides) == 2:
        return labels == domain.labels
    inputs = {*domain.labels, *(rule.label_of_input(labels[-1]) for rule in PAIR_RULES.values())}
    return labels[0] in inputs and labels[-1] in domain.labels


def _slug(name: object) -> str:
    """A name from a config or a folder, made safe for the API and for file names."""
    return re.sub(r"[^\w.-]+", "-", one_line(name)).strip("-.") or "model"


def _lines(path: Path | None) -> tuple[str, ...]:
    """The lines of a small text file; empty if there is no such file."""
    if path is None or not path.is_file():
        return ()
    text = without_paths(path.read_bytes()[:20_000].decode("utf-8", "replace"))
    return tuple(line.removeprefix("- ").strip() for line in text.splitlines() if line.strip())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} is damaged: publish the model again")
    return content
