"""The panel of a model that samples: images of a seed, images between two seeds, one seed by all epochs."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable
from typing import Any

import gradio as gr
from gradio.events import Dependency
from PIL import Image

from cyclegan_hub.imaging.images import png_bytes
from cyclegan_hub.page.components import (
    HIDDEN,
    PRIVATE,
    Number,
    NumberSlider,
    as_html,
    epoch_slider,
    epoch_update,
    explain_sampling_errors,
    private_folder,
    progress_callback,
    saved_file,
    text,
)
from cyclegan_hub.serving.catalog import ModelEntry
from cyclegan_hub.serving.results import labelled_row, save_zip, sheet
from cyclegan_hub.serving.studio import MAX_SAMPLES, MAX_SEED, MAX_STEPS, SHEET, Studio

FULL = 3.0  # end of the truncation's slider: no truncation (0.3 % of normal values are beyond it)
SLIDER_SEEDS = 999  # last seed on the slider; its number box takes seeds up to MAX_SEED


class SamplingPanel:
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        with gr.Column(visible=False, elem_id="sampling") as self.panel:
            self.view = gr.State("samples")
            self.tabs = {}
            with gr.Tabs(elem_id="sampled"):
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
                    self.card = gr.Markdown(elem_id="sampling-card", elem_classes="card")
            self.notes = text("sampling-notes")
            with gr.Row(elem_id="sampling-bottom"):
                self.epoch = epoch_slider("sampling-epoch")
                self.truncation = gr.Slider(
                    0.1, FULL, FULL, step=0.1, label=truncation_label(FULL), buttons=[], scale=3, elem_id="truncation"
                )  # fmt: skip
                self.png = gr.DownloadButton("Save as PNG", variant="primary", scale=1, min_width=120, elem_id="sampling-png")
                self.zip = gr.DownloadButton("Save as zip", scale=1, min_width=120, elem_id="sampling-zip")

    def events(self, model: gr.Radio, after: Iterable[Dependency]) -> None:
        """Connects the events with their handlers; `after` are the events that choose a model."""
        inputs = [model, self.epoch, self.truncation, self.seed, self.n, *self.ends, self.steps]
        galleries = [self.samples, self.between, self.epochs]
        outputs = [self.view, *galleries, self.card, self.notes, self.truncation, self.png, self.zip]
        show = {"outputs": outputs, "show_progress": "minimal", "show_progress_on": [*galleries, self.card], **PRIVATE}
        changed = [one.input for one in inputs[1:]]  # type: ignore[attr-defined]  # gradio adds its events to each class
        other = self.another.click(lambda: random.randrange(SLIDER_SEEDS + 1), None, self.seed, **HIDDEN)
        showing = [
            *(one.then(self.show, [self.view, *inputs], **show) for one in (*after, other)),
            gr.on(changed, self.show, [self.view, *inputs], trigger_mode="always_last", **show),
            *(tab.select(functools.partial(self.show, name), inputs, **show) for name, tab in self.tabs.items()),
        ]
        for one in showing:  # an error removes the images of the request before
            one.failure(lambda: [None, None, None, ""], None, [*galleries, self.notes], **HIDDEN)

    def choose(self, model: ModelEntry) -> dict[Any, Any]:
        """Updates for a newly chosen model: whether the panel is visible, and its epochs."""
        return {self.panel: gr.update(visible=model.is_sampler), self.epoch: epoch_update(model)}

    @property
    def chosen(self) -> list[Any]:
        """The components that `choose` updates."""
        return [self.panel, self.epoch]

    @explain_sampling_errors
    def show(
        self, view: str, name: str, number: int, truncation: float, seed: float | None, n: int, seed_a: float | None,
        seed_b: float | None, steps: int, progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> dict[Any, Any]:  # fmt: skip
        """Updates of the chosen view; the other views are filled when they are opened."""
        model = next((one for one in self.studio.models() if one.name == name and one.is_sampler), None)
        if model is None:
            return {self.view: view}
        epoch = model.nearest_epoch(number)
        limit = None if truncation >= FULL else truncation
        update: dict[Any, Any] = {self.view: view, self.truncation: gr.update(label=truncation_label(truncation))}
        file, note = f"{name}-{epoch.name}", ""
        if view == "between":
            samples = self.studio.interpolate(name, seed_a, seed_b, steps, limit, epoch.name)
            inner = [f"{i} of {len(samples)}" for i in range(2, len(samples))]
            captions = [f"Seed {seed_a:.0f}", *inner, f"Seed {seed_b:.0f}"]
            update[self.between] = list(zip(samples, captions, strict=True))
            note = "The first picture of each seed, and what lies between."
            file = f"{file}-seeds-{seed_a:.0f}-{seed_b:.0f}"
            whole = labelled_row(list(zip(captions, samples, strict=True)))
            single = _numbered(samples)
        elif view == "epochs":
            sheets = self.studio.sample_every_epoch(name, n, seed, limit, progress=progress_callback(progress))
            update[self.epochs] = [(image, epoch.label) for epoch, image in sheets]
            first = f"first {min(n, SHEET)} pictures" if n > 1 else "first picture"
            note = f"The {first} of seed {seed:.0f}, by every epoch."
            file = f"{name}-seed-{seed:.0f}-epochs"
            whole = labelled_row([(f"{epoch.title}\n{epoch.mark}".rstrip(), image) for epoch, image in sheets])
            single = [(epoch.name, image) for epoch, image in sheets]
        else:
            samples = self.studio.sample(name, n, seed, limit, epoch.name)
            file, whole, single = f"{file}-seed-{seed:.0f}", sheet(samples), _numbered(samples)
            if view == "card":
                update[self.card] = self.studio.card(name, epoch.name)
            else:
                update[self.samples] = [(image, f"Picture {i} of seed {seed:.0f}") for i, image in enumerate(samples, 1)]
                note = "Made from random numbers: the same seed always gives the same pictures."
        return update | {
            self.notes: as_html([note]),
            self.png: saved_file(png_bytes(whole), f"{file}.png"),
            self.zip: str(save_zip(single, private_folder(), f"{file}.zip")),
        }


def seed_field(label: str, value: int, elem_id: str) -> gr.Number:
    return Number(value, label=label, minimum=0, maximum=MAX_SEED, precision=0, min_width=120, elem_id=elem_id)


def gallery(elem_id: str, columns: int = 8) -> gr.Gallery:
    return gr.Gallery(
        format="png", show_label=False, columns=columns, height="auto", object_fit="contain", interactive=False, buttons=[],
        elem_id=elem_id, elem_classes="generated",
    )  # fmt: skip


def truncation_label(truncation: float) -> str:
    """The label of the truncation's slider, which explains its value."""
    if truncation >= FULL:
        return "Truncation: none, full variety"
    return f"Truncation {truncation:.1f}: " + ("much alike, rarely odd" if truncation < 1 else "less varied, less odd")


def _numbered(samples: list[Image.Image]) -> list[tuple[str, Image.Image]]:
    return [(f"{i:02d}", image) for i, image in enumerate(samples, 1)]
