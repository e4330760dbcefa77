"""The panel of a model that samples: images of a seed, what each epoch makes of it, and images between two seeds."""

from __future__ import annotations

import random
from typing import Any, Literal, NamedTuple

import gradio as gr

from cyclegan_hub.page import components as ui
from cyclegan_hub.page.components import Panel, Props, Updates
from cyclegan_hub.serving.catalog import EpochEntry, ModelEntry
from cyclegan_hub.serving.results import labelled_row, sheet
from cyclegan_hub.serving.studio import MAX_SAMPLES, MAX_SEED, MAX_STEPS, Progress, Studio

FULL = 3.0  # end of the truncation's slider: no truncation (0.3 % of normal values are beyond it)
SLIDER_SEEDS = 999  # last seed on the slider; its number box takes seeds up to MAX_SEED


class Settings(NamedTuple):
    """The values of the components, in the order in which the handlers get them."""

    epoch: int | None = None  # None: the best
    truncation: float = FULL
    seed: float | None = 0
    n: int = 16
    seed_a: float | None = 0
    seed_b: float | None = 1
    steps: int = 8
    opened: bool = False  # whether the details are open
    detail: Literal["card", "between"] = "card"

    @property
    def limit(self) -> float | None:
        """The truncation as the Studio takes it."""
        return None if self.truncation >= FULL else self.truncation

    def epoch_of(self, model: ModelEntry) -> EpochEntry:
        return model.best_epoch if self.epoch is None else model.nearest_epoch(self.epoch)


class SamplingPanel(Panel):
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    samples = True
    error_title = ui.NOT_GENERATED
    record = Settings

    def __init__(self, studio: Studio, model: gr.Radio, first: ModelEntry | None) -> None:
        super().__init__(studio, model)
        self.first = self.props(first, Settings()) if first else {}
        self.panel = self.add("panel", gr.Column, visible=False, elem_id="sampling")
        with self.panel:
            with gr.Row(elem_id="sampled"):
                with gr.Column(scale=4, min_width=300, elem_id="asked"):
                    ui.text("sampling-note", "sampling.html")
                    self.another = self.add("another", gr.Button, value="New pictures", variant="primary", elem_id="another")
                    with gr.Row(elem_id="sampling-keep"):
                        self.save, self.zip = self._save_buttons("save", "zip", "sampling", "Save")
                        self.copy = gr.Button("Copy", size="md", min_width=90, elem_id="sampling-copy")
                    self.told = self.add("told", ui.text, "sampling-told")
                with gr.Column(scale=7, min_width=320, elem_id="samples-shown"):
                    self.shown = self._gallery("shown", "samples", columns=4)
            self.watch = self.add("watch", gr.Accordion, "Watch it learn", open=False, elem_id="sampling-watch")
            with self.watch:
                self.watching = gr.State(False)
                ui.text("sampling-watch-note", "watch.html")
                self.epoch = self.add("epoch", ui.epoch_slider, elem_id="sampling-epoch")
                self.strip = self._gallery("strip", "sheets", columns=5)
                with gr.Row():
                    self.strip_png, self.strip_zip = self._save_buttons("strip_png", "strip_zip", "sheets")
            with gr.Accordion("Details", open=False, elem_id="sampling-details") as self.details:
                self._add_details()
        self.progress = [self.shown, self.between]

    def _add_details(self) -> None:
        """`visible=False`: its components are sent to the browser when it is opened."""
        self.opened, self.detail = self.add("opened", gr.State, value=False), self.add("detail", gr.State, value="card")
        slider: dict[str, Any] = {"precision": 0, "step": 1, "buttons": []}
        with gr.Row(elem_id="settings"):
            self.seed = ui.NumberSlider(0, label="Seed", track=SLIDER_SEEDS, most=MAX_SEED, elem_id="seed")
            self.n = gr.Slider(1, MAX_SAMPLES, 16, label="Pictures", elem_id="n", **slider)
            self.truncation = self.add(
                "truncation", gr.Slider, 0.1, FULL, FULL, step=0.1, label=truncation_label(FULL), buttons=[], elem_id="truncation"
            )
        self.tabs = {}
        with gr.Tabs():
            with gr.Tab("About this model", id="card") as self.tabs["card"]:
                self.card = self.add("card", gr.Markdown, visible=False, elem_id="sampling-card", elem_classes="card")
            with gr.Tab("Between two seeds", id="between") as self.tabs["between"]:
                with gr.Row():
                    self.seed_a, self.seed_b = (
                        self.add(
                            name, ui.Number, value, label=label, minimum=0, maximum=MAX_SEED, precision=0, min_width=120,
                            visible=False, elem_id=name.replace("_", "-"),
                        )
                        for name, value, label in (("seed_a", 0, "From seed"), ("seed_b", 1, "To seed"))
                    )  # fmt: skip
                    self.steps = gr.Slider(2, MAX_STEPS, 8, label="Steps", elem_id="steps", **slider)
                self.between = self._gallery("between", "between")
                with gr.Row():
                    self._save_buttons("between_png", "between_zip", "between")

    def _save_buttons(
        self, png: str, archive: str, elem_id: str, label: str = "Save as PNG"
    ) -> tuple[gr.DownloadButton, gr.DownloadButton]:
        """The buttons that save images as one PNG, and as a zip of all."""
        options: dict[str, Any] = {"size": "md", "min_width": 90}
        return (
            self.add(png, gr.DownloadButton, label, variant="primary", elem_id=f"{elem_id}-png", **options),
            self.add(archive, gr.DownloadButton, "Save all as zip", elem_id=f"{elem_id}-zip", **options),
        )

    def _gallery(self, name: str, elem_id: str, columns: int = 8) -> gr.Gallery:
        return self.add(
            name, gr.Gallery, format="png", show_label=False, columns=columns, height="auto", object_fit="contain",
            interactive=False, buttons=[], visible=False, elem_id=elem_id, elem_classes="generated",
        )  # fmt: skip

    def events(self) -> None:
        """Connects the events with their handlers."""
        show: dict[str, Any] = {"inputs": self.inputs, "outputs": self.outputs, "show_progress_on": self.progress, **ui.PROGRESS}
        changed = [one.input for one in self.inputs[1:-2]]
        another = self.another.click(lambda: random.randrange(SLIDER_SEEDS + 1), None, self.seed, **ui.HIDDEN)
        self.fold_events(show, [another.then(self.show, **show), gr.on(changed, self.show, trigger_mode="always_last", **show)])

    def chosen(self, model: ModelEntry) -> Updates:
        """Updates for a newly chosen model: its images of the first seed."""
        return self.updates(self.props(model, Settings()))

    def hidden(self) -> Updates:
        """Updates for a newly chosen model that translates."""
        return {self.panel: gr.update(visible=False)}

    # ------------------------------------------------------------------------------------------------ the state
    def props(self, model: ModelEntry, choices: Settings, fresh: bool = True) -> Props:
        epoch = choices.epoch_of(model)
        samples, seed = self.studio.sample(model.name, choices.n, choices.seed, choices.limit, epoch.name), f"{choices.seed:.0f}"
        captions = [f"Picture {i} of seed {seed}" for i in range(1, len(samples) + 1)]
        png, archive = ui.saved_set(f"{model.name}-{epoch.name}-seed-{seed}", sheet(samples), _numbered(samples))
        props: Props = {
            "shown": {"value": list(zip(samples, captions, strict=True)), "visible": True},
            "save": {"value": png},
            "zip": {"value": archive},
            "told": {"value": ""},
            "truncation": {"label": truncation_label(choices.truncation)},
            **self.looked(model, choices),
        }
        if fresh:
            props |= {
                "panel": {"visible": True},
                "another": {"value": f"New {model.labels[0]}s"},
                "watch": {"visible": len(model.epochs) > 1},
                "epoch": ui.epoch_props(model, choices.epoch),
            }
        return props

    def looked(self, model: ModelEntry, choices: Settings) -> Props:
        """What the details show, while they are open."""
        props: Props = {"epoch": ui.epoch_marks(model)}
        if not choices.opened:
            return props
        props |= {"opened": {"value": True}, "detail": {"value": choices.detail}}
        props |= {name: {"visible": True} for name in ("seed_a", "seed_b")}
        epoch = choices.epoch_of(model).name
        if choices.detail == "card":
            return props | {"card": {"visible": True, "value": self.studio.card(model.name, epoch)}}
        a, b = choices.seed_a, choices.seed_b
        between = self.studio.interpolate(model.name, a, b, choices.steps, choices.limit, epoch)
        captions = [f"Seed {a:.0f}", *(f"{i} of {len(between)}" for i in range(2, len(between))), f"Seed {b:.0f}"]
        whole = labelled_row(list(zip(captions, between, strict=True)))
        png, archive = ui.saved_set(f"{model.name}-{epoch}-seeds-{a:.0f}-{b:.0f}", whole, _numbered(between))
        return props | {
            "between": {"value": list(zip(between, captions, strict=True)), "visible": True},
            "between_png": {"value": png},
            "between_zip": {"value": archive},
        }

    def strip_of(self, model: ModelEntry, choices: Settings, progress: Progress) -> ui.Strip:
        sheets = self.studio.sample_every_epoch(model.name, choices.n, choices.seed, choices.limit, progress=progress)
        whole = labelled_row([(f"{epoch.title}\n{epoch.mark}".rstrip(), image) for epoch, image in sheets])
        shown, single = [(image, epoch.label) for epoch, image in sheets], [(epoch.name, image) for epoch, image in sheets]
        return shown, f"{model.name}-seed-{choices.seed:.0f}-epochs", whole, single


def truncation_label(truncation: float) -> str:
    """The label of the truncation's slider, which explains its value."""
    if truncation >= FULL:
        return "Truncation: none, full variety"
    return f"Truncation {truncation:.1f}: " + ("much alike, rarely odd" if truncation < 1 else "less varied, less odd")


def _numbered(samples: list[Any]) -> list[tuple[str, Any]]:
    return [(f"{i:02d}", image) for i, image in enumerate(samples, 1)]
