"""notebooks/quickstart.ipynb runs from its first cell to its last, in a kernel of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from support.training import ROOT, environment

NOTEBOOK = ROOT / "notebooks/quickstart.ipynb"


def test_it_is_stored_without_outputs() -> None:
    """What a run leaves (pictures, times, paths of one machine) is no part of the repository."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.slow
def test_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(TMPDIR=str(tmp_path), JUPYTER_PLATFORM_DIRS="1").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=280, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.kernel_manager_class = _own_python(client.kernel_manager_class)
    client.execute()
    (work,) = tmp_path.glob("cyclegan_hub-quickstart-*")
    assert (work / "published/README.md").is_file()
    pictures = [o for cell in notebook.cells for o in cell.get("outputs", ()) if "image/png" in o.get("data", {})]
    assert len(pictures) == 3


def _own_python(base: type) -> type:
    """A manager that starts kernels with the tests' own python, whatever kernels are registered on this machine."""

    class Own(base):
        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]

    return Own
