"""A training of two processes that says after each epoch whether they are replicas. A process of its own can import it."""

from __future__ import annotations

import os
import shutil

import torch
import torch.distributed as dist

from cyclegan_hub.training import loop


class Compared(loop.Loop):
    """Compares every weight of every network, and the EMA, across the processes after each epoch.

    The run as it is after step 3 is copied to $COPY.
    """

    def _save(self) -> None:
        super()._save()
        if self.step == 3 and "COPY" in os.environ and self.accelerator.is_main_process:
            shutil.copytree(self.folder.path, os.environ["COPY"], ignore=shutil.ignore_patterns(".lock"))

    def _end_epoch(self, epoch: int) -> None:
        super()._end_epoch(epoch)
        weights = [x for n in self.trainer.networks.values() for x in n.state_dict().values()]  # buffers too
        flat = torch.cat([p.flatten() for p in (*weights, *self.trainer.ema.shadow_params)])
        pool = torch.stack(self.trainer.pools["a"].images).sum()
        replicas, pools = ([torch.empty_like(x) for _ in range(2)] for x in (flat, pool))
        dist.all_gather(replicas, flat)
        dist.all_gather(pools, pool)
        self.accelerator.print(f"replicas equal: {torch.equal(*replicas)}, pools differ: {not torch.equal(*pools)}")


def compare() -> None:
    """For a process of its own, whose loop it replaces."""
    loop.Loop = Compared  # type: ignore[misc]
