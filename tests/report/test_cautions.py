"""What a reader is told of a study as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.helpers_report import compared, make_record
from tlx.report.comparison.cautions import cautions


def told(tmp_path: Path, *records: dict[str, Any]) -> list[str]:
    return cautions([row.arm for row in compared(tmp_path, *records).rows])


def frozen(*blocks: str, parameters: int = 900, first_epoch: int = 0) -> dict[str, Any]:
    return {"first_epoch": first_epoch, "blocks": list(blocks), "trains": None,
            "frozen_parameters": parameters}  # fmt: skip


def test_freezes_that_end_at_unlike_epochs_are_two(tmp_path: Path) -> None:
    ends = {"1": 4, "all": 6}
    found = told(
        tmp_path,
        *(make_record(freeze, seed, phases=[frozen("a", "b"), frozen(first_epoch=end)])
          for freeze, end in ends.items() for seed in range(2)),
    )  # fmt: skip
    assert not any("one arm under two names" in line for line in found)


@pytest.mark.parametrize(
    ("other", "twice"),
    [
        (frozen("a", "b"), True),
        (frozen("a"), False),
        (frozen("a", "b", parameters=1200), False),  # freeze=neck: the blocks and what is behind
        (frozen("a", "b", first_epoch=2), False),
    ],
)
def test_two_names_of_one_freeze_are_said(
    tmp_path: Path, other: dict[str, Any], twice: bool
) -> None:
    found = told(
        tmp_path,
        *(make_record("1", seed, phases=[frozen("a", "b")]) for seed in range(2)),
        *(make_record("all", seed, phases=[other]) for seed in range(2)),
    )
    lines = [line for line in found if "one arm under two names" in line]
    assert len(lines) == twice
    assert not lines or lines[0].startswith("freeze=1 and freeze=all froze the same blocks")


def test_runs_of_an_arm_that_were_always_clipped_are_one_line(tmp_path: Path) -> None:
    norms = {"none": 3.0, "4": 30.0}
    records = [
        make_record(freeze, seed, name=f"{freeze}-{seed}",
                    gradients={"median_norm": norm + seed, "clipped": 1.0 if norm > 9 else 0.4})
        for freeze, norm in norms.items()
        for seed in range(3)
    ]  # fmt: skip
    (line,) = [line for line in told(tmp_path, *records) if "clipped" in line]
    assert line.startswith("freeze=4, 3 of its runs: 100% of the steps were clipped (median")
    assert "gradient norm 30 to 32)" in line
