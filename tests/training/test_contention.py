"""How long a run waited for a core is measured, and goes on where a run goes on."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from tests.conftest import Compose
from tlx.records.columns import DETECT
from tlx.training.contention import waited_seconds
from tlx.training.recorder import Recorder
from tlx.training.run import run

ON_LINUX = pytest.mark.skipif(waited_seconds() is None, reason="this system does not tell")


def spin(seconds: float) -> float:
    """How long this process waited while it shared a core with whoever is there."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before, end = waited_seconds(), time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    after = waited_seconds()
    assert before is not None
    assert after is not None
    return after - before


@ON_LINUX
def test_two_that_share_a_core_wait_for_each_other() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        waited = pool.map(spin, [1.5, 1.5], chunksize=1)
    assert max(waited) > 0.3


@ON_LINUX
def test_a_run_records_it(tiny_config: Compose, tmp_path: Path) -> None:
    record = run(tiny_config("trainer.epochs=1"), tmp_path / "run")
    assert 0 <= record["time"]["waited_s"] <= record["time"]["fit_s"]


def test_a_run_that_goes_on_adds_to_what_was_noted(tmp_path: Path) -> None:
    recorder = Recorder(DETECT, tmp_path / "metrics.csv", [], "map", lambda _: None)
    before = {"rows": [], "hashes": {}, "seconds": 50.0}
    recorder.load_state_dict({**before, "waited": 20.0})
    recorder._started, recorder._waited_at_start = time.monotonic(), waited_seconds()
    noted = recorder.state_dict()["waited"]
    assert 20.0 <= noted < 50.0 if waited_seconds() is not None else noted is None
    recorder.load_state_dict(before)  # of a version that did not note it
    assert recorder.state_dict()["waited"] is None
