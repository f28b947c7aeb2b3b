"""A study of fair arms as a user makes it: trials, rates, runs, report, and the same again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Compose, tiny_overrides
from tests.helpers_process import run_program
from tlx.common.errors import ConfigError
from tlx.training.run import run

pytest.importorskip("optuna", reason="needs the extra `tuning`")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def study(tiny_set: Path, folder: Path, *more: str) -> Any:
    return run_program(
        "tlx.train", "-m", "name=study", "seed=0", *tiny_overrides(tiny_set, folder),
        "trainer.epochs=1", *more, cwd=folder, env=ENVIRONMENT, timeout=600,
    )  # fmt: skip


def records(folder: Path) -> dict[str, dict[str, Any]]:
    paths = (folder / "runs" / "study").glob("*/record.json")
    found = [json.loads(path.read_text()) for path in paths]
    return {record["freeze"]: record for record in found}


def test_a_study_tunes_each_arm_then_runs_it(tiny_set: Path, tmp_path: Path) -> None:
    """Two trials of one arm of one epoch, and its run of the same time as itself."""
    given = ("freeze=all", "tune.trials=2", "tune.design=wall_clock", "trainer.val_every=1")
    done = study(tiny_set, tmp_path, *given)
    assert done.returncode == 0, done.stderr
    [(freeze, record)] = records(tmp_path).items()
    tuning, trainer = record["tuning"], record["config"]["trainer"]
    assert (freeze, record["status"], tuning["tuned"]) == ("all", "finished", ["head_lr"])
    assert tuning["rates"] == {"head_lr": trainer["head_lr"]}
    first, second = tuning["trials"]
    assert (first["head_lr"], first["base_lr"]) == (0.003, trainer["base_lr"])
    assert second["head_lr"] != first["head_lr"]
    assert all(t["state"] == "finished" and t["seconds"] > 0 for t in tuning["trials"])
    assert tuning["length"]["epochs"] == record["epochs"] == 1
    assert tuning["length"]["reference"] == "freeze=all"
    root = tmp_path / "runs" / "study"
    trials = [json.loads(path.read_text()) for path in (root / "tuning").rglob("record.json")]
    assert {(t["status"], t["test"], t["seed"], t["tuning"]) for t in trials} == {
        ("finished", None, 1000, None)
    }
    assert {t["best"]["map_50"] for t in trials} == {t["val"] for t in tuning["trials"]}
    assert not list((root / "tuning").rglob("*.ckpt"))
    report = (root / "report" / "report.md").read_text()
    assert "Design: the same wall-clock for every arm, that of 1 epoch of freeze=all" in report
    before = {path: path.read_bytes() for path in root.rglob("record.json")}
    again = study(tiny_set, tmp_path, *given)
    assert again.returncode == 0, again.stderr
    assert {path: path.read_bytes() for path in root.rglob("record.json")} == before


def test_rates_are_tuned_by_a_study_only(tiny_config: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="add -m"):
        run(tiny_config("tune.trials=2"), tmp_path)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("tune.trials=0",), "tune.trials=0 must be at least 1"),
        (("tune.minutes=-1",), "tune.minutes=-1.0 must be"),
        (("tune.design=clock", "tune.trials=2"), "tune.design"),
        (("tune.design=wall_clock",), "needs the step times of trials"),
        (("tune.trials=2", "trainer.patience=3"), "trainer.patience=3 would end it earlier"),
        (("tune.trials=2", "policy=auto"), "leave policy=auto out"),
        (("tune.trials=2", "trainer.batch_size=auto"), "a number"),
        (("tune.trials=2", "tune.epochs=9"), "at most trainer.epochs=2"),
    ],
)
def test_what_tuning_cannot_go_with(more: tuple[str, ...], told: str, tiny_config: Compose) -> None:
    from tlx.config.check import check_config

    with pytest.raises(ConfigError, match=told):
        check_config(tiny_config(*more))


@pytest.mark.slow
def test_a_study_killed_in_a_trial_ends_with_the_same_rates(tiny_set: Path, tmp_path: Path) -> None:
    """Killed in its second and in its last trial; the third start ends it."""
    given = ("freeze=8,all", "tune.trials=3", "tune.epochs=1", "trainer.checkpoint_minutes=0")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    assert study(tiny_set, folders[0], *given).returncode == 0
    command = [
        sys.executable, "-m", "tlx.train", "-m", "name=study", "seed=0",
        *tiny_overrides(tiny_set, folders[1]), "trainer.epochs=1", *given,
    ]  # fmt: skip
    root = folders[1] / "runs" / "study" / "tuning"
    for begun in (2, 6):
        process = subprocess.Popen(command, cwd=folders[1], env=ENVIRONMENT)
        until = time.monotonic() + 500
        while time.monotonic() < until and process.poll() is None:
            trials = len(list(root.rglob("record.json")))
            if trials == begun and any(root.rglob("checkpoints/last.ckpt")):
                break
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        process.wait()
    assert study(tiny_set, folders[1], *given).returncode == 0
    one, two = (records(folder) for folder in folders)
    for freeze in ("8", "all"):
        assert _figures(one[freeze]["tuning"]) == _figures(two[freeze]["tuning"])
        assert one[freeze]["fingerprint"] == two[freeze]["fingerprint"]
        assert one[freeze]["test"] == two[freeze]["test"]
    resumed = [json.loads(path.read_text())["resumes"] for path in root.rglob("record.json")]
    assert sum(resumed) >= 1, "what was killed went on from its checkpoint"


def _figures(tuning: dict[str, Any]) -> list[Any]:
    """Rates and figures of the trials: all but times."""
    keys = ("number", "state", "base_lr", "head_lr", "val")
    return [[trial[key] for key in keys] for trial in tuning["trials"]] + [tuning["rates"]]
