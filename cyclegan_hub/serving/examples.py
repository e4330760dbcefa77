"""Which picture shows what a model does: an example for each domain and direction, and what else may be tried. One table.

The pictures lie in `cyclegan_hub/free_images/` and its folder `examples/`; where each comes from stands in ATTRIBUTION.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclegan_hub.serving.model_info import DomainChoice

FREE = Path(__file__).parents[1] / "free_images"


@dataclass(frozen=True)
class Example:
    """A picture that may be shown to everybody."""

    file: str  # below FREE
    shows: str  # in a sentence after "This is an example, "

    @property
    def path(self) -> Path:
        """Where it lies."""
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

# The first of each is what the page opens on, chosen by looking at what the model makes of it.
EXAMPLES: dict[tuple[str, str], tuple[Example, ...]] = {
    ("smile", "a_to_b"): (HOPPER, ASTRONAUT),
    ("smile", "b_to_a"): (ASTRONAUT, HOPPER),
    ("anime", "a_to_b"): (HOPPER, ASTRONAUT),
    ("anime", "b_to_a"): (ANIME_FACE, AVATAR),
    ("cartoon", "a_to_b"): (ASTRONAUT, HOPPER),
    ("cartoon", "b_to_a"): (AVATAR, OTHER_AVATAR, ANIME_FACE),
    ("monet", "a_to_b"): (PAVILION, COFFEE, ROCKET, CAT),
    ("monet", "b_to_a"): (PAINTING, PAVILION, COFFEE),
}
_FACES = (HOPPER, ASTRONAUT)
_SCENES = (PAVILION, COFFEE, ROCKET, CAT)


def examples_for(choice: DomainChoice, direction: str) -> tuple[Example, ...]:
    """The pictures to try on a model, what it opens on first; a model of another domain gets faces or scenes by what it takes."""
    return EXAMPLES.get((choice.name, direction)) or (_FACES if choice.takes_faces(direction) else _SCENES)
