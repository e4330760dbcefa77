"""Set before anything imports torch or a Hub client: quiet threads, no telemetry, no network."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run two at a time, and their networks are small
os.environ["CYCLEGAN_HUB_PRECISION"] = "fp32"  # the same results on every processor
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="cyclegan_hub-tests-")
for _name in [name for name in os.environ if name.startswith(("ACCELERATE_", "HF_TOKEN"))]:
    del os.environ[_name]
