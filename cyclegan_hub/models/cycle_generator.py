"""What is published of a CycleGAN: both generators in one model, with everything needed to use them on any image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args, overload

from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.models.generators import Kind, Padding, Upsample, build_generator
from cyclegan_hub.models.photograph import FaceChoice, Options
from cyclegan_hub.models.protocols import (
    Examples,
    MeasuredBy,
    ascii_label,
    check_eyes,
    check_positive,
    check_value_range,
    whole_number,
)
from cyclegan_hub.models.translate import Plan, Resolution, Source, Sources, fit_to, photograph, translate_pictures

Direction = Literal["a_to_b", "b_to_a"]


class CycleGenerator(
    nn.Module,
    StrictHubMixin,
    library_name="cyclegan_hub",
    tags=["cyclegan", "image-to-image", "unpaired", "gan"],
    pipeline_tag="image-to-image",
    paper_url="https://arxiv.org/abs/1703.10593",
    model_card_template=(MODEL_CARDS / "bare.md").read_text("utf-8"),
):
    """Both directions of a CycleGAN (Zhu et al. 2017): `a_to_b` and `b_to_a`, each images in [-1, 1] -> images in [-1, 1].

    `channels`, `width`, `blocks`, `generator`, `upsample`, `padding`, `dropout` and `skip` describe the networks (see
    `models/generators.py`); `image_size` is the side they were trained at, `value_range` what was black and white in its
    16-bit images (None: 0 and 65,535), `eyes_a` and `eyes_b` where the eyes of faces lie in images of A and B (left x, left y,
    right x, right y, in shares of the side; None: the images are used as they are), `domain`, `labels` and `epoch` say what
    they are. All of it is in `config.json`: `CycleGenerator.from_pretrained("user/name")` needs nothing else.
    """

    method: ClassVar[str] = "cyclegan"
    title: ClassVar[str] = "{a} ↔ {b}"
    _since: ClassVar[Mapping[int, Mapping[str, Any]]] = {
        2: {"skip": False, "value_range": None},
        3: {"eyes_a": None, "eyes_b": None},
    }
    directions: ClassVar[tuple[str, ...]] = ("a_to_b", "b_to_a")
    data_sides: ClassVar[tuple[str, ...]] = ("a", "b")
    label_count: ClassVar[int] = 2
    batch_unit: ClassVar[str] = "pairs"
    outputs_called: ClassVar[str] = "translations"
    takes_pictures: ClassVar[bool] = True
    card_template: ClassVar[str] = "card.md"
    measured_by: ClassVar[MeasuredBy] = "sides"

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        generator: Kind = "resnet",
        upsample: Upsample = "resize",
        padding: Padding = "reflect",
        dropout: float = 0.0,
        image_size: int = 256,
        domain: str = "",
        labels: Sequence[str] = ("A", "B"),
        epoch: int | None = None,
        skip: bool = False,
        value_range: Sequence[int] | None = None,
        eyes_a: Sequence[float] | None = None,
        eyes_b: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(labels, str) or len(labels) != 2 or not all(isinstance(label, str) for label in labels):
            raise UserError(f"labels={labels!r}: give two, of A and of B")
        check_positive(channels=channels, width=width, blocks=blocks, image_size=image_size)
        self.a_to_b, self.b_to_a = (
            build_generator(
                generator, channels=channels, width=width, blocks=blocks, upsample=upsample, padding=padding, dropout=dropout,
                skip=skip,
            )
            for _ in range(2)
        )  # fmt: skip
        self.channels, self.image_size, self.domain, self.epoch = channels, image_size, domain, epoch
        self.labels: tuple[str, ...] = (labels[0], labels[1])
        self.value_range = check_value_range(value_range)
        self.eyes: Mapping[str, Eyes | None] = {
            "a_to_b": check_eyes(eyes_a),
            "b_to_a": check_eyes(eyes_b),
        }  # of a direction's inputs

    def forward(self, x: Tensor, direction: Direction = "a_to_b") -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> (N, C, H, W) in [-1, 1]; sides that fit the network (multiples of 4 for a ResNet)."""
        y: Tensor = self.network(direction)(x)
        return y

    @overload
    def translate(
        self, image: Source, direction: Direction = ..., resolution: Resolution = ..., batch_size: int = ..., *,
        face: FaceChoice = ..., whole: bool = ..., strength: float = ..., detail: bool | None = ...,
    ) -> Image.Image: ...  # fmt: skip
    @overload
    def translate(
        self, image: Sources, direction: Direction = ..., resolution: Resolution = ..., batch_size: int = ..., *,
        face: FaceChoice = ..., whole: bool = ..., strength: float = ..., detail: bool | None = ...,
    ) -> list[Image.Image]: ...  # fmt: skip
    def translate(
        self,
        image: Source | Sources,
        direction: Direction = "a_to_b",
        resolution: Resolution = None,
        batch_size: int = 8,
        *,
        face: FaceChoice = "auto",
        whole: bool = False,
        strength: float = 1.0,
        detail: bool | None = None,
    ) -> Image.Image | list[Image.Image]:
        """Translates one image, or a list of them, of any size: PIL images, arrays, tensors, paths or bytes.

        `face`: where the direction's inputs are faces (`eyes`), "auto" finds the largest one and brings its eyes to where the
        network knows them; the result is that square. If no face is found, all of the image is translated, with a
        FaceNotFoundWarning. A number chooses another face (0 is the largest), "none" takes the image as it is.
        `whole`: the image at its own size with the translated face in its place, with face="all" every one; outside a soft
        ellipse around each face the pixels are the image's own.
        `strength`: of a model with the skip (output = input + what the network adds) the share of the change, from 0 to 1.5.
        `detail`: of such a model the change is enlarged and added to the image at its own scale, which stays as sharp as it is;
        None: for faces. A face is made at `image_size` px otherwise.
        `resolution`: the side of the square in which a face goes through the network, or the shorter side of an image as a whole.
        None: `image_size`; a number: that many pixels; "original": its own. A longer side above 1,024 px is translated in tiles
        that share their statistics (ResNet; a U-Net sees the whole image at once).
        Returns PIL images, RGB, or L for a model of one channel, with the alpha channel of an image that is shown as a whole.
        Raises `images.ImageError` for what is not an image and a face that is not there, ValueError for an unknown direction,
        resolution or batch size and for options that mean nothing for this model.
        """
        options = Options(face, whole, strength, detail)
        network, plan = self.network(direction), self._plan(direction, resolution, options)
        return translate_pictures(network, image, self.channels, plan, batch_size, value_range=self.value_range)

    def prepare(
        self, image: Source, direction: Direction = "a_to_b", resolution: Resolution = None, *, face: FaceChoice = "auto"
    ) -> Image.Image:
        """What the network sees of an image: an aligned face, or the image brought to size. Arguments as for `translate`."""
        plan = self._plan(direction, resolution, Options(face))
        return plan(photograph(image, self.channels, self.value_range)).inputs[0]

    def _plan(self, direction: Direction, resolution: Resolution, options: Options) -> Plan:
        network, eyes = self.network(direction), self.eyes[direction]
        skip = bool(getattr(network, "skip", False))
        options.check(eyes, skip)
        fit = fit_to(resolution, self.image_size)
        return lambda photo: photo.plan(options, eyes=eyes, skip=skip, side=resolution or self.image_size, fit=fit).warned()

    @overload
    def cycle(
        self, image: Source, direction: Direction = ..., resolution: Resolution = ..., batch_size: int = ..., *,
        face: FaceChoice = ...,
    ) -> Image.Image: ...  # fmt: skip
    @overload
    def cycle(
        self, image: Sources, direction: Direction = ..., resolution: Resolution = ..., batch_size: int = ..., *,
        face: FaceChoice = ...,
    ) -> list[Image.Image]: ...  # fmt: skip
    def cycle(
        self, image: Source | Sources, direction: Direction = "a_to_b", resolution: Resolution = None, batch_size: int = 8, *,
        face: FaceChoice = "auto",
    ) -> Image.Image | list[Image.Image]:  # fmt: skip
        """The reconstruction: translated in `direction`, and the translation translated back, at the model's size.

        Arguments as for `translate`.
        """
        there = self.translate(image, direction, resolution, batch_size, face=face, detail=False)
        back: Direction = "b_to_a" if direction == "a_to_b" else "a_to_b"
        return self.translate(there, back, "original", batch_size, face="none")

    @property
    def translate_size(self) -> int:
        """Shorter side in px that `translate` brings a picture to if no resolution is given."""
        return self.image_size

    @property
    def enlargement(self) -> int:
        """A translation is as large as its input."""
        return 1

    def input_of(self, x: Tensor) -> Tensor:
        """Pictures (N, C, H, W) in [-1, 1] are the networks' input as they are."""
        return x

    @classmethod
    def trained_size(cls, config: Mapping[str, Any]) -> int | None:
        """`image_size` of a `config.json`."""
        return whole_number(config.get("image_size"))

    def examples(self, photographs: Sequence[Image.Image]) -> Examples:
        """A row for each photograph: itself, then translated and back in both directions."""
        columns = [list(photographs)]
        for direction in get_args(Direction):
            columns += [method(columns[0], direction, "original", face="none") for method in (self.translate, self.cycle)]
        a, b = ascii_label(self.labels[0], "A"), ascii_label(self.labels[1], "B")
        return Examples(list(zip(*columns, strict=True)), ["input", f"to {b}", "and back", f"to {a}", "and back"])

    def network(self, direction: str) -> nn.Module:
        """The generator of a direction. Raises ValueError for another."""
        if direction not in get_args(Direction):
            raise UserError(f"direction={direction!r}: must be a_to_b ({' -> '.join(self.labels)}) or b_to_a")
        return self.get_submodule(direction)
