"""A slider with a number box for published epochs or seeds; wrong numbers in the box are corrected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gradio as gr

from cyclegan_hub.page.components import HERE, Quiet
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.model_info import EpochChoice

# gradio's own slider takes no list of values, has no ticks, and shows an error of its own for a number out of range. This one
# is gradio's HTML component, with a template and a script of ours.
_TEMPLATE = (HERE / "number_slider.html").read_text("utf-8")
_SCRIPT = (HERE / "number_slider.js").read_text("utf-8")


class NumberSlider(gr.HTML, metaclass=Quiet):
    """A slider with a number box and marks. Its value is a whole number; other values, sent by a client, are corrected.

    With `values` (ascending) it is one of them; without, a number from 0 to `most`, and the slider ends at `track`.
    """

    def __init__(
        self,
        value: int = 0,
        *,
        values: Sequence[int] = (),
        track: int = 0,
        most: int = 0,
        best: int = -1,
        note: str = "",
        **options: Any,
    ) -> None:
        # gradio builds the component again for each update from its arguments, so that options may contain these.
        given: dict[str, Any] = {"html_template": _TEMPLATE, "js_on_load": _SCRIPT, "apply_default_css": False} | options
        super().__init__(value, values=list(values), track=track, most=most, best=best, note=note, **given)
        self.most = most

    def get_block_name(self) -> str:
        return "html"

    def preprocess(self, payload: Any) -> int:  # type: ignore[override]  # a number, unlike its base class
        return whole_number(payload, self.most or 2**31 - 1)

    def postprocess(self, value: Any) -> Any:
        return value

    def api_info(self) -> dict[str, Any]:
        return {"type": "integer"}


def whole_number(payload: Any, most: int) -> int:
    """The whole number from 0 to `most` nearest to `payload`; 0 if it is no number."""
    try:
        number = float(payload)
    except (TypeError, ValueError, OverflowError):
        return 0
    return 0 if math.isnan(number) else int(min(max(number, 0), most))


def epoch_slider(elem_id: str) -> NumberSlider:
    """A slider for epochs, empty until `epoch_update` sets them."""
    return NumberSlider(0, label="Epoch", elem_id=elem_id, elem_classes="epoch", scale=3)


def epoch_update(epochs: Sequence[EpochChoice], started_from: str = "") -> dict[str, Any]:
    """The update of the slider for a model: it starts at the best epoch, and is hidden if there is only one."""
    numbers = [epoch.number for epoch in epochs if epoch.number is not None]
    best = next((epoch for epoch in epochs if epoch.best), epochs[-1])
    note = f"Its training started from another model: {started_from}." if started_from else ""
    measured = best.best and best.label.endswith("best")
    value = best.number if best.number is not None else 0
    return gr.update(
        value=value, values=numbers, best=value if measured else -1, note=note, track=0, most=0, visible=len(numbers) > 1
    )


def nearest_epoch(epochs: Sequence[EpochChoice], number: int) -> EpochChoice:
    """The published epoch nearest to a number. Raises ServingError if the model has no epochs any more."""
    if not epochs:
        raise ServingError("There are no epochs of this model any more: reload the page.")
    return min(epochs, key=lambda epoch: abs((epoch.number or 0) - number))
