"""The levels of loss and mAP that arms are timed to, against figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.helpers_report import compared, make_record, rows_of, study
from tlx.common.errors import ConfigError
from tlx.report.comparison.levels import Reach
from tlx.report.table import columns


def seconds_of(reach: Reach | None) -> float:
    assert reach is not None
    assert reach.seconds is not None
    return reach.seconds.mean


def test_a_map_of_nothing_is_no_level(tmp_path: Path) -> None:
    nothing = [make_record(f, val=[0.0, 0.0], test_map_50=0.0) for f in ("none", "4")]
    comparison = compared(tmp_path, *nothing)
    assert comparison.levels.main is None
    assert [row.time_to_main for row in comparison.rows] == [None, None]


def test_default_levels_are_reached_by_every_arm(tmp_path: Path) -> None:
    comparison = compared(tmp_path, *study())
    loss, best = comparison.levels.loss, comparison.levels.main
    assert loss is not None
    assert best is not None
    # freeze=all ends highest: steps 16 to 20 at 10 - 0.2 * step
    assert loss.value == pytest.approx(sum(10 - 0.2 * step for step in range(16, 21)) / 5)
    assert best.value == 0.5
    for row in comparison.rows:
        assert row.time_to_loss is not None
        assert row.time_to_loss.missed == 0
        assert row.time_to_main is not None
        assert row.time_to_main.missed == 0
    rows = rows_of(comparison)
    # The smoothed loss of none at step s is 10 - 0.25 * (s - 2), at most 6.4 from step 17 on.
    assert seconds_of(rows["freeze=none"].time_to_loss) == pytest.approx(17 * 0.2)
    assert seconds_of(rows["freeze=all"].time_to_loss) == pytest.approx(20 * 0.1)
    # mAP 0.5 is passed at the fourth validation, the third being null; by `all` at the second
    assert seconds_of(rows["freeze=none"].time_to_main) == pytest.approx(20 * 0.2)
    assert seconds_of(rows["freeze=all"].time_to_main) == pytest.approx(10 * 0.1)


def test_an_epoch_is_no_longer_where_not_each_is_validated(tmp_path: Path) -> None:
    points = [[0.2 * 10, 10, None], [0.2 * 20, 20, 0.6]]  # after epochs 2 and 4, of 5 steps each
    config = {"trainer": {"val_every": 2}}
    comparison = compared(tmp_path, make_record(map_50=points, config=config))
    assert comparison.levels.loss is not None
    assert comparison.levels.loss.value == pytest.approx(10 - 0.25 * 18)  # steps 16 to 20


def test_given_level_can_be_missed(tmp_path: Path) -> None:
    records = [make_record("4", 0, val=[0.9]), make_record("4", 1), make_record("8")]
    comparison = compared(tmp_path, *records, main_level=0.8)
    four, eight = comparison.rows
    assert four.time_to_main is not None
    assert four.time_to_main.missed == 1
    column = next(c for c in columns(comparison.levels) if c.heading.startswith("s to mAP"))
    assert column.cell(four).endswith("1 of 2 runs")
    assert column.cell(eight) == "not reached"


@pytest.mark.parametrize("levels", [{"main_level": 1.5}, {"loss_level": float("nan")}])
def test_impossible_level_is_refused(tmp_path: Path, levels: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="level must be"):
        compared(tmp_path, make_record(), **levels)


def test_level_that_tells_nothing_is_warned(tmp_path: Path) -> None:
    low = make_record("all", val=[0.0, 0.01])
    warnings = compared(tmp_path, low, make_record(), make_record("4")).warnings
    assert any("set by freeze=all" in line and "map_level" in line for line in warnings)


def test_neither_scratch_nor_an_arm_that_learned_nothing_sets_the_level(tmp_path: Path) -> None:
    scratch = make_record(weights={"source": "scratch", "sha256": None}, val=[0.0, 0.01])
    idle = make_record("8", val=[0.0, 0.0], test_map_50=0.0, best={"map_50": 0.0})
    level = compared(tmp_path, scratch, idle, make_record(), make_record("4")).levels.main
    assert level is not None
    assert level.value == 0.6
