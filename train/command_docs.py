"""Writes docs/cli.md from the parsers of the commands.

python train/command_docs.py
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from cyclegan_hub.cli import COMMANDS
from cyclegan_hub.command_line import make_parser
from cyclegan_hub.files import write_atomic

PAGE = Path(__file__).parents[1] / "docs/cli.md"
HEAD = """# The command line

<!-- generated: python train/command_docs.py -->

`pip install` brings `cyclegan-hub`; in a clone the scripts in `train/` call the same code. The exit status is 0 on success,
1 if some images were skipped, 2 after one line `error: …` that names the mistake and the remedy, and 130 after
Ctrl-C. `--help` prints what is below.

| command | what it does |
|---|---|
"""
SCRIPTS = {
    "accelerate launch train/train.py": "as `cyclegan-hub train`, in several processes or precisions",
    "python train/cards.py": "rewrites the cards of the bundled models from their records",
    "python train/gallery.py": "renders the image grid and the tables of the bundled models",
    "accelerate launch train/benchmark.py": "times a training step; see [speed](../train/experiments/speed.md#a-training-step)",
    "python train/demo_data.py": "makes synthetic images for a first try",
}
GUIDES = {
    "convert": "data.md",
    "train": "training.md",
    "evaluate": "evaluation.md",
    "publish": "publishing.md",
    "export": "deploy.md",
}


def page() -> str:
    """The text of docs/cli.md."""
    rows = [f"| [`cyclegan-hub {name}`](#{name}) | {command.help} |\n" for name, command in COMMANDS.items()]
    rows += [f"| `{command}` | {text} |\n" for command, text in SCRIPTS.items()]
    return HEAD + "".join(rows) + "".join(map(section, COMMANDS))


def section(name: str) -> str:
    """Description, examples, options and notes of one command."""
    parser = make_parser(COMMANDS[name].module, f"cyclegan-hub {name}")
    text: list[str] = []
    examples: list[str] = []
    for part in (parser.epilog or "").split("\n\n"):
        (examples if part.startswith("  ") else text).append(part)
    notes = "\n\n".join(part for part in text if part and part != "examples:")
    if name in GUIDES:
        notes += f"\n\nMore: [{Path(GUIDES[name]).stem}]({GUIDES[name]})."
    code = "".join(f"\n\n```bash\n{textwrap.dedent(part)}\n```" for part in examples)
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]
    rows = "\n".join(item(parser, action) for action in shown)
    arguments = f"\n\n{rows}" if rows else ""
    return f"\n## {name}\n\n{parser.description}{code}{arguments}\n" + (f"\n{notes.strip()}\n" if notes else "")


def item(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """A line of the list: the argument as `--help` shows it, and its meaning."""
    formatter = parser._get_formatter()
    name, text = formatter._format_action_invocation(action), formatter._expand_help(action)
    return f"- `{name}`: {text}"


if __name__ == "__main__":
    write_atomic(PAGE, page().encode())
