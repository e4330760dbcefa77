"""Pictures that may be shown to everybody: which of them opens which direction, on the page, in a browser export and on cards.

ATTRIBUTION.md says where each file comes from and under which terms. No torch here.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Example:
    """A free picture, the name on its button, and its credit: whose it is, and its terms."""

    file: str  # below examples/
    name: str
    credit: str

    @property
    def path(self) -> Path:
        """The path of the file."""
        return FOLDER / "examples" / self.file

    def is_in(self, file: Path | str) -> bool:
        """Whether a file has the content of this example."""
        return Path(file).is_file() and filecmp.cmp(self.path, file, shallow=False)


HOPPER = Example("grace_hopper.jpg", "Grace Hopper", "US Navy (public domain)")
COLLINS = Example("astronaut.jpg", "Eileen Collins", "NASA (public domain)")
_PAVILION = Example("china.jpg", "Summer Palace", "danielbuechele (CC BY 2.0)")
_STREAM = Example("stream.jpg", "Stream", "Aitzol Berasategi (CC BY 4.0)")
_MEADOW = Example("meadow.jpg", "Autumn meadow", "Aitzol Berasategi (CC BY 4.0)")
_SUNSET = Example("sunset.jpg", "Sunset", "Aitzol Berasategi (CC BY 4.0)")
_POURVILLE = Example("monet_pourville.jpg", "Cliff at Pourville", "Claude Monet (public domain)")
_POPPIES = Example("monet_poppies.jpg", "Wild poppies", "Claude Monet (public domain)")
_CURLY = Example("avatar.png", "Curly hair", "Google's Cartoon Set (CC BY 4.0)")
_RED = Example("avatar_2.png", "Red hair", "Google's Cartoon Set (CC BY 4.0)")
_EILEEN = Example("eileen.png", "Eileen", "Piroshki, from Ren'Py (MIT)")
_SYLVIE = Example("sylvie.png", "Sylvie", "Deji, from Ren'Py (MIT)")

FACES = (COLLINS, HOPPER)
SCENES = (_PAVILION, _STREAM, _MEADOW, _SUNSET)
# By domain and direction. The first of a list, the one whose translation looks best, is what a direction opens with.
EXAMPLES: dict[tuple[str, str], tuple[Example, ...]] = {
    ("smile", "a_to_b"): (HOPPER, COLLINS),
    ("smile", "b_to_a"): (COLLINS, HOPPER),
    ("anime", "a_to_b"): (COLLINS, HOPPER),
    ("anime", "b_to_a"): (_EILEEN, _SYLVIE),
    ("cartoon", "a_to_b"): (COLLINS, HOPPER),
    ("cartoon", "b_to_a"): (_RED, _CURLY),
    ("monet", "a_to_b"): SCENES,
    ("monet", "b_to_a"): (_POURVILLE, _POPPIES),
}
MOST_EXAMPLES = max(map(len, (FACES, SCENES, *EXAMPLES.values())))
_ALL = tuple(dict.fromkeys(one for several in (FACES, SCENES, *EXAMPLES.values()) for one in several))


def examples_for(domain: str, direction: str, faces: bool) -> tuple[Example, ...]:
    """The pictures to show for a direction of a model; of a domain that is not known, `faces` or scenes."""
    return EXAMPLES.get((domain, direction), FACES if faces else SCENES)


def example_in(file: Path | str | None, examples: Iterable[Example] = _ALL) -> Example | None:
    """The example whose content a file has; None for a user's own picture."""
    return next((one for one in examples if file and one.is_in(file)), None)


def credits() -> str:
    """Whose the examples are, in one line."""
    return "; ".join(dict.fromkeys(one.credit for one in _ALL))
