"""Writes the cards of the bundled models again, from their records: after a change of a template or of a `recipe.json`.

python train/cards.py                   # pretrained/*/README.md
python train/cards.py --models runs     # of other folders
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from cyclegan_hub.errors import exit_code
from cyclegan_hub.files import write_atomic
from cyclegan_hub.publishing.build import build

ROOT = Path(__file__).parent.parent


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    parser = argparse.ArgumentParser(description="Write the cards of the bundled models again, from their records.")
    parser.add_argument("--models", type=Path, default=ROOT / "pretrained", metavar="DIR", help="a model folder in it for each")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> int:
    """Writes each card; returns 0."""
    for folder in sorted(path.parent for path in arguments.models.glob("*/recipe.json")):
        with tempfile.TemporaryDirectory() as place:
            name = f"{arguments.models.resolve().name}/{folder.name}"
            made = build(folder, Path(place) / "published", name, dtype="fp16", on_hub=False)
            write_atomic(folder / "README.md", (made / "README.md").read_bytes())
        print(folder / "README.md")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 after one line that explains a mistake."""
    arguments = parse(argv)
    return exit_code(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
