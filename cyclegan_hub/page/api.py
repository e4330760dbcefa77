"""The page's named endpoints, for `gradio_client`, curl and MCP."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan_hub.models.photograph import DEFAULT, Options
from cyclegan_hub.page import components as ui
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.studio import Studio

FIELDS = (
    "name", "title", "kind", "directions", "labels", "faces", "skip", "image_size", "source", "origin", "licence",
    "redistributable",
)  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "face": DEFAULT.face, "whole": DEFAULT.whole, "strength": DEFAULT.strength,
    "n": 16, "seed": 0, "seed_a": 0, "seed_b": 1, "steps": 8,
}  # fmt: skip
sampling_errors = functools.partial(ui.explain_errors, title=ui.NOT_GENERATED)


class Endpoints:
    """Adds the endpoints to the current Blocks, with components of their own that are never shown."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        numbers = ("n", "seed", "seed_a", "seed_b", "steps", "strength", "truncation")
        with gr.Group(visible=False):
            inputs = {
                "image": hidden(ui.PhotoInput, "image", format="png"),
                "files": hidden(ui.Files, "files", file_count="multiple"),
                "epoch": hidden(gr.Number, "epoch", precision=0),
                "whole": hidden(gr.Checkbox, "whole", value=DEFAULTS["whole"]),
                # Their values are the clients' defaults; curl may give null for them.
                **{name: hidden(gr.Textbox, name, value=DEFAULTS.get(name)) for name in ("domain", "direction", "face")},
                **{name: hidden(ui.Number, name, value=DEFAULTS.get(name)) for name in numbers},
            }
            gallery, answer = hidden(gr.Gallery, "gallery", format="png"), hidden(gr.JSON, "answer")
            for function, outputs in (
                (self.translate, inputs["image"]),
                (self.translate_batch, [gallery, hidden(gr.File, "zip")]),
                (self.sample, gallery),
                (self.interpolate, gallery),
                (self.epochs, answer),
                (self.domains, answer),
            ):
                name, arguments = function.__name__, [inputs[one] for one in signature(function).parameters]
                gr.Button(name).click(function, arguments, outputs, api_name=name, api_visibility="public")

    @ui.explain_errors
    def translate(
        self, image: str | None, domain: str, direction: str, epoch: int | None = None,
        face: str | None = "auto", whole: bool | None = False, strength: float | None = 1.0,
    ) -> Image.Image:  # fmt: skip
        """Translates one image of any size and returns it as a PNG file.

        Where the direction's input is a face, the largest one is found and aligned; if none is found, a warning says so and the
        whole image is translated.

        Args:
            image: the image, as a file or a data: URL: JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF or PPM.
            domain: a name from /domains, such as "anime".
            direction: "a_to_b" or "b_to_a"; /domains has the labels of A and B.
            epoch: a number from /epochs; without it the best one.
            face: "auto" for the largest face, a number for another one (0 is the largest), "all" for all (with whole), "none" to
                translate the image as it is.
            whole: whether to return the whole photograph with the translated face in its place.
            strength: how much is changed, from 0 to 1.5, by a model with `skip` in /domains; usually 1.
        """
        if not image:
            raise ServingError("No image was given.")
        photo = self.studio.open(Path(image), domain, direction)
        result = self.studio.translate(photo, epoch, given_options(face, whole, strength))
        ui.warn(result.notes)
        return result.after

    @ui.explain_errors
    def translate_batch(
        self, files: list[str] | None, domain: str, direction: str, epoch: int | None = None,
        face: str | None = "auto", whole: bool | None = False, strength: float | None = 1.0,
    ) -> tuple[list[tuple[Image.Image, str]], str]:  # fmt: skip
        """Translates several images; returns a gallery of small ones, and a zip of all as PNG files.

        A file that cannot be translated is left out, and a warning says why.

        Args:
            files: the images, as files or data: URLs.
            domain: a name from /domains.
            direction: "a_to_b" or "b_to_a".
            epoch: a number from /epochs; without it the best one.
            face: as of /translate.
            whole: as of /translate.
            strength: as of /translate.
        """
        paths, options = [Path(file) for file in files or ()], given_options(face, whole, strength)
        batch = self.studio.translate_batch(paths, domain, direction, epoch, options, folder=ui.private_folder())
        if not batch.zip:
            raise ServingError(f"None of the files could be translated. {' '.join(batch.errors)}")
        ui.warn([*batch.lines, *batch.errors])
        return [(image, name) for name, image in batch.thumbnails], str(batch.zip)

    @sampling_errors
    def sample(
        self, domain: str, n: int | None, seed: int | None, truncation: float | None = None, epoch: int | None = None
    ) -> list[tuple[Image.Image, str]]:
        """Generates images from a seed, by a model whose directions are ["samples"]; the same seed gives the same images.

        Args:
            domain: a name from /domains, such as "faces".
            n: how many, from 1 to 36; usually 16.
            seed: from 0 to 2147483647; usually 0.
            truncation: a number above 0, such as 1: the lower, the fewer odd images and the less variety; without it none.
            epoch: a number from /epochs; without it the best one.
        """
        return numbered(self.studio.sample(domain, truncation=truncation, epoch=epoch, **with_defaults(n=n, seed=seed)))

    @sampling_errors
    def interpolate(
        self, domain: str, seed_a: int | None, seed_b: int | None, steps: int | None,
        truncation: float | None = None, epoch: int | None = None,
    ) -> list[tuple[Image.Image, str]]:  # fmt: skip
        """Generates the first image of two seeds and what lies between, by a model whose directions are ["samples"].

        Args:
            domain: a name from /domains, such as "faces".
            seed_a: the first seed, from 0 to 2147483647; usually 0.
            seed_b: the second seed; usually 1.
            steps: how many images, both ends included, from 2 to 16; usually 8.
            truncation: as of /sample.
            epoch: a number from /epochs; without it the best one.
        """
        given = with_defaults(seed_a=seed_a, seed_b=seed_b, steps=steps)
        return numbered(self.studio.interpolate(domain, truncation=truncation, epoch=epoch, **given))

    @ui.explain_errors
    def epochs(self, domain: str) -> list[dict[str, Any]]:
        """The published epochs of a domain, ascending: number, label, and whether it is the best one.

        Args:
            domain: a name from /domains.
        """
        epochs = self.studio.model(domain).epochs
        return [{"epoch": epoch.number, "label": epoch.label, "best": epoch.best} for epoch in epochs]

    @ui.explain_errors
    def domains(self) -> list[dict[str, Any]]:
        """Lists the models: name, kind, what it translates or generates, image size, and the terms of its training images.

        kind: "cyclegan" (directions a_to_b and b_to_a), "pix2pix" (a_to_b) or "dcgan" (samples: it generates images).
        """
        return [{field: getattr(model, field) for field in FIELDS} for model in self.studio.models()]


def hidden(kind: Callable[..., Any], label: str, **options: Any) -> Any:
    """A component that is never shown, and that the browser does not ask for, as it does for those of a hidden group."""
    return kind(label=label, visible=False, **options)


def given_options(face: str | None, whole: bool | None, strength: float | None) -> Options:
    """The options of a translation; `face` is a number as text, or one of its words."""
    given = with_defaults(face=face or None, whole=whole, strength=strength)
    number = str(given["face"]).strip()
    return Options(**given | {"face": int(number) if number.isdecimal() and len(number) < 6 else number})


def with_defaults(**given: Any) -> dict[str, Any]:
    """The values by name, with the default for each that is None."""
    return {name: DEFAULTS[name] if value is None else value for name, value in given.items()}


def numbered(samples: list[Image.Image]) -> list[tuple[Image.Image, str]]:
    """(image, "3 of 16") for a gallery."""
    return [(image, f"{i} of {len(samples)}") for i, image in enumerate(samples, 1)]
