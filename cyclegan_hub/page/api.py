"""The page's named endpoints, for `gradio_client`, curl and MCP."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan_hub.page.parts import Files, Photo, answered, private_folder
from cyclegan_hub.serving import ServingError, Studio

FIELDS = ("name", "title", "labels", "faces", "image_size", "source", "origin", "licence", "redistributable")


class Endpoints:
    """Adds the endpoints to the Blocks it is made in, on components of their own that are never shown."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        with gr.Group(visible=False):
            image, domain = Photo(label="image", format="png"), gr.Textbox(label="domain")
            direction, epoch = gr.Textbox(label="direction"), gr.Number(label="epoch", precision=0)
            files, zipped = Files(label="files", file_count="multiple", type="filepath"), gr.File(label="zip")
            gallery, answer = gr.Gallery(label="gallery", format="png"), gr.JSON(label="answer")
            for name, function, given, back in (
                ("translate", self.translate, [image, domain, direction, epoch], image),
                ("translate_batch", self.translate_batch, [files, domain, direction, epoch], [gallery, zipped]),
                ("epochs", self.epochs, [domain], answer),
                ("domains", self.domains, [], answer),
            ):
                gr.Button(name).click(function, given, back, api_name=name, api_visibility="public")

    @answered
    def translate(self, image: str | None, domain: str, direction: str, epoch: int | None = None) -> Image.Image:
        """Translates one picture of any size and returns it as a PNG file.

        Args:
            image: the picture, as a file: JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF or PPM.
            domain: a name from /domains, such as "anime".
            direction: "a_to_b" or "b_to_a"; /domains has the labels of both sides.
            epoch: a number from /epochs; without it the best one.
        """
        if not image:
            raise ServingError("No image was given.")
        return self.studio.translate(Path(image), domain, direction, epoch).after

    @answered
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

    @answered
    def epochs(self, domain: str) -> list[dict[str, Any]]:
        """The published epochs of a domain, ascending: number, label, and whether it is the best one.

        Args:
            domain: a name from /domains.
        """
        return [{"epoch": epoch.number, "label": epoch.label, "best": epoch.best} for epoch in self.studio.epochs(domain)]

    @answered
    def domains(self) -> list[dict[str, Any]]:
        """What can be translated: name, title, labels of a and b, the size it was trained at, the terms of its data."""
        return [{field: getattr(choice, field) for field in FIELDS} for choice in self.studio.domains()]
