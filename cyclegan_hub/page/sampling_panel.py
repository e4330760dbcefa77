"""The panel of a model that draws: samples of a seed, pictures between two seeds, one seed by all epochs."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable
from typing import Any

import gradio as gr
from gradio.events import Dependency
from PIL import Image

from cyclegan_hub.page.components import (
    Number,
    NumberSlider,
    as_html,
    epoch_slider,
    epoch_update,
    explain_drawing_errors,
    nearest_epoch,
    private_folder,
    progress_callback,
    saved_png,
    text,
)
from cyclegan_hub.serving.catalog import DomainChoice, EpochChoice
from cyclegan_hub.serving.results import picture_row, save_zip
from cyclegan_hub.serving.studio import MAX_SAMPLES, MAX_SEED, MAX_STEPS, SHEET, Studio, sheet

FULL = 3.0  # end of the truncation's slider: no truncation (0.3 % of normal values are beyond it)
SLIDER_SEEDS = 999  # last seed on the slider; its number box takes seeds up to MAX_SEED
PRIVATE: dict[str, Any] = {"api_visibility": "private"}


class SamplingPanel:
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        with gr.Column(visible=False, elem_id="drawing") as self.panel:
            self.view = gr.State("samples")
            self.tabs = {}
            with gr.Tabs(elem_id="drawn"):
                with gr.Tab("Samples") as self.tabs["samples"]:
                    with gr.Row(elem_classes="asked"):
                        self.seed = NumberSlider(0, label="Seed", track=SLIDER_SEEDS, most=MAX_SEED, elem_id="seed")
                        self.n = gr.Slider(1, MAX_SAMPLES, 16, step=1, precision=0, label="Pictures", buttons=[], elem_id="n")
                        self.another = gr.Button("Another seed", scale=0, min_width=150, elem_id="another")
                    self.samples = gallery("samples")
                with gr.Tab("Between two seeds") as self.tabs["between"]:
                    with gr.Row(elem_classes="asked"):
                        self.ends = [seed_field("From seed", 0, "seed-a"), seed_field("To seed", 1, "seed-b")]
                        self.steps = gr.Slider(2, MAX_STEPS, 8, step=1, precision=0, label="Steps", buttons=[], elem_id="steps")
                    self.between = gallery("between")
                with gr.Tab("All epochs") as self.tabs["epochs"]:
                    self.epochs = gallery("sheets", columns=5)
                with gr.Tab("About") as self.tabs["card"]:
                    self.card = gr.Markdown(height=372, elem_id="draw-card", elem_classes="card")
            self.notes = text("draw-notes")
            with gr.Row(elem_id="draw-bottom"):
                self.epoch = epoch_slider("draw-epoch")
                self.truncation = gr.Slider(
                    0.1, FULL, FULL, step=0.1, label=truncation_label(FULL), buttons=[], scale=3, elem_id="truncation"
                )  # fmt: skip
                self.png = gr.DownloadButton("Save as PNG", variant="primary", scale=1, min_width=120, elem_id="draw-png")
                self.zip = gr.DownloadButton("Save as zip", scale=1, min_width=120, elem_id="draw-zip")

    def events(self, domain: gr.Radio, after: Iterable[Dependency]) -> None:
        """Connects the events with their handlers; `after` are the events that choose a model."""
        asked = [domain, self.epoch, self.truncation, self.seed, self.n, *self.ends, self.steps]
        galleries = [self.samples, self.between, self.epochs]
        shown = [self.view, *galleries, self.card, self.notes, self.truncation, self.png, self.zip]
        show = {"outputs": shown, "show_progress": "minimal", "show_progress_on": [*galleries, self.card], **PRIVATE}
        given = [one.input for one in asked[1:]]  # type: ignore[attr-defined]  # gradio adds its events to each class
        other = self.another.click(lambda: random.randrange(SLIDER_SEEDS + 1), None, self.seed, show_progress="hidden", **PRIVATE)
        showing = [one.then(self.show, [self.view, *asked], **show) for one in (*after, other)]
        showing += [gr.on(given, self.show, [self.view, *asked], trigger_mode="always_last", **show)]
        showing += [tab.select(functools.partial(self.show, name), asked, **show) for name, tab in self.tabs.items()]
        for one in showing:  # an error removes the pictures of the request before
            one.failure(lambda: [None, None, None, ""], None, [*galleries, self.notes], show_progress="hidden", **PRIVATE)

    def choose(self, choice: DomainChoice, epochs: list[EpochChoice]) -> dict[Any, Any]:
        """Updates for a newly chosen model: whether the panel is visible, and its epochs."""
        return {self.panel: gr.update(visible=choice.draws), self.epoch: epoch_update(epochs, choice.started_from)}

    @property
    def chosen(self) -> list[Any]:
        """The components that `choose` updates."""
        return [self.panel, self.epoch]

    @explain_drawing_errors
    def show(
        self, view: str, domain: str, number: int, truncation: float, seed: float | None, n: int, seed_a: float | None,
        seed_b: float | None, count: int, progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> dict[Any, Any]:  # fmt: skip
        """Updates of the chosen view; the other views are filled when they are opened."""
        if not any(choice.draws for choice in self.studio.domains() if choice.name == domain):
            return {self.view: view}
        epoch = nearest_epoch(self.studio.epochs(domain), number)
        update: dict[Any, Any] = {
            self.view: view,
            self.truncation: gr.update(label=truncation_label(truncation)),
        }
        limit = None if truncation >= FULL else truncation
        name = f"{domain}-{epoch.name}"
        match view:
            case "between":
                pictures = self.studio.interpolate(domain, seed_a, seed_b, count, limit, epoch.name).pictures
                inner = [f"{i} of {len(pictures)}" for i in range(2, len(pictures))]
                named = list(zip([f"Seed {seed_a:.0f}", *inner, f"Seed {seed_b:.0f}"], pictures, strict=True))
                update |= {
                    self.between: captioned(named),
                    self.notes: as_html(["The first picture of each seed, and what lies between."]),
                }
                return update | self.saving(picture_row(named), f"{name}-seeds-{seed_a:.0f}-{seed_b:.0f}", enumerate(pictures, 1))
            case "epochs":
                sheets = self.studio.sample_every_epoch(domain, n, seed, limit, progress=progress_callback(progress))
                which = f"first {min(n, SHEET)} pictures" if n > 1 else "first picture"
                update |= {
                    self.epochs: [(picture, epoch.label) for epoch, picture in sheets],
                    self.notes: as_html([f"The {which} of seed {seed:.0f}, drawn by every epoch."]),
                }
                single = [(epoch.name, picture) for epoch, picture in sheets]
                return update | self.saving(
                    picture_row([(epoch.label.replace(" · ", "\n"), picture) for epoch, picture in sheets]),
                    f"{domain}-seed-{seed:.0f}-epochs",
                    single,
                )
        pictures = self.studio.sample(domain, n, seed, limit, epoch.name).pictures
        if view == "card":
            update |= {self.card: self.studio.card(domain, epoch.name), self.notes: ""}
        else:
            named = [(f"Picture {i} of seed {seed:.0f}", picture) for i, picture in enumerate(pictures, 1)]
            note = "Drawn from random numbers: the same seed always gives the same pictures."
            update |= {self.samples: captioned(named), self.notes: as_html([note])}
        return update | self.saving(sheet(pictures), f"{name}-seed-{seed:.0f}", enumerate(pictures, 1))

    def saving(self, whole: Any, name: str, single: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        """Writes the two files to save: one PNG with all pictures, and a zip with each picture at its own size."""
        named = [(f"{i:02d}" if isinstance(i, int) else i, picture) for i, picture in single]
        return {self.png: saved_png(whole, f"{name}.png"), self.zip: str(save_zip(named, private_folder(), f"{name}.zip"))}


def seed_field(label: str, value: int, elem_id: str) -> gr.Number:
    return Number(value, label=label, minimum=0, maximum=MAX_SEED, precision=0, min_width=120, elem_id=elem_id)


def gallery(elem_id: str, columns: int = 8) -> gr.Gallery:
    return gr.Gallery(
        format="png", show_label=False, columns=columns, height="auto", object_fit="contain", interactive=False, buttons=[],
        elem_id=elem_id, elem_classes="drawn",
    )  # fmt: skip


def captioned(named: list[tuple[str, Image.Image]]) -> list[tuple[Image.Image, str]]:
    """(picture, caption) for a gallery; the caption is also the alternative text."""
    return [(picture, caption) for caption, picture in named]


def truncation_label(truncation: float) -> str:
    """The label of the truncation's slider, which explains its value."""
    if truncation >= FULL:
        return "Truncation: none, all it can draw"
    return f"Truncation {truncation:.1f}: " + ("much alike, rarely odd" if truncation < 1 else "less varied, less odd")
