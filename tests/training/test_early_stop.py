"""Early stopping: when it stops, what it leaves, and where a resumed run stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Compose
from tests.training.helpers_stop import assert_equal_runs, rows, stop_next_run
from tests.training.test_closing import RECORD
from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.report.comparison.cautions import cautions
from tlx.report.comparison.records import Record
from tlx.study.short_run import shortened
from tlx.training.closing import closing
from tlx.training.detection import DetectionTask
from tlx.training.interrupt import Interrupted
from tlx.training.run import run


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the validations have these figures, by epoch."""

    def use(*figures: float | None) -> None:
        def end(task: DetectionTask) -> None:
            figure = figures[task.current_epoch]
            task.figures = {name: figure for name in ("map", "map_50", "map_75")}

        monkeypatch.setattr(DetectionTask, "on_validation_epoch_end", end)

    return use


def epochs_of(folder: Path) -> list[int]:
    return sorted({int(row["epoch"]) for row in rows(folder)})


def test_it_stops_behind_so_many_validations_and_a_tie_is_no_better(
    tiny_config: Compose, tmp_path: Path, scored: Any
) -> None:
    scored(0.1, 0.3, 0.3, 0.2, 0.9, 0.9)
    cfg = tiny_config("freeze=all", "trainer.epochs=6", "trainer.patience=2")
    record = run(cfg, tmp_path / "run")
    assert record["stopped_early"] == {"epoch": 3, "best": 1, "patience": 2}
    assert (record["status"], record["best"]["epoch"]) == ("finished", 1)
    assert record["frozen"]["hash_before"] == record["frozen"]["hash_after"] is not None
    assert epochs_of(tmp_path / "run") == [0, 1, 2, 3]
    last = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert (last["epoch"], last["global_step"]) == (3, 12), "the state it ended in is kept"
    told = closing(record, Path("r"))
    assert "12 steps in 4 of 6 epochs" in told
    assert "stopped early: no better val map_50 in 2 validations" in told


def test_a_run_that_gets_better_to_the_end_has_not_stopped(
    tiny_config: Compose, tmp_path: Path, scored: Any
) -> None:
    scored(0.1, 0.0, 0.2, 0.0)
    cfg = tiny_config("freeze=all", "trainer.epochs=4", "trainer.patience=2")
    assert run(cfg, tmp_path / "run")["stopped_early"] is None
    assert epochs_of(tmp_path / "run") == [0, 1, 2, 3]


def test_it_does_not_stop_before_the_unfreeze(
    tiny_config: Compose, tmp_path: Path, scored: Any
) -> None:
    """The best is of epoch 0; four validations pass, of which the second phase has the last."""
    scored(*[0.5] + [0.1] * 7)
    cfg = tiny_config(
        "freeze=8", "policy=two_phase", "policy.unfreeze_at=0.5", "trainer.epochs=8",
        "trainer.patience=1",
    )  # fmt: skip
    record = run(cfg, tmp_path / "run")
    assert record["stopped_early"] == {"epoch": 4, "best": 0, "patience": 1}
    assert record["phases"][1]["first_epoch"] == 4


def test_val_without_a_figure_never_stops(
    tiny_config: Compose, tmp_path: Path, scored: Any
) -> None:
    scored(None, None, None)
    cfg = tiny_config("freeze=all", "trainer.epochs=3", "trainer.patience=1")
    assert run(cfg, tmp_path / "run")["stopped_early"] is None
    assert epochs_of(tmp_path / "run") == [0, 1, 2]


def test_a_resumed_run_stops_where_it_would_have(
    tiny_config: Compose, tmp_path: Path, scored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it waits, and killed in its test, when training is over."""
    scored(0.3, 0.1, 0.2, 0.9, 0.9)
    cfg = tiny_config(
        "freeze=8", "trainer.epochs=5", "trainer.patience=2", "trainer.checkpoint_minutes=60"
    )
    whole = run(cfg, tmp_path / "whole")
    assert whole["stopped_early"] == {"epoch": 2, "best": 0, "patience": 2}
    with monkeypatch.context() as patch:
        stop_next_run(patch, 8)
        with pytest.raises(Interrupted):
            run(cfg, tmp_path / "stopped")
    with monkeypatch.context() as patch:

        def killed(*_: Any) -> None:
            raise RuntimeError("killed")

        patch.setattr(DetectionTask, "test_step", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run(cfg, tmp_path / "stopped")
    record = run(cfg, tmp_path / "stopped")
    assert record["stopped_early"] == whole["stopped_early"]
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


def test_a_report_warns_of_arms_of_different_lengths() -> None:
    def arm(label: str, *lasts: int | None) -> Any:
        stops = [last and {"epoch": last, "best": last - 2, "patience": 2} for last in lasts]
        records = [Record(Path("r"), RECORD | {"stopped_early": stop}) for stop in stops]
        return type("Arm", (), {"records": records, "label": label, "first": records[0]})

    def told(*arms: Any) -> list[str]:
        return [line for line in cautions(arms) if "stopped early" in line]

    assert told(arm("a", 6, 8), arm("b", None, 6)) == [
        "Runs stopped early, and had unlike lengths: a 7, 9 epochs; b 30, 7 epochs. Training time "
        "and energy hold how long a run went on, not only what a step costs; quality is that of "
        "the best epoch of each, and the rates of a run that stopped had not gone down to zero."
    ]
    assert not told(arm("a", 6), arm("b", 6)), "all were as long"
    assert not told(arm("a", None), arm("b", None))


def test_a_pilot_compares_depths_at_equal_epochs(compose_config: Compose) -> None:
    cfg = compose_config("policy=auto", "trainer.patience=3")
    assert shortened(cfg, 0, 6).trainer.patience == 0
    with pytest.raises(ConfigError, match=r"trainer.patience=-1 must be at least 0"):
        check_config(compose_config("trainer.patience=-1"))
