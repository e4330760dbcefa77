"""Messages for users: one plain sentence, to which texts from users and files cannot add HTML."""

from __future__ import annotations

import re

from cyclegan_hub import templates
from cyclegan_hub.errors import UserError, first_line

_NO_BRACKETS = str.maketrans(
    {"<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"}
)


class ServingError(UserError):
    """A request that cannot be served; the message is a sentence for the user, without server paths and without HTML."""


def one_line(text: object, limit: int = 60) -> str:
    """A text from a file or a user in one printable line without angle brackets, cut to `limit` characters."""
    line = templates.one_line(text).translate(_NO_BRACKETS)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def as_sentence(error: Exception) -> str:
    """An error of this package as a sentence for the user."""
    text = one_line(error, 300)
    return text[:1].upper() + text[1:] + "."


def public_error_text(error: BaseException, where: str, name: str) -> str:
    """The first line of an error about the folder or repository `where`, which is shown as `name`; server paths are removed."""
    line = first_line(error).replace(where, name)
    return one_line(re.sub(r"(?<![\w.:/])(?:[A-Za-z]:\\|/)[^\s'\":,;()]+", "…", line), 300)
