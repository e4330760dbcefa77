"""The table of example pictures: for each domain and direction those with which a visitor can try the model.

The pictures lie in `cyclegan_hub/free_images/` and its folder `examples/`; where each comes from stands in ATTRIBUTION.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclegan_hub.serving.model_info import DomainChoice

FREE = Path(__file__).parents[1] / "free_images"


@dataclass(frozen=True)
class Example:
    """A free picture, which may be shown to everybody."""

    file: str  # below FREE
    shows: str  # what it shows, after the words "This is an example, "

    @property
    def path(self) -> Path:
        """The path of the file."""
        return FREE / self.file


HOPPER = Example("examples/grace_hopper.jpg", "the computer scientist Grace Hopper")
ASTRONAUT = Example("examples/astronaut.jpg", "the astronaut Eileen Collins")
PAVILION = Example("examples/china.jpg", "a pavilion above a lake")
AVATAR = Example("examples/avatar.png", "an avatar of Google's Cartoon Set")
OTHER_AVATAR = Example("examples/avatar_2.png", "an avatar of Google's Cartoon Set")
ANIME_FACE = Example("examples/anime_face.png", "an anime face that this page's own model drew of a photograph")
PAINTING = Example("examples/china_monet.jpg", "the pavilion as this page's own model paints it")
ROCKET = Example("rocket.jpg", "the launch of a rocket")
COFFEE = Example("coffee.jpg", "a cup of coffee")
CAT = Example("chelsea.jpg", "a cat")

# The page opens with the first of each list, which was chosen because its translation looks good.
EXAMPLES: dict[tuple[str, str], tuple[Example, ...]] = {
    ("smile", "a_to_b"): (HOPPER, ASTRONAUT),
    ("smile", "b_to_a"): (ASTRONAUT, HOPPER),
    ("anime", "a_to_b"): (HOPPER, ASTRONAUT),
    ("anime", "b_to_a"): (ANIME_FACE, AVATAR),
    ("cartoon", "a_to_b"): (ASTRONAUT, HOPPER),
    ("cartoon", "b_to_a"): (AVATAR, OTHER_AVATAR),
    ("monet", "a_to_b"): (PAVILION, COFFEE, ROCKET, CAT),
    ("monet", "b_to_a"): (PAINTING, PAVILION, COFFEE),
}
_FACES = (HOPPER, ASTRONAUT)
_SCENES = (PAVILION, COFFEE, ROCKET, CAT)


def examples_for(choice: DomainChoice, direction: str) -> tuple[Example, ...]:
    """Example pictures for a model; the page opens with the first. A model of an unknown domain gets faces or scenes."""
    return EXAMPLES.get((choice.name, direction)) or (_FACES if choice.portraits or choice.takes_faces(direction) else _SCENES)
