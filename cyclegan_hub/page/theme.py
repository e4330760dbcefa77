"""The page's look: theme and head."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils.fonts import LocalFont

from cyclegan_hub.page.components import HERE


def theme() -> gr.themes.Base:
    """The page's colours and fonts."""
    # Only these two weights, from this machine: the default theme's semi-bold font shows capitals wrongly.
    fonts = (LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif")
    return gr.themes.Default(primary_hue="teal", neutral_hue="stone", font=fonts, font_mono=("ui-monospace", "monospace")).set(
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700", button_primary_background_fill_hover_dark="*primary_600",
        slider_color="*primary_600", checkbox_background_color_selected="*primary_700", color_accent="*primary_700",
    )  # fmt: skip


def head() -> str:
    """Style sheet and script for the page's head. gradio's own argument `css` is not used: it changes the selectors."""
    style, script = ((HERE / name).read_text("utf-8") for name in ("page.css", "browser.js"))
    return f"<style>{style}</style><script>{script}</script>"
