"""Pairs: an input and the output that belongs to it, from two halves of a file, two columns, or two folders of equal names."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from typing import Any, Self

from PIL import Image

from cyclegan_hub.data.files import RawImages, extension_of
from cyclegan_hub.data.specs import DataError, Pair
from cyclegan_hub.errors import counted, shortened
from cyclegan_hub.imaging.decoding import ImageError, decode, probe_image

PAIRS = (
    "pairs are one folder or dataset `train` of images whose left half is the input and right half the output, two columns "
    "of one dataset (--data-a 'hf:ID?column=input' --data-b 'hf:ID?column=output'), or trainA and trainB with equal file names"
)
MAX_UNPAIRED = 0.05  # a larger share of images without a partner means that these are not pairs


@dataclass
class PairItems(RawImages):
    """Pairs as images of two halves, input and output, joined as they are read."""

    a: RawImages
    b: RawImages
    rows: list[tuple[int, int]]  # which image of `a` belongs to which of `b`, in the order of `a`
    notes: list[str] = field(default_factory=list)
    value_range: tuple[int, int] | None = None  # of 16-bit images, as `decode` takes it

    @classmethod
    def match(cls, pair: Pair, a: RawImages, b: RawImages, value_range: tuple[int, int] | None = None) -> Self:
        """The pairs of two opened sources: the same rows of two columns, else images of matching names.

        Raises DataError where there are no names, more than 5 % have no partner, or two could be one's partner.
        """
        notes = [*a.notes, *b.notes]
        if _without_column(pair.a) == _without_column(pair.b) and pair.a != pair.b:
            return cls(a, b, [(i, i) for i in range(len(a))], notes, value_range)
        names = a.names, b.names
        if names[0] is None or names[1] is None:
            raise DataError(f"{pair.describe()}: the images have no names to pair them by; {PAIRS}")
        rows, alone = match_names(names[0], names[1])
        if len(alone) > MAX_UNPAIRED * (len(rows) + len(alone)):
            raise DataError(
                f"{pair.describe()} are not pairs: {len(alone)} file names are not in both, such as {alone[0]!r}; {PAIRS}"
            )
        if alone:
            notes.append(f"skipped {counted(len(alone))} with no partner of their name: {shortened(alone)}")
        return cls(a, b, rows, notes, value_range)

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        """The name of the input."""
        return self.a.name(self.rows[index][0])

    def digest(self, index: int) -> bytes:
        """The digests of both images."""
        first, second = self.rows[index]
        return self.a.digest(first) + self.b.digest(second)

    def read(self, index: int) -> Image.Image:
        """Both in one image, side by side. Raises ImageError, also for two sizes, and OSError."""
        first, second = self.rows[index]
        raws = [(self.a.read(first), self.a.name(first)), (self.b.read(second), self.b.name(second))]
        a, b = (decode(raw, name=name, value_range=self.value_range) for raw, name in raws)
        if a.size != b.size:
            raise ImageError(
                f"{self.name(index)}: its input is {a.width} x {a.height} and its output {b.width} x {b.height}: the two halves "
                "of a pair must have one size"
            )
        both = Image.new("RGB", (2 * a.width, a.height))
        both.paste(a, (0, 0))
        both.paste(b, (a.width, 0))
        peaks = [found[1] for found in (probe_image(raw) for raw, _ in raws) if found and found[1] is not None]
        if peaks:
            both.info["peak"] = min(peaks)  # the darker half's
        return both


def match_names(a: list[str], b: list[str]) -> tuple[list[tuple[int, int]], list[str]]:
    """Match two lists of file names: equal names first, then names equal without the extension, then without case.

    If none match, a last word that all names of a list share is ignored (1_A.png and 1_B.png, 1-in.png and 1.png). Unicode
    is normalised (macOS decomposes accents), and folders that enclose a whole list are ignored.

    Returns [(position in `a`, position in `b`)] in the order of `a`, and the names without a partner, except other forms of an
    image that has one. Raises DataError, which names the files, if a name has two possible partners.
    """
    bare_a, bare_b = _bare(a), _bare(b)
    while not (pairs := _partners(a, b, bare_a, bare_b)):
        shorter = _without_last_word(bare_a), _without_last_word(bare_b)
        if shorter == (bare_a, bare_b):
            break
        bare_a, bare_b = map(_bare, shorter)
    taken = set(pairs.values())
    matched = {_stem(bare_a[i]) for i in pairs} | {_stem(bare_b[i]) for i in taken}
    alone = [a[i] for i, name in enumerate(bare_a) if i not in pairs and _stem(name) not in matched]
    alone += [b[i] for i, name in enumerate(bare_b) if i not in taken and _stem(name) not in matched]
    return sorted(pairs.items()), alone


def _partners(a: list[str], b: list[str], bare_a: list[str], bare_b: list[str]) -> dict[int, int]:
    """Position in `a` -> position in `b`, by their bare names. Raises DataError, with the full names, as `match_names` does."""
    pairs: dict[int, int] = {}
    for form in (str, _stem, lambda name: _stem(name).casefold()):
        taken = set(pairs.values())
        left_a, left_b = _grouped(bare_a, pairs.keys(), form), _grouped(bare_b, taken, form)
        for key in sorted(left_a.keys() & left_b.keys()):
            for names, rows in ((a, left_a[key]), (b, left_b[key])):
                if len(rows) > 1:
                    partner = b[left_b[key][0]] if names is a else a[left_a[key][0]]
                    raise DataError(
                        f"{names[rows[0]]!r} and {names[rows[1]]!r} could both belong to {partner!r}: keep one of them, or give "
                        "the files of a pair the same name"
                    )
            pairs[left_a[key][0]] = left_b[key][0]
    return pairs


def _grouped(names: list[str], without: Container[int], form: Callable[[str], str]) -> dict[str, list[int]]:
    """The positions of names by their form, except the positions `without`."""
    found = defaultdict[str, list[int]](list)
    for i, name in enumerate(names):
        if i not in without:
            found[form(name)].append(i)
    return found


def _bare(names: list[str]) -> list[str]:
    """Names in one form of Unicode (NFC), without the folders that enclose all of them."""
    parts = [unicodedata.normalize("NFC", name).split("/") for name in names]
    shared = 0
    while parts and all(len(one) > shared + 1 and one[shared] == parts[0][shared] for one in parts):
        shared += 1
    return ["/".join(one[shared:]) for one in parts]


def _without_last_word(names: list[str]) -> list[str]:
    """Names without the word before their extension, as _A in 1_A.png, if all have the same; else as they are."""
    found = [re.search(r"[-_. ][^\W\d_]+$", _stem(name)) for name in names]
    words = {match.group() if match else "" for match in found}
    if len(words) != 1 or "" in words:
        return names
    word = words.pop()
    return [_stem(name).removesuffix(word) + extension_of(name) for name in names]


def _stem(name: str) -> str:
    return name[: len(name) - len(extension_of(name))]


def _without_column(source: Any) -> Any:
    return replace(source, column=None)
