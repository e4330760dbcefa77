"""A slider that speaks the numbers themselves: published epochs, or seeds. Whatever is typed into its box does no harm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gradio as gr

from cyclegan_hub.page.components import HERE, Quiet
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.model_info import EpochChoice

# gradio's own slider knows no list of values, has no ticks, and answers a number out of its range with an error before any
# handler is asked. This one is its HTML component, with a template and a script of ours.
_TEMPLATE = (HERE / "number_slider.html").read_text("utf-8")
_SCRIPT = (HERE / "number_slider.js").read_text("utf-8")


class NumberSlider(gr.HTML, metaclass=Quiet):
    """A track, a box for a number, and marks. Hands over a whole number: what was sent by other means than the page is mended.

    With `values` one of these, ascending; without, a whole number from 0 to `most`, of which the track reaches `track`.
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
        # gradio makes the component anew for each update, from all that it was made of: nothing may be given twice.
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
    """The whole number from 0 to `most` that comes nearest to what was sent; 0 for what is no number."""
    try:
        number = float(payload)
    except (TypeError, ValueError, OverflowError):
        return 0
    return 0 if math.isnan(number) else int(min(max(number, 0), most))


def epoch_slider(elem_id: str) -> NumberSlider:
    """The slider over the epochs of a model, before `epoch_update` says which there are."""
    return NumberSlider(0, label="Epoch", elem_id=elem_id, elem_classes="epoch", scale=3)


def epoch_update(epochs: Sequence[EpochChoice], started_from: str = "") -> dict[str, Any]:
    """What the slider is updated with for a model: it starts at the best epoch, and is not there for a single one."""
    numbers = [epoch.number for epoch in epochs if epoch.number is not None]
    best = next((epoch for epoch in epochs if epoch.best), epochs[-1])
    note = f"Its training started from another model: {started_from}." if started_from else ""
    measured = best.best and best.label.endswith("best")
    value = best.number if best.number is not None else 0
    return gr.update(
        value=value, values=numbers, best=value if measured else -1, note=note, track=0, most=0, visible=len(numbers) > 1
    )


def nearest_epoch(epochs: Sequence[EpochChoice], number: int) -> EpochChoice:
    """The published epoch that comes nearest to a number. Raises ServingError where the model has none any more."""
    if not epochs:
        raise ServingError("There are no epochs of this model any more: reload the page.")
    return min(epochs, key=lambda epoch: abs((epoch.number or 0) - number))
