"""The comparison of arms against figures that are worked out here by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.report.helpers_report import compared, make_record, rows_of, study
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.verdict import verdict
from tlx.report.page.arms import arms_table
from tlx.report.table import columns


def test_arms_are_ordered_and_seeds_grouped(tmp_path: Path) -> None:
    extra = [make_record("heads"), make_record("12"), make_record("8", policy="two_phase")]
    rows = rows_of(compared(tmp_path, *study(), *extra))
    assert list(rows) == [
        "scratch",
        "freeze=none",
        "freeze=4",
        "freeze=8",
        "freeze=8 two_phase",
        "freeze=12",
        "freeze=all",
        "freeze=heads",
    ]
    four = rows["freeze=4"]
    assert len(four.arm.records) == 2
    assert four.test_main is not None
    assert four.test_main.as_dict() == pytest.approx(
        {"mean": 0.64, "min": 0.61, "max": 0.67, "n": 2}
    )


def test_speedup_bound_share_and_proof(tmp_path: Path) -> None:
    rows = rows_of(compared(tmp_path, *study()))
    four = rows["freeze=4"]
    assert four.speedup is not None
    assert four.bound_speedup is not None
    assert four.speedup.mean == pytest.approx(0.2 / ((0.18 + 0.14) / 2))
    assert (four.speedup.low, four.speedup.high) == pytest.approx((0.2 / 0.18, 0.2 / 0.14))
    assert four.bound_speedup.mean == pytest.approx(1 / 0.8)
    assert four.trainable_share == pytest.approx(0.9)
    assert four.fit_min is not None
    assert four.fit_min.mean == pytest.approx(1.5)
    proofs = {label: row.frozen_proof for label, row in rows.items()}
    assert proofs["freeze=8"] == "CHANGED"
    assert (proofs["freeze=4"], proofs["freeze=none"]) == ("unchanged", "–")


def test_without_freeze_none_there_is_no_speedup(tmp_path: Path) -> None:
    scratch = make_record(weights={"source": "scratch", "sha256": None})
    rows = rows_of(compared(tmp_path, scratch, make_record("4")))
    assert [row.speedup for row in rows.values()] == [None, None]


def test_unlike_runs_are_named(tmp_path: Path) -> None:
    other = {"cpu": "Other 1", "cores": 2, "gpu": None, "torch": "2.9.0"}
    records = [make_record(), make_record("4", epochs=9, environment=other)]
    comparison = compared(tmp_path, *records)
    assert comparison.differs == ["epochs", "machine"]
    epochs, machine = comparison.warnings[:2]
    assert "differ in epochs: 4; 9." in epochs, "the labels say which"
    assert [row.arm.label for row in comparison.rows] == [
        "freeze=none epochs=4",
        "freeze=4 epochs=9",
    ]
    assert "Example 9000" in machine
    assert "Other 1" in machine
    assert comparison.rows[1].speedup is None, "a speed-up across machines shows the machines"


def of_data(train: str = "a1", test: str = "b1", boxes: str = "c1") -> dict[str, object]:
    """A record's `dataset` with these digests."""
    splits = {
        "train": {"images": 70, "pictures": train * 8, "boxes": boxes * 8},
        "val": {"images": 15, "pictures": "d1" * 8, "boxes": "e1" * 8},
        "test": {"images": 15, "pictures": test * 8, "boxes": "f1" * 8},
    }
    return {"classes": ["plate"], "splits": splits}


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (of_data(test="b2"), "test set"),
        (of_data(train="a2"), "training set"),
        (of_data(boxes="c2"), "training set"),
    ],
)
def test_arms_of_before_and_after_a_correction_are_not_compared(
    tmp_path: Path, changed: dict[str, object], what: str
) -> None:
    """The configuration is the same: only the data in the folder changed in between."""
    before = [make_record("none", seed=s, dataset=of_data()) for s in range(3)]
    after = [make_record("4", seed=s, dataset=changed) for s in range(3)]
    comparison = compared(tmp_path, *before, *after)
    assert what in comparison.differs
    assert [row.arm.label for row in comparison.rows] == [
        "freeze=none dataset=1", "freeze=4 dataset=2",
    ]  # fmt: skip
    [difference] = [d for d in comparison.differences if d.figure == "test_map_50"]
    assert f"not comparable (runs that differ in {what})" in difference.words
    assert any(f"The runs differ in {what}: " in line for line in comparison.warnings)


def test_seeds_of_before_and_after_a_correction_are_no_arm(tmp_path: Path) -> None:
    four = [make_record("4", seed=s, dataset=of_data(train=f"a{s // 2}")) for s in range(4)]
    rows = rows_of(compared(tmp_path / "two", *four))
    assert {label: len(row.arm.records) for label, row in rows.items()} == {
        "freeze=4 dataset=1": 2, "freeze=4 dataset=2": 2,
    }  # fmt: skip
    same = [make_record("4", seed=s, dataset=of_data()) for s in range(4)]
    assert list(rows_of(compared(tmp_path / "one", *same))) == ["freeze=4"]
    old = [make_record("4", seed=9)]
    assert list(rows_of(compared(tmp_path / "old", *same, *old))) == [
        "freeze=4 dataset=1", "freeze=4 dataset=unknown",
    ]  # fmt: skip


def test_unlike_precisions_are_named(tmp_path: Path) -> None:
    engines = [{"precision": name} for name in ("32-true", "bf16-mixed", "bf16-mixed")]
    records = [make_record(f, engine=e) for f, e in zip(("none", "4", "8"), engines, strict=True)]
    assert compared(tmp_path / "like", *records[1:]).differs == []
    mixed = compared(tmp_path / "mixed", *records)
    assert mixed.differs == ["precision"]
    assert "bf16-mixed (freeze=4, freeze=8)" in mixed.warnings[0]


def test_labels_name_what_differs(tmp_path: Path) -> None:
    records = [make_record("4"), make_record("4", backbone="other"), make_record("8", epochs=9)]
    records.append(make_record("8"))
    labels = [row.arm.label for row in compared(tmp_path, *records).rows]
    assert labels[:2] == ["freeze=4 mobilenet_v1 epochs=4", "freeze=4 other epochs=4"]
    assert labels[2:] == ["freeze=8 mobilenet_v1 epochs=4", "freeze=8 mobilenet_v1 epochs=9"]


def test_repeated_seed_is_not_a_second_sample(tmp_path: Path) -> None:
    again = make_record("4", test_map_50=0.9, finished="2025-01-02T00:00:00")
    comparison = compared(tmp_path, again, make_record("4"))
    (row,) = comparison.rows
    assert row.test_main is not None
    assert (row.test_main.mean, row.test_main.n) == (0.9, 1)
    assert any("run twice" in line for line in comparison.warnings)


def test_speedup_beyond_arithmetic_is_doubted(tmp_path: Path) -> None:
    comparison = compared(tmp_path, make_record(step=1.88), make_record("4", step=0.828))
    assert any("measured 2.27× against 1.25×" in line for line in comparison.warnings)


@pytest.mark.parametrize("count", [9, 10, 12])
def test_a_study_of_many_arms_is_compared(tmp_path: Path, count: int) -> None:
    freezes = ("none", *map(str, range(2, count)), "all")
    rng = np.random.default_rng(count)
    study = compared(
        tmp_path,
        *(
            make_record(freeze, seed, test_map_50=float(rng.uniform(0.5, 0.6)), step=step)
            for freeze in freezes
            for seed in range(3)
            for step in [float(rng.uniform(0.1, 0.2))]
        ),
    )
    assert len(study.rows) == count
    assert verdict(study)
    assert recommend(study).words


def test_n_counts_the_runs_that_have_the_figure(tmp_path: Path) -> None:
    runs = [make_record("4", seed, test_map_50=None if seed == 2 else 0.6) for seed in range(3)]
    comparison = compared(tmp_path, make_record(), *runs)
    row = rows_of(comparison)["freeze=4"]
    assert (row.figures, row.as_dict()["n"], len(row.as_dict()["runs"])) == (2, 2, 3)
    column = next(column for column in columns(comparison.levels) if column.heading == "n")
    assert column.cell(row) == "2"
    cells = next(line for line in arms_table(comparison).rows if line[0].text == "freeze=4")
    assert cells[1].text == "2"
    assert "freeze=4: no test mAP@.5 in freeze=4-seed=2." in comparison.warnings
