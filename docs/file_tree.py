"""Writes the file tree in docs/architecture.md from what git tracks and from the first sentence of each module.

python docs/file_tree.py            # rewrites the tree
python docs/file_tree.py --check    # only says whether it is up to date (exit code 1 if not)
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- begin: python docs/file_tree.py -->", "<!-- end: python docs/file_tree.py -->"
WIDTH, NAME = 130, 31  # characters of a line, as in the code, and of its first column
LISTED = ("app.py", "cyclegan_hub/", "train/")  # what is listed file by file


def tracked() -> list[str]:
    """Paths of the files that git tracks, sorted; of those that are there (a file may be deleted and not committed)."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(path for path in listed if (ROOT / path).is_file())


def summary(text: str) -> str:
    """The first sentence of a module's docstring, on one line; only up to its first colon or semicolon if it is too long."""
    first = " ".join((ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].split()).replace("`", "")
    sentence = re.split(r"(?<!et al)\.(?= [A-Z]|$)", first, maxsplit=1)[0]
    return sentence if len(sentence) <= WIDTH - NAME - 1 else re.split(r"[:;](?= )", sentence, maxsplit=1)[0]


def tree(paths: list[str]) -> str:
    """One line for each Python file of LISTED, under its folder; the folder's own line is its `__init__.py`'s sentence.

    The files of a folder stand before the folders in it.
    """
    lines, folder = [], ""
    modules = [path for path in paths if path.endswith(".py") and path.startswith(LISTED)]
    for path in sorted(modules, key=lambda path: (Path(path).parent.parts, path)):
        *parts, name = path.split("/")
        here, indent = "/".join(parts), "  " * len(parts)
        if here != folder:
            folder, first = here, ROOT / here / "__init__.py"
            words = summary(first.read_text("utf-8")) if first.is_file() else ""
            lines.append(_line(f"{'  ' * (len(parts) - 1)}{parts[-1]}/" if parts else "", words))
        if name != "__init__.py":
            lines.append(_line(f"{indent}{name}", summary((ROOT / path).read_text("utf-8"))))
    return "\n".join(line for line in lines if line)


def _line(name: str, words: str) -> str:
    line = f"{name:<{NAME}} {words}".rstrip()
    return line if len(line) <= WIDTH else line[: WIDTH - 1].rsplit(" ", 1)[0] + "…"


def main() -> int:
    """Exit code: 0 written or up to date, 1 with --check if it is not."""
    before, rest = PAGE.read_text("utf-8").split(BEGIN)
    text = f"{before}{BEGIN}\n```\n{tree(tracked())}\n```\n{END}{rest.split(END)[1]}"
    if text == PAGE.read_text("utf-8"):
        return 0
    if "--check" in sys.argv:
        print("docs/architecture.md lists other files than git tracks: run python docs/file_tree.py", file=sys.stderr)
        return 1
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
