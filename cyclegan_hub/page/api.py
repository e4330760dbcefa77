"""The page's named endpoints, for `gradio_client`, curl and MCP."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan_hub.page.answers import explain_drawing_errors, explain_errors, private_folder
from cyclegan_hub.page.components import Files, Number, Photo
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.studio import Studio

FIELDS = (
    "name", "title", "kind", "directions", "labels", "faces", "image_size", "source", "origin", "licence", "redistributable",
)  # fmt: skip
DEFAULTS = {"n": 16, "seed": 0, "seed_a": 0, "seed_b": 1, "steps": 8}


class Endpoints:
    """Adds the endpoints to the current Blocks, with components of their own that are never shown."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        with gr.Group(visible=False):
            image, domain = Photo(label="image", format="png"), gr.Textbox(label="domain")
            direction, epoch = gr.Textbox(label="direction"), gr.Number(label="epoch", precision=0)
            # Their values are the clients' defaults; curl may give null for them.
            n, seed, seed_a, seed_b, steps = (Number(value, label=label) for label, value in DEFAULTS.items())
            truncation = Number(label="truncation")
            files, zipped = Files(label="files", file_count="multiple", type="filepath"), gr.File(label="zip")
            gallery, answer = gr.Gallery(label="gallery", format="png"), gr.JSON(label="answer")
            for name, function, given, back in (
                ("translate", self.translate, [image, domain, direction, epoch], image),
                ("translate_batch", self.translate_batch, [files, domain, direction, epoch], [gallery, zipped]),
                ("sample", self.sample, [domain, n, seed, truncation, epoch], gallery),
                ("interpolate", self.interpolate, [domain, seed_a, seed_b, steps, truncation, epoch], gallery),
                ("epochs", self.epochs, [domain], answer),
                ("domains", self.domains, [], answer),
            ):
                gr.Button(name).click(function, given, back, api_name=name, api_visibility="public")

    @explain_errors
    def translate(self, image: str | None, domain: str, direction: str, epoch: int | None = None) -> Image.Image:
        """Translates one picture of any size and returns it as a PNG file.

        Args:
            image: the picture, as a file: JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF or PPM.
            domain: a name from /domains, such as "anime".
            direction: "a_to_b" or "b_to_a"; /domains has the labels of both sides.
            epoch: a number from /epochs; without it the best one.
        """
        if not image:
            raise ServingError("No image was given.")
        return self.studio.translate(Path(image), domain, direction, epoch).after

    @explain_errors
    def translate_batch(
        self, files: list[str] | None, domain: str, direction: str, epoch: int | None = None
    ) -> tuple[list[tuple[Image.Image, str]], str]:
        """Translates several pictures; returns a gallery of small ones, and a zip of all as PNG files.

        A file that cannot be translated is left out, and a warning says why.

        Args:
            files: the pictures, as files.
            domain: a name from /domains.
            direction: "a_to_b" or "b_to_a".
            epoch: a number from /epochs; without it the best one.
        """
        paths = [Path(file) for file in files or ()]
        batch = self.studio.translate_batch(paths, domain, direction, epoch, folder=private_folder())
        if not batch.zip:
            raise ServingError(f"None of the files could be translated. {' '.join(batch.errors)}")
        for error in batch.errors:
            gr.Warning(html.escape(error, quote=False))
        return [(picture, name) for name, picture in batch.pictures], str(batch.zip)

    @explain_drawing_errors
    def sample(
        self, domain: str, n: int | None, seed: int | None, truncation: float | None = None, epoch: int | None = None
    ) -> list[tuple[Image.Image, str]]:
        """Draws pictures of a seed, by a model whose directions are ["samples"]; the same seed gives the same pictures.

        Args:
            domain: a name from /domains, such as "faces".
            n: how many, from 1 to 36; usually 16.
            seed: from 0 to 2147483647; usually 0.
            truncation: a number above 0, such as 1: the lower, the fewer odd pictures and the less variety; without it none.
            epoch: a number from /epochs; without it the best one.
        """
        given = with_defaults(n=n, seed=seed)
        pictures = self.studio.sample(domain, truncation=truncation, epoch=epoch, **given).pictures
        return [(picture, f"{i} of {len(pictures)}") for i, picture in enumerate(pictures, 1)]

    @explain_drawing_errors
    def interpolate(
        self, domain: str, seed_a: int | None, seed_b: int | None, steps: int | None,
        truncation: float | None = None, epoch: int | None = None,
    ) -> list[tuple[Image.Image, str]]:  # fmt: skip
        """Draws the first picture of two seeds and what lies between, by a model whose directions are ["samples"].

        Args:
            domain: a name from /domains, such as "faces".
            seed_a: the first seed, from 0 to 2147483647; usually 0.
            seed_b: the second seed; usually 1.
            steps: how many pictures, both ends included, from 2 to 16; usually 8.
            truncation: as of /sample.
            epoch: a number from /epochs; without it the best one.
        """
        given = with_defaults(seed_a=seed_a, seed_b=seed_b, steps=steps)
        pictures = self.studio.interpolate(domain, truncation=truncation, epoch=epoch, **given).pictures
        return [(picture, f"{i} of {len(pictures)}") for i, picture in enumerate(pictures, 1)]

    @explain_errors
    def epochs(self, domain: str) -> list[dict[str, Any]]:
        """The published epochs of a domain, ascending: number, label, and whether it is the best one.

        Args:
            domain: a name from /domains.
        """
        return [{"epoch": epoch.number, "label": epoch.label, "best": epoch.best} for epoch in self.studio.epochs(domain)]

    @explain_errors
    def domains(self) -> list[dict[str, Any]]:
        """Lists the models: name, kind, what it translates or draws, image size, and the terms of its training images.

        kind: "cyclegan" (directions a_to_b and b_to_a), "pix2pix" (a_to_b) or "dcgan" (samples: it draws).
        """
        return [{field: getattr(choice, field) for field in FIELDS} for choice in self.studio.domains()]


def with_defaults(**given: Any) -> dict[str, Any]:
    """The values by name, with the default for each that is None."""
    return {name: DEFAULTS[name] if value is None else value for name, value in given.items()}
