"""The norm of a step's gradients: what is noted, what it says of a run, what clipping does."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import pytorch_lightning as pl

from tests.conftest import Compose
from tlx.records.learned import always_clipped
from tlx.training.closing import warnings_of
from tlx.training.freeze_task import FreezeTask
from tlx.training.run import run


def norms(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row["gradient_norm"]) for row in csv.DictReader(file) if row["loss"]]


def test_it_is_lightnings_clipping(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same course with Lightning's own hook, which does not say what the norm was."""
    cfg = tiny_config("freeze=8", "trainer.clip_norm=15")
    record = run(cfg, tmp_path / "ours")
    found = norms(tmp_path / "ours")
    assert len(found) == 6
    assert min(found) < 15 < max(found), "some are clipped and some are not"
    share = sum(norm > 15 for norm in found) / 6
    assert record["gradients"] == {"median_norm": pytest.approx(median(found)), "clipped": share}

    def theirs(task: FreezeTask, *given: Any, **named: Any) -> None:
        pl.LightningModule.configure_gradient_clipping(task, *given, **named)
        task.gradient_norm = 0 * next(task.network.parameters()).sum()

    monkeypatch.setattr(FreezeTask, "configure_gradient_clipping", theirs)
    other = run(cfg, tmp_path / "theirs")
    assert [row[2] for row in other["loss"]] == [row[2] for row in record["loss"]]


def test_without_clipping_there_is_a_norm_and_no_share(
    tiny_config: Compose, tmp_path: Path
) -> None:
    record = run(tiny_config("trainer.clip_norm=0", "trainer.epochs=1"), tmp_path / "run")
    assert record["gradients"]["clipped"] is None
    assert record["gradients"]["median_norm"] == pytest.approx(median(norms(tmp_path / "run")))


def test_a_run_that_is_always_clipped_says_so() -> None:
    record = {"gradients": {"median_norm": 38.2, "clipped": 1.0}}
    told = "100% of the steps were clipped (median gradient norm 38.2)"
    assert told in str(always_clipped(record))
    assert any(told in line for line in warnings_of(record))
    for other in (
        {"median_norm": 9.0, "clipped": 0.4},
        {"median_norm": 9.0, "clipped": None},
        None,
    ):
        assert always_clipped({"gradients": other}) is None


def test_what_clipping_means_follows_from_the_optimizer() -> None:
    """Adam's steps are invariant to the gradients' size (Kingma & Ba 2015, sec. 2.1)."""
    record = {"gradients": {"median_norm": 38.2, "clipped": 1.0}}
    told = {
        name: str(always_clipped(record | {"config": {"trainer": {"optimizer": name}}}))
        for name in ("adamw", "sgd")
    }
    assert "changes little" in told["adamw"]
    assert "trainer.clip_norm times the rates" in told["sgd"]
