"""Runs that are killed again and again, at random moments, end in an undisturbed run's numbers."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import tiny_overrides
from tests.training.helpers_stop import assert_equal_runs
from tests.training.test_resume import POLICIES

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
KILLS = 12  # of each run
# A checkpoint every 0.6 s: kills hit steps in mid-epoch, validations, writes and the test alike.
SETTINGS = ["trainer.epochs=4", "trainer.batch_size=3", "trainer.checkpoint_minutes=0.01"]
RUNS = [
    ("fixed", 0), ("fixed", 1), ("fixed", 2), ("two_phase disk", 1), ("memory", 2), ("ema", 1),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "workers"), RUNS)
def test_kills_at_random_moments_change_no_number(
    policy: str, workers: int, tiny_set: Path, tmp_path: Path
) -> None:
    """The moments are drawn from the length of the undisturbed run.

    Where the run's end comes before the moment, no kill is counted, and another run begins.
    """
    draw = random.Random(f"{policy} {workers}")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    record = killed / "record.json"
    command = [sys.executable, "-m", "tlx.train", *tiny_overrides(tiny_set, tmp_path), *SETTINGS,
               *POLICIES[policy], f"trainer.workers={workers}"]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run(
        [*command, f"hydra.run.dir={whole}"], capture_output=True, text=True, check=False,
        env=ENVIRONMENT, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - started
    steps: set[int] = set()
    kills = 0
    while kills < KILLS:
        after = draw.uniform(0.2, 0.9) * seconds
        if kill_after([*command, f"hydra.run.dir={killed}"], after):
            kills += 1
        else:  # it came to its end before
            assert_equal_runs(whole, killed)
            steps |= {note["step"] for note in json.loads(record.read_text())["resumed"]}
            shutil.rmtree(killed)
    done = subprocess.run(
        [*command, f"hydra.run.dir={killed}"], capture_output=True, text=True, check=False,
        env=ENVIRONMENT, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_equal_runs(whole, killed)
    steps |= {note["step"] for note in json.loads(record.read_text())["resumed"]}
    print(f"{policy}, {workers} workers: {kills} kills; continued from steps {sorted(steps)}")
    assert steps, "no kill left a run to continue"


def kill_after(command: list[str], seconds: float) -> bool:
    """Start, wait, SIGKILL the process and its loader processes; False where it had ended well."""
    process = subprocess.Popen(
        command, env=ENVIRONMENT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, errors
    return False
