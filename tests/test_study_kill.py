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
from conftest import tiny_overrides

from tlx.report import load_records

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
STUDY = ["-m", "freeze=8,scratch", "seed=0,1", "name=study", "trainer.checkpoint_minutes=0",
         "logger.predictions=0"]  # fmt: skip


def command(tiny_set: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tlx.train", *STUDY, *tiny_overrides(tiny_set, folder)]


def records(folder: Path) -> dict[str, dict[str, Any]]:
    paths = (folder / "runs" / "study").glob("*/record.json")
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def course(record: dict[str, Any]) -> dict[str, Any]:
    """All numbers of a run that do not depend on the clock."""
    numbers = {key: [row[1:] for row in record[key]] for key in ("loss", "map", "map_50")}
    same = ("status", "fingerprint", "best", "test", "frozen", "phases", "trainable", "bound")
    return numbers | {key: record[key] for key in same}


@pytest.fixture(scope="module")
def undisturbed(
    tiny_set: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, Any]], str, float]:
    """The records of a study that nothing happened to, what it printed, and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    done = subprocess.run(
        command(tiny_set, folder), capture_output=True, text=True, check=False, cwd=folder,
        env=ENVIRONMENT, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return records(folder), done.stdout + done.stderr, time.monotonic() - started


def test_arms_are_interleaved_and_announced(
    undisturbed: tuple[dict[str, dict[str, Any]], str, float],
) -> None:
    found, printed, _ = undisturbed
    assert len(found) == 4
    lines = [re.sub(r", (about|under) .* left", ", forecast", line)
             for line in re.findall(r"run \d of \d, .*", printed)]  # fmt: skip
    assert lines == [
        "run 1 of 4, freeze=8 seed=0, 0 finished",
        "run 2 of 4, scratch seed=0, 1 finished, forecast",
        "run 3 of 4, scratch seed=1, 2 finished, forecast",
        "run 4 of 4, freeze=8 seed=1, 3 finished, forecast",
    ]
    sources = {r["weights"]["source"] == "scratch": r["freeze"] for r in found.values()}
    assert sources == {True: "none", False: "8"}


def test_two_kills_change_no_number(
    undisturbed: tuple[dict[str, dict[str, Any]], str, float], tiny_set: Path, tmp_path: Path
) -> None:
    expected, _, seconds = undisturbed
    moments = random.Random(4)
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(
            command(tiny_set, tmp_path), cwd=tmp_path, env=ENVIRONMENT, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started = time.time()
        while not any(r["started_at"] >= started for r in touched(tmp_path)):
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.4 * seconds))
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(timeout=60) != 0
        assert not psutil.wait_procs(children, timeout=20)[1], "a run outlives its study"
        load_records([tmp_path / "runs" / "study"])  # whatever was being written can be read
    done = subprocess.run(
        command(tiny_set, tmp_path), capture_output=True, text=True, check=False, cwd=tmp_path,
        env=ENVIRONMENT, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    assert {k: course(r) for k, r in found.items()} == {k: course(r) for k, r in expected.items()}
    assert sum(r["resumes"] for r in found.values()) >= 1, "no kill hit a run"


def touched(folder: Path) -> list[dict[str, float]]:
    paths = (folder / "runs" / "study").glob("*/record.json")
    return [{"started_at": path.stat().st_mtime} for path in paths]
