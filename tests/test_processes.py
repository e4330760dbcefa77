"""Two CPU processes: the same file, replicas that stay identical, exact resume, and errors that end both."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cyclegan_hub.training.run_folder import RunFolder
from support.training import TINY, TRAIN, demo_data, environment, history, train, weights

pytestmark = pytest.mark.slow

# train.py's main, with every weight of every network, and the EMA, compared across the processes after each epoch.
COMPARE = """
import sys, torch, torch.distributed as dist
sys.path.insert(0, sys.argv.pop(1))
import train
from cyclegan_hub.training import loop

class Compared(loop.Loop):
    def _train_epoch(self):
        super()._train_epoch()
        weights = [x for n in self.trainer.networks.values() for x in n.state_dict().values()]  # buffers too
        flat = torch.cat([p.flatten() for p in (*weights, *self.trainer.ema.shadow_params)])
        pool = torch.stack(self.trainer.pools["a"].images).sum()
        replicas, pools = ([torch.empty_like(x) for _ in range(2)] for x in (flat, pool))
        dist.all_gather(replicas, flat)
        dist.all_gather(pools, pool)
        self.accelerator.print(f"replicas equal: {torch.equal(*replicas)}, pools differ: {not torch.equal(*pools)}")

loop.Loop = Compared
train.leave(train.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return demo_data(tmp_path_factory, 16)


def two_processes(program: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    return subprocess.run(
        [*launch, *program, *TINY, "--set", "epochs=2", *map(str, arguments)],
        capture_output=True, text=True, env=environment(ACCELERATE_USE_CPU="true"), timeout=240,
    )  # fmt: skip


def test_replicas_stay_identical_and_resume_is_exact(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    (tmp_path / "compare.py").write_text(COMPARE)
    done = two_processes([str(tmp_path / "compare.py"), str(TRAIN)], "--data", data, "--out", whole)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("replicas equal: True, pools differ: True") == 2, done.stdout  # at the end of each epoch
    # 16 images of the larger side, 2 processes of batch 2: an epoch is 4 steps and sees each once (tests/test_data.py).
    assert "step 8 of 8: 32 pairs" in done.stdout
    assert len(list((whole / "state/step-000000008").glob("rank-*.safetensors"))) == 2
    for stop in (3, 8):
        done = two_processes([str(TRAIN / "train.py")], "--data", data, "--out", parts, "--max-steps", stop)
        assert done.returncode == 0, done.stderr
    assert weights(parts) == weights(whole)
    assert history(parts) == history(whole)

    assert train("--set", "epochs=2", "--data", data, "--out", whole) == 2
    assert "was saved by 2 processes, now there are 1" in capsys.readouterr().err
    assert RunFolder(whole).latest_step() == 8


def test_projected_discriminators_stay_identical_too(data: Path, tmp_path: Path) -> None:
    """Each process brings other images; the levels' scales and the vectors of spectral norm are the same in both."""
    (tmp_path / "compare.py").write_text(COMPARE)
    kind = [part for field in ("discriminator=both", "adversarial=hinge", "skip=true") for part in ("--set", field)]
    done = two_processes([str(tmp_path / "compare.py"), str(TRAIN)], "--data", data, "--out", tmp_path / "run", *kind)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("replicas equal: True, pools differ: True") == 2, done.stdout


def test_a_run_resumes_with_another_number_of_processes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """One process, then two, then one: the schedule stays, a step holds other numbers of pairs, and it is said each time."""
    out = tmp_path / "run"
    alone = ["--set", "epochs=2", "--data", data, "--out", out]
    assert train(*alone, "--max-steps", 3) == 0
    done = two_processes([str(TRAIN / "train.py")], "--data", data, "--out", out, "--max-steps", 5, "--allow-process-change")
    assert done.returncode == 0, done.stderr
    assert "resumed inexactly: 1 processes then, 2 now; a step has 4 pairs" in done.stderr
    capsys.readouterr()
    assert train(*alone, "--allow-process-change") == 0
    printed = capsys.readouterr()
    assert "resumed inexactly: 2 processes then, 1 now; a step has 2 pairs" in printed.err
    assert "step 16 of 16" in printed.out  # 16 images of the larger side, batch 2, 2 epochs, as it began
    noted = json.loads((out / "recipe.json").read_text("utf-8"))["inexact_resumes"]
    assert [(one["step"], one["processes"]) for one in noted] == [(3, [1, 2]), (5, [2, 1])]


def test_an_error_ends_both_and_is_said(data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    done = two_processes([str(TRAIN / "train.py")], "--data", data, "--out", tmp_path)
    assert done.returncode != 0
    # Each says it at most once, and the first to fail may have the launcher stop the other before it speaks.
    said = re.findall(r"^error(?: \(process 1\))?: .*holds 'thesis.tex' but no run", done.stderr, re.MULTILINE)
    assert said and len(set(said)) == len(said)
