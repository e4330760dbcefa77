"""The one reader of a model folder's `metrics.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cyclegan_hub.errors import UserError
from cyclegan_hub.hub.epoch_names import epoch_order


class MetricsFileError(UserError):
    """A `metrics.json` that is not of the form that evaluation writes."""


def read_metrics(path: Path) -> dict[str, Any] | None:
    """The content of `metrics.json`; None if there is no such file.

    {"best": "epoch-010", "rule": ..., "extractor": ..., "protocol": {...}, "classifier": {...}, "notes": [...],
    "baselines": {"untranslated": {"a_to_b": {"kid": ...}, "b_to_a": {...}}, "floor": {...}}, "epochs": {"epoch-005": ...}}, the
    epochs of the same form as the baselines. The directions are those of the model's class; a FaceGenerator has only
    "samples", and no "untranslated". A single model without an epoch number is called "main". A figure that could not be
    computed is null. "best" and "epochs" are required, all else is optional. Raises MetricsFileError for another form.
    """
    try:
        metrics: dict[str, Any] = json.loads(path.read_bytes())
        measured = [*metrics["epochs"].values(), *metrics.get("baselines", {}).values()]
        directions = [values for one in measured for values in one.values()]
        if metrics["best"] in metrics["epochs"] and all(isinstance(values, dict) for values in directions):
            for name in metrics["epochs"]:
                epoch_order(name)
            return metrics
        reason = f"best={metrics['best']!r} is not among its epochs, or one of these has no metrics by direction"
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise MetricsFileError(f"{path} is not of the form that evaluation writes ({reason}): evaluate again, or remove it")


def read_best(path: Path) -> str | None:
    """The best epoch by `metrics.json`, such as "epoch-010"; None if there is no such file. The rest is not checked.

    Raises MetricsFileError for a file without "best".
    """
    try:
        best = json.loads(path.read_bytes())["best"]
        if not isinstance(best, str):
            raise TypeError(f"best={best!r} is no name")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise MetricsFileError(
            f"{path} is not one of ours ({type(error).__name__}: {error}): evaluate again, or remove it"
        ) from None
    return best
