"""Differences of arms as records give them: pairing, what is comparable, censoring, words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from tests.report.helpers_report import compared, make_record, write_runs
from tests.study.helpers_study import in_turn, interleaved, lean_arms
from tlx.records.predictions import Found, ImagePredictions, Predictions, Truth, write_predictions
from tlx.report import load_records
from tlx.report.comparison.compare import Comparison, compare
from tlx.report.comparison.difference import LOG_RANK, PAIRED, PICTURES, STEPS, Difference
from tlx.report.comparison.differences import against_references
from tlx.report.comparison.levels import Levels
from tlx.report.comparison.measures import measures
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.statistics.drift import INTERLEAVED
from tlx.report.comparison.verdict import verdict

NONE_MAP, FOUR_MAP = [0.50, 0.56, 0.53], [0.61, 0.65, 0.67]


def runs(freeze: str, maps: list[float], **changes: Any) -> list[dict[str, Any]]:
    return [
        make_record(freeze, seed, test_map_50=value, **changes) for seed, value in enumerate(maps)
    ]


def found(comparison: Comparison, figure: str, arm: str = "freeze=4") -> Difference:
    difference = comparison.difference(arm, figure)
    assert difference is not None
    return difference


def test_a_shown_difference_is_that_of_the_pairs(tmp_path: Path) -> None:
    extra = make_record("4", 7, test_map_50=0.1)  # a seed that freeze=none has not
    study = compared(tmp_path, *runs("none", NONE_MAP), *runs("4", FOUR_MAP), extra)
    difference = found(study, "test_map_50")
    test = ttest_rel(FOUR_MAP, NONE_MAP)
    low, high = test.confidence_interval()
    assert (difference.pairs, difference.method, difference.family) == (3, PAIRED, 1)
    assert difference.mean == pytest.approx(0.34 / 3)
    assert (difference.low, difference.high) == pytest.approx((low, high))
    assert difference.p == difference.p_holm == pytest.approx(test.pvalue)
    assert difference.verdict == "better"
    assert difference.words.startswith("freeze=4 against freeze=none, test mAP@.5: +0.113 (95 %")
    assert difference.words.endswith("test pictures' part is unknown).")
    assert any(difference.words in line for line in verdict(study))


def test_holm_makes_of_the_same_pairs_less(tmp_path: Path) -> None:
    others = [*runs("8", NONE_MAP), *runs("12", NONE_MAP), *runs("all", NONE_MAP)]
    study = compared(tmp_path, *runs("none", NONE_MAP), *runs("4", FOUR_MAP), *others)
    difference = found(study, "test_map_50")
    assert difference.p is not None
    assert difference.p_holm == pytest.approx(4 * difference.p)
    assert difference.verdict == "no difference shown"
    assert "corrected for 4 comparisons" in difference.words
    assert "3 seeds show a difference of" in difference.words
    assert f"; about {difference.seeds_needed} would settle one as small" in difference.words


def test_one_seed_is_no_evidence(tmp_path: Path) -> None:
    study = compared(tmp_path, make_record(), make_record("4", test_map_50=0.9))
    difference = found(study, "test_map_50")
    assert (difference.p, difference.low, difference.seeds_needed) == (None, None, None)
    assert difference.verdict == "no difference shown"
    assert "with n=1 seed a difference of +0.300 is not evidence" in difference.words
    assert study.estimates["freeze=4"]["test_map_50"].low is None


def test_two_seeds_that_agree_within_a_box_show_nothing(tmp_path: Path) -> None:
    study = compared(tmp_path, *runs("none", [0.5, 0.6]), *runs("4", [0.52, 0.62]))
    difference = found(study, "test_map_50")
    assert difference.mean == pytest.approx(0.02)
    assert difference.verdict == "no difference shown"


def test_what_costs_less_is_better(tmp_path: Path) -> None:
    memory = {"peak_rss_bytes": 2**29, "peak_device_bytes": None}
    study = compared(
        tmp_path, *runs("none", NONE_MAP), *runs("4", NONE_MAP, memory=memory, step=0.1)
    )
    assert found(study, "peak_memory_bytes").verdict == "better"
    step = found(study, "step_s")
    assert step.verdict == "better"
    assert step.mean == pytest.approx(-0.5)
    assert found(study, "fit_min").verdict == "no difference shown"
    assert found(study, "test_map_50").verdict == "no difference shown"
    assert "as good as zero" in found(study, "test_map_50").words
    assert study.difference("freeze=4", "energy_kj") is None, "nobody measured it"


@pytest.mark.parametrize(
    ("changes", "figure", "what"),
    [
        ({"environment": {"cpu": "Other", "cores": 2, "gpu": None}}, "step_s", "machine"),
        ({"classes": ["plate", "car"]}, "test_map_50", "classes"),
        ({"epochs": 9}, "test_map_50", "epochs"),
        ({"epochs": 9}, "fit_min", "epochs"),
        ({"weights": {"source": "other", "sha256": "cd" * 32}}, "test_map", "pretrained weights"),
        (
            {"memory": {"peak_rss_bytes": 1, "peak_device_bytes": 2}},
            "peak_memory_bytes",
            "memory measured",
        ),
    ],
)
def test_unlike_runs_are_not_comparable(
    tmp_path: Path, changes: dict[str, Any], figure: str, what: str
) -> None:
    study = compared(tmp_path, *runs("none", NONE_MAP), *runs("4", FOUR_MAP, **changes))
    arm = "freeze=4 epochs=9" if what == "epochs" else "freeze=4"
    difference = found(study, figure, arm)
    assert difference.verdict == "not comparable"
    assert difference.mean is None
    assert f"not comparable (runs that differ in {what})." in difference.words
    assert found(study, "test_map_50", arm).verdict == (
        "not comparable" if what in ("classes", "epochs", "pretrained weights") else "better"
    )


def test_energy_is_compared_only_where_it_was_got_alike(tmp_path: Path) -> None:
    measured = {"joules": 2000.0, "method": "rapl", "measured": True, "reason": None}
    guessed = measured | {"joules": 1000.0, "method": "codecarbon", "measured": False}
    less = measured | {"joules": 1000.0}
    none, four = runs("none", NONE_MAP, energy=measured), runs("4", NONE_MAP, energy=less)
    assert found(compared(tmp_path / "a", *none, *four), "energy_kj").mean == pytest.approx(-0.5)
    unlike = compared(tmp_path / "b", *none, *runs("4", NONE_MAP, energy=guessed))
    assert found(unlike, "energy_kj").verdict == "not comparable"
    assert any("energy method" in line for line in unlike.warnings)
    partly = compared(tmp_path / "c", *none, *runs("4", NONE_MAP))
    assert "a run without the figure" in found(partly, "energy_kj").words


def test_a_level_that_is_not_reached_is_censored(tmp_path: Path) -> None:
    never, maps = [0.2, 0.3, 0.3, 0.3], [0.5] * 5
    none, slow = runs("none", maps), runs("4", maps, val=never)
    late = runs("8", maps, val=[0.2, 0.3, 0.4, 0.6])
    study = compared(tmp_path / "five", *none, *slow, *late, main_level=0.4)
    difference = found(study, "time_to_map")
    assert (difference.method, difference.verdict, difference.mean) == (LOG_RANK, "worse", None)
    assert "reached by 0 of 5 against 5 of 5 runs" in difference.words
    assert found(study, "time_to_map", "freeze=8").method == PAIRED
    assert found(study, "time_to_map", "freeze=8").verdict == "worse"
    assert "time_to_map" not in study.estimates["freeze=4"]
    assert "time_to_map" in study.estimates["freeze=8"]
    few = compared(tmp_path / "three", *none[:3], *slow[:3], main_level=0.4)
    assert found(few, "time_to_map").verdict == "not comparable"
    assert "too few to test" in found(few, "time_to_map").words
    nobody = compared(tmp_path / "none", *none, *slow, main_level=0.9)
    assert found(nobody, "time_to_map").words.endswith("reached by 0 of 5 against 0 of 5 runs).")


def test_median_time_counts_the_runs_that_never_reach_the_level(tmp_path: Path) -> None:
    mixed = [
        make_record("4", seed, val=[0.2, 0.3, 0.3, 0.3] if seed < 2 else [0.6], step=0.2)
        for seed in range(3)
    ]
    (row,) = compared(tmp_path, *mixed, main_level=0.5).rows
    assert row.time_to_main is not None
    assert row.time_to_main.missed == 2
    assert row.time_to_main.median is None
    assert row.time_to_main.as_dict()["seconds"] is not None


def test_the_order_of_the_runs_decides_on_the_model() -> None:
    step = measures(Levels(None, None))["step_s"]
    arms = ("none", "4", "8")
    rng = np.random.default_rng(0)

    def of(order: list[tuple[str, int]], chosen: tuple[str, ...] = arms) -> Difference:
        order = [run for run in order if run[0] in chosen]
        figures = {run: float(0.5 * np.exp(rng.normal(0, 0.01))) for run in order}
        return against_references(lean_arms(order, {"step_s": figures}), [step])[0]

    assert of(interleaved(arms, 3)).method == INTERLEAVED
    assert "of drift over the study taken out" in of(interleaved(arms, 3)).words
    two = of(in_turn(arms, 2), ("none", "4"))
    assert (two.method, two.drift) == (PAIRED, None)
    assert two.reason is not None
    assert "freeze=4 always ran after freeze=none" in two.reason
    assert of(interleaved(arms, 2), ("none", "4")).reason is None


def test_pauses_between_runs_are_no_running_time() -> None:
    step = measures(Levels(None, None))["step_s"]
    order = interleaved(("none", "4", "8"), 3)
    figures = {run: 0.5 + 0.01 * place for place, run in enumerate(order)}
    arms = lean_arms(order, {"step_s": figures})
    at_once = against_references(arms, [step])[0]
    for arm in arms:
        for record in arm.records:
            if record.number("seed") == 2:
                record.data["started"] = record.data["started"].replace("-01T", "-09T")  # type: ignore[index]
    assert against_references(arms, [step])[0] == at_once


def test_differences_are_written_as_they_are(tmp_path: Path) -> None:
    scratch = runs("none", [0.2, 0.25, 0.3], weights={"source": "scratch", "sha256": None})
    study = compared(tmp_path, *runs("none", NONE_MAP), *runs("4", FOUR_MAP), *scratch)
    found(study, "test_map_50", "scratch")
    assert [(d.arm, d.reference) for d in study.against_scratch] == [
        ("freeze=none", "scratch"),
        ("freeze=4", "scratch"),
    ]
    for difference in [*study.differences, *study.against_scratch]:
        text = json.dumps(difference.as_dict(), allow_nan=False)
        of_folds = ("folds", "fold_share", "by_fold")  # which these runs do not have
        written = {key: value for key, value in vars(difference).items() if key not in of_folds}
        assert json.loads(text) == written
        assert difference.words


def test_two_runs_are_compared_by_the_blocks_of_their_steps(tmp_path: Path) -> None:
    def timed(freeze: str, step: float) -> dict[str, Any]:
        blocks = [step * factor for factor in (0.98, 1.0, 1.02, 1.01, 0.99, 1.0, 1.02, 0.98)]
        return make_record(freeze, step_time={"median_s": step, "block_medians_s": blocks})

    difference = found(compared(tmp_path, timed("none", 0.3), timed("4", 0.1)), "step_s")
    assert (difference.verdict, difference.method, difference.pairs) == ("better", STEPS, 1)
    assert difference.mean == pytest.approx(-2 / 3)
    assert "these two runs on this machine" in difference.words
    assert "by how much no arm of this study tells, as none has two seeds" in difference.words


def test_another_seed_moves_a_run_by_the_spread_of_the_arms_that_have_several(
    tmp_path: Path,
) -> None:
    def timed(freeze: str, seed: int, step: float) -> dict[str, Any]:
        blocks = [step * factor for factor in (0.98, 1.0, 1.02, 1.01, 0.99, 1.0, 1.02, 0.98)]
        return make_record(freeze, seed, step_time={"median_s": step, "block_medians_s": blocks})

    several = [timed("8", 1, 0.2), timed("8", 2, 0.2 * np.exp(0.1))]
    study = compared(tmp_path, timed("none", 0, 0.3), timed("4", 0, 0.1), *several)
    difference = found(study, "step_s")
    assert difference.seed_sd == pytest.approx(np.expm1(0.1 / np.sqrt(2)))
    assert "another run may move each of them, by about 7.3 %" in difference.words


def test_two_runs_are_compared_by_their_test_pictures(tmp_path: Path) -> None:
    """Of 30 pictures one run finds every object and the other every tenth."""
    study = write_runs(tmp_path, make_record(test_map_50=1.0), make_record("4", test_map_50=0.1))
    for folder, every in (("00", 1), ("01", 10)):
        images = []
        for number in range(30):
            box, label = np.array([[10.0, 10, 50, 50]]), np.array([1])
            hit = slice(0, 1 if number % every == 0 else 0)
            truth = Truth(box, label, np.array([False]))
            seen = Found(box[hit], label[hit], np.array([0.9])[hit])
            images.append(ImagePredictions(f"{number}.png", str(number), 99, 99, truth, seen))
        predictions = Predictions("test", 0.05, ["plate"], images)
        write_predictions(study / "nested" / folder, predictions)
    difference = found(compare(load_records([study]).records), "test_map_50")
    assert (difference.verdict, difference.method) == ("worse", PICTURES)
    assert "these two runs on these and like pictures" in difference.words
    assert difference.low is not None
    assert difference.low >= -1


def test_no_difference_that_a_map_cannot_have_is_printed(tmp_path: Path) -> None:
    """Two seeds that disagree could show a difference of 1.8 at best, which is none at all."""
    noisy = [*runs("none", [0.3, 0.5]), *runs("4", [0.42, 0.5]), *runs("8", [0.5, 0.51])]
    study = compared(tmp_path, *noisy)
    difference = found(study, "test_map_50")
    assert difference.detectable is not None
    assert difference.detectable > 1
    assert "2 seeds could not show any difference that a mAP can have" in difference.words
    quality = [d.words for d in study.differences if d.figure in ("test_map_50", "test_map")]
    said = " ".join([*quality, *verdict(study)[:1], *recommend(study).words])
    sizes = [float(size) for size in re.findall(r"(?<![\d@.])\d+\.\d{3}(?!\d)", said)]
    assert len(sizes) > 10
    assert max(sizes) <= 1


def test_no_reduction_by_everything_is_printed(tmp_path: Path) -> None:
    slow = [make_record("none", seed, step=step) for seed, step in enumerate((0.2, 0.6))]
    fast = [make_record("4", seed, step=0.1) for seed in range(2)]
    difference = found(compared(tmp_path, *slow, *fast), "step_s")
    assert "2 seeds could not show a reduction, however large" in difference.words
    assert "+1000 % and more" in difference.words
    assert "100.0 % or more" not in difference.words
