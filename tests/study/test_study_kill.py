"""A study that is killed twice and started again ends in the numbers of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from omegaconf import OmegaConf

from tests.conftest import tiny_overrides
from tests.helpers_process import run_program
from tlx.report import load_records

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
STUDY = ["-m", "freeze=8,scratch", "seed=0,1", "name=study", "logger.predictions=0",
         "trainer.checkpoint_minutes=0"]  # fmt: skip


def command(tiny_set: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tlx.train", *STUDY, *tiny_overrides(tiny_set, folder)]


def study(tiny_set: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run_program(
        *command(tiny_set, folder)[2:], *more, cwd=folder, env=ENVIRONMENT, timeout=600
    )


def records(folder: Path) -> dict[str, dict[str, Any]]:
    paths = (folder / "runs" / "study").glob("*/record.json")
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def course(record: dict[str, Any]) -> dict[str, Any]:
    """All numbers of a run that do not depend on the clock."""
    numbers = {key: [row[1:] for row in record[key]] for key in ("loss", "map", "map_50")}
    same = ("status", "fingerprint", "best", "test", "frozen", "phases", "trainable", "bound")
    return numbers | {key: record[key] for key in same}


def test_arms_are_interleaved_and_announced(tiny_set: Path, tmp_path: Path) -> None:
    """Every run fails at once here, for its data are not there: nothing is trained."""
    done = study(tiny_set, tmp_path, f"data.root={tmp_path / 'nowhere'}")
    assert done.returncode == 1
    assert re.findall(r"run \d of \d, .*", done.stdout + done.stderr) == [
        "run 1 of 4, freeze=8 seed=0, 0 finished",
        "run 2 of 4, scratch seed=0, 0 finished",
        "run 3 of 4, scratch seed=1, 0 finished",
        "run 4 of 4, freeze=8 seed=1, 0 finished",
    ]
    folders = (tmp_path / "runs" / "study").glob("*/config.yaml")
    configs = [OmegaConf.load(path) for path in folders]
    found = sorted((str(c.freeze), str(c.backbone.weights), int(c.seed)) for c in configs)
    assert found == [("8", "auto", 0), ("8", "auto", 1), ("none", "scratch", 0),
                     ("none", "scratch", 1)]  # fmt: skip


@pytest.mark.slow
def test_two_kills_change_no_number(tiny_set: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    started = time.monotonic()
    assert study(tiny_set, whole).returncode == 0
    seconds = time.monotonic() - started
    moments = random.Random(4)
    for number in (signal.SIGKILL, signal.SIGTERM):
        disturb(command(tiny_set, killed), killed, number, moments.uniform(0, 0.4 * seconds))
        load_records([killed / "runs" / "study"])  # whatever was being written can be read
    done = study(tiny_set, killed)
    assert done.returncode == 0, done.stderr
    expected, found = records(whole), records(killed)
    assert len(found) == 4
    assert {k: course(r) for k, r in found.items()} == {k: course(r) for k, r in expected.items()}
    assert any(r["resumes"] for r in found.values()), "no kill hit a run"


def disturb(study_command: list[str], folder: Path, number: int, after: float) -> None:
    """Start the study, and send it a signal some seconds after a run of it has begun."""
    process = subprocess.Popen(
        study_command, cwd=folder, env=ENVIRONMENT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    started = time.time()
    while not any(path.stat().st_mtime >= started for path in folder.rglob("record.json")):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(after)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    assert process.wait(timeout=60) != 0
    assert not psutil.wait_procs(children, timeout=20)[1], "a run outlives its study"
