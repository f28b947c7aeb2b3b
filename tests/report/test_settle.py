"""What would settle an open question: how many seeds or pictures, and the command for them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import tiny_overrides
from tests.report.helpers_report import make_record
from tests.test_programs import ENVIRONMENT, program
from tlx.report.comparison.records import Record
from tlx.report.comparison.settle import Need, needed
from tlx.report.comparison.statistics import crossed, foreseen, paired
from tlx.report.comparison.sweep import SWEEP, with_seeds

ACCEPTED = 0.02


@pytest.mark.slow
def test_the_command_that_is_printed_runs_and_adds_its_seeds(
    tiny_set: Path, tmp_path: Path
) -> None:
    overrides = [*tiny_overrides(tiny_set, tmp_path), "trainer.epochs=1", "name=a study"]
    done = program("train", "-m", "freeze=none,8", "seed=0", *overrides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    study = tmp_path / "runs" / "a study"
    for file in study.glob("*/record.json"):  # so little training finds nothing
        record = json.loads(file.read_text())
        record["test"]["map_50"] = 0.5
        file.write_text(json.dumps(record))
        (file.parent / "predictions" / "test.json").unlink()
    told = program("report", study, cwd=tmp_path).stdout
    assert "Next: 2 more seeds would give a first interval" in told
    line = next(line for line in told.splitlines() if line.startswith("python -m tlx.train -m "))
    assert "seed=0,1,2" in line
    assert line in (study / "report" / "report.md").read_text()
    words = shlex.split(line)
    again = subprocess.run([sys.executable, *words[1:]], env=ENVIRONMENT, cwd=tmp_path, check=False)
    assert again.returncode == 0
    seeds = {
        (record["freeze"], record["seed"])
        for file in study.glob("*/record.json")
        if (record := json.loads(file.read_text()))["status"] == "finished"
    }
    assert seeds == {(freeze, seed) for freeze in ("none", "8") for seed in (0, 1, 2)}


def swept(folder: Path, freeze: str) -> list[Record]:
    hydra = {
        "overrides": {
            "task": [f"freeze={freeze}", "seed=0", "data.root=/data/my guns"],
            "hydra": ["hydra.mode=MULTIRUN"],
        },
        "sweeper": {"params": None},
    }
    (folder / SWEEP).write_text(json.dumps({"hydra": hydra}))
    return [Record(folder / arm, make_record(arm)) for arm in ("none", "4")]


def test_the_command_is_that_of_the_sweep(tmp_path: Path) -> None:
    records = swept(tmp_path, "none,4")
    line = "python -m tlx.train -m freeze=none,4 'data.root=/data/my guns' seed=0,1"
    assert with_seeds(records, [0, 1]) == line


@pytest.mark.parametrize("fault", ["other depths", "no file", "damaged", "two folders"])
def test_without_the_sweep_of_all_runs_there_is_no_command(tmp_path: Path, fault: str) -> None:
    records = swept(tmp_path, "none,8" if fault == "other depths" else "none,4")
    if fault == "no file":
        (tmp_path / SWEEP).unlink()
    elif fault == "damaged":
        (tmp_path / SWEEP).write_text("hydra: [")
    elif fault == "two folders":
        records.append(Record(tmp_path / "other" / "run", make_record("8")))
    assert with_seeds(records, [0, 1]) is None


def test_what_is_foreseen_of_as_many_seeds_and_pictures_is_what_was_measured() -> None:
    parts = np.random.default_rng(0).normal(0, 0.3, (4, 60))
    found = crossed(parts.mean(1), parts)
    assert foreseen(found, 4) == found
    # Twice of both halves both parts of the variance
    twice = foreseen(found, 8, 120)
    assert twice.se == pytest.approx(found.se / np.sqrt(2))
    assert twice.df > found.df


def test_seeds_do_not_settle_what_the_pictures_leave_open() -> None:
    rng = np.random.default_rng(1)
    parts = rng.normal(0, 0.4, (1, 50)) + rng.normal(0, 0.05, (5, 50))
    need = needed(crossed(parts.mean(1), parts), ACCEPTED, leads=True)
    assert need.pictures > 500
    assert need.seeds == 0


def test_an_arm_that_seems_to_lose_more_than_is_accepted_needs_no_more_seeds() -> None:
    losing = paired(np.array([-0.05, -0.04, -0.06]))
    assert needed(losing, ACCEPTED, leads=False) == Need()
    assert needed(None, ACCEPTED, leads=False) == Need(seeds=2)


@pytest.mark.parametrize(("seeds", "least"), [(2, 0.65), (3, 0.8), (5, 0.9)])
def test_so_many_more_seeds_settle_it_in_most_studies(seeds: int, least: float) -> None:
    """Two arms that are alike: of the studies that were open, most are settled afterwards."""
    rng = np.random.default_rng(seeds)
    settled = opened = 0
    for _ in range(400):
        gaps = rng.normal(0, 0.03, seeds)
        before = paired(gaps)
        assert before is not None
        if leads(before.mean, before.interval) >= -ACCEPTED:
            continue
        more = needed(before, ACCEPTED, leads=True).seeds
        if not more:  # more than a hundred: nothing was promised
            continue
        opened += 1
        after = paired(np.concatenate([gaps, rng.normal(0, 0.03, more)]))
        assert after is not None
        settled += leads(after.mean, after.interval) >= -ACCEPTED
    assert opened > 200
    assert settled >= least * opened


def leads(mean: float, interval: tuple[float, float]) -> float:
    """The lower end of the interval of the arm that leads, whichever it is."""
    return interval[0] if mean >= 0 else -interval[1]
