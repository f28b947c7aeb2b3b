"""Fair arms in a report: one question, its design in words, and each arm's trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.helpers_report import make_record, write_runs
from tlx.records.quality import DETECTION
from tlx.report import load_records
from tlx.report.build import make_report, read_comparison
from tlx.report.charts.tuning import rate_sensitivity
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.tuning import sensitivity_lines

RATES = {"none": (4e-4, 2e-3), "4": (2e-3, 5e-3), "all": (1e-3, 9e-3)}


def tuned(freeze: str, seed: int, length: dict[str, Any] | None = None, **more: Any) -> Any:
    """A run of a tuned arm, whose epochs are those of `length` where there is one."""
    base, head = RATES[freeze]
    rates = {"head_lr": head} if freeze == "all" else {"base_lr": base, "head_lr": head}
    epochs = length["epochs"] if length else 4
    trials = [
        {"number": 0, "state": "finished", "base_lr": 1e-3, "head_lr": 3e-3, "val": 0.5},
        {"number": 1, "state": "finished", "base_lr": base, "head_lr": head, "val": 0.62},
        {"number": 2, "state": "diverged", "base_lr": base, "head_lr": 2e-2, "val": None},
        {"number": 3, "state": "finished", "base_lr": base, "head_lr": 4e-3, "val": 0.61},
    ]
    tuning = {
        "version": 1, "arm": f"freeze={freeze}", "fingerprint": f"tuning-{freeze}", "seed": 1000,
        "status": "finished", "trials_asked": 4, "minutes_asked": None, "epochs": 2,
        "figure": "map_50", "tuned": list(rates), "rates": rates, "best": 1, "seconds": 240.0,
        "ranges": {"base_lr": [1e-4, 1e-2], "head_lr": [3e-4, 3e-2]}, "trials": trials,
        "learned": True, "at_the_edge": [], "dataset": None,
        "design": "wall_clock" if length else "epochs", "length": length,
    }  # fmt: skip
    tuning |= more.pop("tuning", {})
    config = {
        "freeze": freeze, "seed": seed, "policy": {"name": "fixed"},
        "backbone": {"name": "mobilenet_v1", "weights": "auto"},
        "data": {"name": "sample", "format": "sample"},
        "detector": {"name": "ssd", "input_size": 192},
        "trainer": {"epochs": epochs, "batch_size": 24, "base_lr": base, "head_lr": head},
        "tune": {"trials": 4, "design": tuning["design"]},
    }  # fmt: skip
    test = {"none": 0.6, "4": 0.61, "all": 0.5}[freeze] + 0.01 * seed
    changes = {"test_map_50": test, "config": config, "tuning": tuning, "epochs": epochs}
    return make_record(freeze, seed, **(changes | more))


def of(root: Path, *records: Any) -> Comparison:
    return read_comparison([write_runs(root, *records)])


def study(length: bool = False) -> list[Any]:
    lengths: dict[str, Any] = dict.fromkeys(RATES)
    if length:
        reference = {"reference": "freeze=none", "reference_epochs": 4, "timed_by": "steps",
                     "reference_seconds": 90.0}  # fmt: skip
        counts = {"none": 4, "4": 5, "all": 9}
        lengths = {freeze: {"epochs": count, **reference} for freeze, count in counts.items()}
    return [tuned(freeze, seed, lengths[freeze]) for freeze in RATES for seed in (0, 1, 2)]


@pytest.mark.parametrize("length", [False, True])
def test_arms_with_rates_of_their_own_are_one_question(length: bool, tmp_path: Path) -> None:
    found = of(tmp_path, *study(length))
    assert [row.arm.label for row in found.rows] == ["freeze=none", "freeze=4", "freeze=all"]
    assert [row.figures for row in found.rows] == [3, 3, 3]
    assert found.differs == []
    assert not [line for line in found.warnings if "differ" in line or "rate" in line]
    against = {
        d.arm: (d.reference, d.pairs) for d in found.differences if d.figure == found.main.key
    }
    assert against == {"freeze=4": ("freeze=none", 3), "freeze=all": ("freeze=none", 3)}


def test_rates_that_were_swept_are_arms_as_before(tmp_path: Path) -> None:
    records = study()
    for record in records:
        record["tuning"] = None
        del record["config"]["tune"]
    found = of(tmp_path, *records)
    assert "freeze=4 base_lr=0.002 head_lr=0.005" in [row.arm.label for row in found.rows]
    assert any("differ in trainer.base_lr, trainer.head_lr too" in w for w in found.warnings)


def test_the_report_says_which_design_it_is(tmp_path: Path) -> None:
    epochs = " ".join(of(tmp_path / "a", *study()).design)
    assert "Design: the same number of epochs for every arm (4)." in epochs
    assert "4 trials, trials of 2 epochs" in epochs
    assert "freeze=none base_lr=0.0004 head_lr=0.002" in epochs
    assert "freeze=all head_lr=0.009)" in epochs
    clock = " ".join(of(tmp_path / "b", *study(length=True)).design)
    assert "the same wall-clock for every arm, that of 4 epochs of freeze=none" in clock
    assert "freeze=all 9 epochs, training 1.50 min" in clock
    assert "same number" not in clock
    assert of(tmp_path / "c", make_record("none"), make_record("4")).design == []


def test_sensitivity_by_arm(tmp_path: Path) -> None:
    found = of(tmp_path, *study())
    heads, none, _, every = sensitivity_lines([row.arm for row in found.rows], DETECTION)
    assert dict(zip(heads, none, strict=True)) == {
        "arm": "freeze=none", "trials": "4 (1 diverged)", "min": "4.00",
        "base_lr": "0.0004\n0.0004 to 0.001", "head_lr": "0.002\n0.002 to 0.02",
        "best val mAP@.5": "0.620", "median": "0.610", "lowest": "0.500",
        "at the configured rates": "0.500", "within 0.02 of the best": "2 of 4",
    }  # fmt: skip
    assert every[heads.index("base_lr")] == "trains nothing"
    chart = rate_sensitivity(found)
    assert chart is not None
    assert {rate: [p.arm for p in points] for rate, points in chart.panels.items()} == {
        "base_lr": ["freeze=none", "freeze=4"],
        "head_lr": ["freeze=none", "freeze=4", "freeze=all"],
    }
    points = chart.panels["head_lr"][2]
    assert (points.chosen, points.diverged) == ((0.009, 0.62), [0.02])
    assert sorted(points.trials) == [(0.003, 0.5), (0.004, 0.61), (0.009, 0.62)]
    assert chart.ranges["head_lr"] == (3e-4, 3e-2)
    assert "freeze=all head_lr 0.009 at 0.620, of 3 trials from 0.500 to 0.620" in chart.alt


def test_doubts_about_a_tuning_are_warnings(tmp_path: Path) -> None:
    times = {"time": {"fit_s": 120.0}}
    length = {"epochs": 9, "reference": "freeze=none", "reference_epochs": 4,
              "reference_seconds": 90.0, "timed_by": "steps"}  # fmt: skip
    told = "\n".join(
        of(
            tmp_path,
            tuned("none", 0, length | {"epochs": 4}),
            tuned("4", 0, length, **times, tuning={"at_the_edge": ["head_lr"]}),
            tuned("all", 0, length, tuning={"learned": False}),
        ).warnings
    )
    assert "freeze=4: the best head_lr found, 0.005, lies at the edge of what was tried" in told
    assert "freeze=all: none of its 4 trials learned anything" in told
    assert "fits missed that of the reference: freeze=4 +33%" in told


def test_seeds_with_the_rates_of_two_tunings_are_no_one_arm(tmp_path: Path) -> None:
    other = tuned("4", 1, tuning={"fingerprint": "later"})
    other["config"]["trainer"]["head_lr"] = 8e-3
    found = of(tmp_path, tuned("none", 0), tuned("none", 1), tuned("4", 0), other)
    assert any("freeze=4: its runs have the rates of several tunings" in w for w in found.warnings)


def test_an_arm_that_was_not_tuned_beside_one_that_was(tmp_path: Path) -> None:
    plain = tuned("none", 0, tuning={})
    plain["tuning"] = None
    del plain["config"]["tune"]
    told = of(tmp_path, plain, tuned("4", 0)).warnings
    assert any("were not tuned, and those of the other arms were" in line for line in told)


def test_trials_are_no_runs_of_the_study(tmp_path: Path) -> None:
    write_runs(tmp_path, tuned("4", 0))
    arm = tmp_path / "tuning" / "freeze=4"
    write_runs(arm, make_record("4"))
    (arm / "nested").rename(arm / "old")
    (arm / "old" / "00").rename(arm / "trial-00")
    assert len(load_records([tmp_path]).records) == 2, "a folder of that name alone is not enough"
    (arm / "tuning.json").write_text("{}")
    assert len(load_records([tmp_path]).records) == 1
    assert len(load_records([tmp_path / "tuning"]).records) == 1, "asked for, they are shown"


def test_the_page_and_the_text_have_the_table_and_the_chart(tmp_path: Path) -> None:
    write_runs(tmp_path, *study())
    text = make_report([tmp_path], tmp_path / "report").read_text()
    assert "## Sensitivity to the learning rates" in text
    assert "(rate_sensitivity.png)" in text
    page = (tmp_path / "report" / "index.html").read_text()
    assert "rates tuned for each arm, same epochs" in page
    assert "within 0.02 of the best" in page


@pytest.mark.parametrize(
    "state", [{}, {"trials": 3}, {"trials": [None], "ranges": "x"}, {"rates": 1}]
)
def test_a_damaged_tuning_is_left_out_of_the_table(state: Any, tmp_path: Path) -> None:
    record = tuned("4", 0)
    record["tuning"] = state
    found = of(tmp_path, record, tuned("none", 0))
    assert len(sensitivity_lines([row.arm for row in found.rows], DETECTION)) == 2
    assert rate_sensitivity(found) is not None


@pytest.mark.parametrize(
    "state",
    [
        {"trials": [{"number": 0, "state": "finished", "base_lr": None, "val": 0.5}]},
        {"at_the_edge": [[1, 2], "base_lr"]},
        {"length": {"epochs": 4, "reference": "freeze=none", "timed_by": []}},
    ],
)
def test_a_part_of_a_tuning_that_is_damaged_stops_no_report(state: Any, tmp_path: Path) -> None:
    found = of(tmp_path, tuned("4", 0, tuning=state), tuned("none", 0))
    assert len(sensitivity_lines([row.arm for row in found.rows], DETECTION)) == 3
