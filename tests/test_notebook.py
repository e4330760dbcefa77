"""notebooks/quickstart.ipynb runs from its first cell to its last, in a kernel of its own, and is stored with its outputs.

After a change: jupyter execute --inplace notebooks/quickstart.ipynb
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from support.training import ROOT, environment

NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"
LARGEST = 300_000  # bytes
IMAGES = 3


def images_in(notebook: nbformat.NotebookNode) -> int:
    return sum("image/jpeg" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))


def test_it_is_stored_with_its_outputs() -> None:
    """They are small, name no folder of the machine that made them, and hold no warning or error."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert images_in(notebook) == IMAGES and NOTEBOOK.stat().st_size <= LARGEST
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in outputs)
    assert not re.search(r"[\s\"'(]/[a-z]+/|site-packages|C:\\\\", json.dumps([o for o in outputs if "data" not in o]))


@pytest.mark.slow
def test_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(TMPDIR=str(tmp_path), JUPYTER_PLATFORM_DIRS="1").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
    client = NotebookClient(notebook, timeout=280, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.kernel_manager_class = _own_python(client.kernel_manager_class)
    client.execute()
    (work,) = tmp_path.glob("cyclegan_hub-quickstart-*")
    assert (work / "published/README.md").is_file()
    assert images_in(notebook) == IMAGES


def _own_python(base: type) -> type:
    """A manager that starts kernels with the tests' own python, whatever kernels are registered on this machine."""

    class Own(base):
        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]

    return Own
