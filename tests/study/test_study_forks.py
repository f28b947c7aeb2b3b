"""What a sweep computes before its runs are forked does not stop them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import tiny_overrides


def test_a_backbone_that_computes_in_the_check(tiny_set: Path, tmp_path: Path) -> None:
    """timm's networks are run when they are checked; with threads, the forks would wait for ever.

    In a process of its own and not in the tests' fork, for the threads are what matters.
    """
    overrides = [o for o in tiny_overrides(tiny_set, tmp_path) if "trainer.epochs" not in o]
    done = subprocess.run(
        [
            sys.executable, "-m", "tlx.train", "-m", *overrides, "backbone=timm",
            "backbone.model=lcnet_050", "backbone.weights=scratch", "freeze=none", "seed=0",
            "trainer.epochs=1", "trainer.threads=1",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "runs").rglob("record.json"))) == 1
