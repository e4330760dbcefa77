"""Writes the cards of the bundled models again from their records, after a change of a template or of a `recipe.json`.

python train/cards.py                   # pretrained/*/README.md
python train/cards.py --models runs     # of other folders
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cyclegan_hub.errors import exit_code
from cyclegan_hub.files import temporary_folder, write_atomic
from cyclegan_hub.publishing.build import build

MODELS = Path(__file__).parent.parent / "pretrained"


def write_cards(models: Path) -> int:
    """Writes the card of each model folder in `models`; returns 0."""
    for folder in sorted(path.parent for path in models.glob("*/recipe.json")):
        with temporary_folder() as place:
            name = f"{models.resolve().name}/{folder.name}"
            built = build(folder, place / "published", name, dtype="fp16", on_hub=False)
            write_atomic(folder / "README.md", (built / "README.md").read_bytes())
        print(folder / "README.md")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="where the model folders are")
    models = parser.parse_args().models
    sys.exit(exit_code(lambda: write_cards(models)))
