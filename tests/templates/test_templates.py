"""templates/: what a template prints is text and never markup, in HTML and in Markdown; a forgotten value is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclegan_hub import templates
from cyclegan_hub.templates import TemplateError, escape_markdown, render_html, render_markdown


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(templates, "FOLDERS", (tmp_path, *templates.FOLDERS))
    return tmp_path


def test_html_is_escaped(folder: Path) -> None:
    (folder / "x.html").write_text("<p>{{ text }}</p>{{ picture | safe }}")
    assert render_html("x.html", text="<b> & 'c'", picture="<img>") == "<p>&lt;b&gt; &amp; &#39;c&#39;</p><img>"


@pytest.mark.parametrize(
    "text", ["photo", "n_a", "fid[encoder]", "day (noon)", "-0.5", "2 px, Lanczos", "{{ night }}", "↔ 夜", "a#b", "day|noon"]
)
def test_what_is_no_markup_stays_readable(text: str) -> None:
    assert escape_markdown(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a*b*", "a\\*b\\*"),
        ("_a_", "\\_a\\_"),
        ("[a](b)", "\\[a](b)"),
        ("x[a](b)", "x\\[a](b)"),
        ("x[a][b]", "x\\[a]\\[b]"),
        ("[a]: b", "\\[a]: b"),
        ("![a](b)", "!\\[a](b)"),
        ("`a`", "\\`a\\`"),
        ("\\", "\\\\"),
        ("# a", "\\# a"),
        ("---", "\\---"),
        ("1. a", "1\\. a"),
        ("a\n\n# b\x00", "a # b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("$x$ ~~y~~", "\\$x\\$ \\~\\~y\\~\\~"),
    ],
)
def test_markup_is_shown_as_it_is_written(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


def test_markdown_is_escaped_everywhere(folder: Path) -> None:
    """In a macro, in a table and in a code span too; once only; and not what the template itself says."""
    (folder / "x.md").write_text(
        "{% macro bold(x) %}**{{ x }}**{% endmacro %}\n# {{ a }}\n{{ bold(a) }}\n| {{ a | cell }} | {{ b | code | cell }} |\n"
        "{{ b | code }}\n{% for x in [a, 3, -0.5] %}\n- {{ x }}\n{% endfor %}\n"
    )
    assert render_markdown("x.md", a="*a|b*", b="c|`d").splitlines() == [
        "# \\*a|b\\*", "**\\*a|b\\***", "| \\*a\\|b\\* | ``c\\|`d`` |", "``c|`d``", "- \\*a|b\\*", "- 3", "- -0.5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ flavour }}", "template x.md: 'flavour' is undefined: fix it"),
        ("{{ flavour", "template x.md: it cannot be read ("),
        ("{% include 'y.md' %}", "template x.md: there is no y.md in "),
    ],
)
def test_a_template_that_is_wrong(folder: Path, text: str, message: str) -> None:
    (folder / "x.md").write_text(text)
    with pytest.raises(TemplateError) as error:
        render_markdown("x.md")
    assert str(error.value).startswith(message) and len(str(error.value).splitlines()) == 1


def test_no_template_hides_another() -> None:
    names = [path.name for folder in templates.FOLDERS for path in folder.iterdir() if path.suffix in (".md", ".html")]
    assert len(names) == len(set(names))
