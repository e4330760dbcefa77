"""Text for people from templates: one environment for HTML, one for Markdown. Nothing from a file or a user becomes markup.

    render_html("report.html", title=title, rows=rows)
    render_markdown("card.md", labels=labels)

Templates lie in this folder, or in `model_cards/`. Every value that a template prints is escaped: in HTML by jinja2's
autoescape, in Markdown by `escape_markdown`; `| safe` marks text that is markup already. A value that the template names and
the caller does not give is an error. The filters of Markdown are `cell` (inside a table), `code` (a code span), `counted`
("1 epoch") and `text` (escaped at once, in lists that are printed `| safe`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from cyclegan_hub.errors import UserError, counted
from cyclegan_hub.files import MODEL_CARDS

FOLDERS: tuple[Path, ...] = (Path(__file__).parent, MODEL_CARDS)  # searched in this order
FAVICON = Path(__file__).parent / "favicon.svg"  # of the page, and of the one for the browser

_ALWAYS = re.compile(r"([\\`*~$])")
_UNDERSCORE = re.compile(r"(?<!\w)_|_(?!\w)")  # between letters it stands for itself
_OPENING = re.compile(r"(?<!\w)\[|\[(?![\w.-]+\](?![(\[:]))")  # fid[encoder] stands for itself, [text](url) does not
_AT_THE_START = re.compile(r"^([#+=-]+(?=\s|$)|\d+(?=[.)](?:\s|$)))")


class TemplateError(UserError):
    """A template that cannot be read, or that names a value it is not given."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"template {name}: {reason}: fix it, or install cyclegan_hub again")


def render_html(name: str, **values: object) -> str:
    """The text of an HTML template; every value is escaped. Raises TemplateError."""
    return _render("html", name, values)


def render_markdown(name: str, **values: object) -> str:
    """The text of a Markdown template; every value is escaped by `escape_markdown`. Raises TemplateError."""
    return _render("markdown", name, values)


def definitions(name: str, **values: object) -> dict[str, Any]:
    """What a Markdown template defines by `{% set %}`: texts, escaped as by `render_markdown`, or lists. Raises TemplateError."""
    with _explained(name):
        module = _environment("markdown", FOLDERS).get_template(name).make_module(values)
    return {key: value for key, value in vars(module).items() if not key.startswith("_")}


def escape_markdown(value: object) -> Markup:
    """Any value as one line of Markdown that shows just this text, whatever it holds; Markup stays as it is.

    Characters that cannot be markup where they stand are not escaped: `n_a`, `fid[encoder]`, `day (noon)`.
    """
    if isinstance(value, Markup):
        return value
    text = html.escape(one_line(value), quote=False)
    text = _OPENING.sub(r"\\[", _UNDERSCORE.sub(r"\\_", _ALWAYS.sub(r"\\\1", text)))
    return Markup(_AT_THE_START.sub(lambda found: _first_escaped(found[0]), text))


def one_line(value: object) -> str:
    """A value as text in one line: every run of spaces, line breaks and unprintable characters is one space."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def _first_escaped(found: str) -> str:
    return f"{found}\\" if found.isdecimal() else f"\\{found}"  # "1\. x", "\# x"


def _cell(value: object) -> Markup:
    """A value inside a Markdown table, whose cells end at a bar."""
    return Markup(str(escape_markdown(value)).replace("|", "\\|"))


def _code(value: object) -> Markup:
    """A value as a code span, in which nothing is markup."""
    text = one_line(value)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return Markup(f"{fence}{space}{text}{space}{fence}")


def _render(kind: str, name: str, values: dict[str, object]) -> str:
    with _explained(name):
        return _environment(kind, FOLDERS).get_template(name).render(values)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except jinja2.UndefinedError as error:
        raise TemplateError(name, str(error)) from error
    except jinja2.TemplateNotFound as error:
        raise TemplateError(name, f"there is no {error.name} in {' or '.join(map(str, FOLDERS))}") from error
    except jinja2.TemplateError as error:
        raise TemplateError(name, f"it cannot be read ({one_line(error)})") from error


@cache
def _environment(kind: str, folders: tuple[Path, ...]) -> jinja2.Environment:
    # Markdown goes through `finalize`, which leaves nothing for the autoescape; with that on, macros give markup.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), undefined=jinja2.StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        finalize=escape_markdown if kind == "markdown" else None,
    )  # fmt: skip
    if kind == "markdown":
        environment.filters |= {"cell": _cell, "code": _code, "counted": counted, "text": escape_markdown}
    return environment
