"""train.py between two repositories: a dataset comes from the Hub (a local one), the finished run goes to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.local_hub import Server, client_environment
from support.training import command, environment

pytestmark = pytest.mark.slow

UPLOAD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from huggingface_hub import HfApi
from support.pictures import parquet
folder = Path(sys.argv[2])
for split, seeds in {"trainA": range(4), "trainB": range(10, 14), "testA": range(20, 22), "testB": range(30, 32)}.items():
    parquet(folder / f"data/{split}-00000-of-00001.parquet", seeds)
HfApi().create_repo("user/pairs", repo_type="dataset")
HfApi().upload_folder(repo_id="user/pairs", folder_path=folder, repo_type="dataset")
"""
LOAD = """
import sys
from cyclegan_hub import CycleGenerator
from cyclegan_hub.checkpoints import list_epochs
print([epoch.name for epoch in list_epochs("user/model")], CycleGenerator.from_pretrained("user/model").epoch)
"""


def test_a_dataset_of_the_hub_is_trained_on_and_the_run_published(tmp_path: Path) -> None:
    with Server(tmp_path / "hub") as server:
        talk = environment(**client_environment(server, tmp_path / "home"))
        options = {"env": talk, "capture_output": True, "text": True, "timeout": 240}
        tests = str(Path(__file__).parent)
        done = subprocess.run([sys.executable, "-c", UPLOAD, tests, str(tmp_path / "pairs")], **options)
        assert done.returncode == 0, done.stderr

        run = command("--data", "user/pairs", "--out", tmp_path / "run", "--push", "user/model", "--set", "epochs=2")
        stopped = subprocess.run([*run, "--max-steps", "2"], **options)
        assert stopped.returncode == 0, stopped.stderr
        done = subprocess.run(run, **options)
        assert done.returncode == 0, done.stderr
        for name in ("epoch-001", "epoch-002", "main"):
            assert f"user/model@{name}: " in done.stdout

        talk |= client_environment(server, tmp_path / "another home")
        done = subprocess.run([sys.executable, "-c", LOAD], **options)
        assert done.stdout.strip() == "['epoch-001', 'epoch-002'] 2", done.stderr

        talk |= {"HF_TOKEN": "hf_wrong"}
        done = subprocess.run(run, **options)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: "), done.stderr
    # No token is ever written into a run.
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file() and b"hf_local" in path.read_bytes()]
