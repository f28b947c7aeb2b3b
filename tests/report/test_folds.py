"""Folds: pooled so that every picture counts once, compared over those that all arms have."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from tests.report.helpers_report import make_record
from tlx.records.predictions import Found, ImagePredictions, Predictions, Truth, write_predictions
from tlx.records.predictions.influence import ClassValues, by_class, over_folds, pseudo_values
from tlx.report.comparison.compare import Comparison, compare
from tlx.report.comparison.folds import common_folds
from tlx.report.comparison.levels import over_seeds
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.records import load_records
from tlx.report.comparison.statistics import crossed
from tlx.report.comparison.statistics.contrast import Contrast
from tlx.report.csv_table import csv_text

BOX = np.array([[10.0, 10.0, 30.0, 30.0]])
SIZES = (20, 12, 16)  # pictures of the folds
CHANCES = {"none": 0.8, "8": 0.6}
Key = tuple[str, int, int]


def predictions(fold: int, chance: float, rng: np.random.Generator) -> Predictions:
    """A plate in every picture of a fold, found with a chance, and a false alarm now and then."""
    images = []
    for number in range(SIZES[fold]):
        hits = int(rng.random() < chance)
        false = int(rng.random() < 0.3)
        boxes = np.concatenate([BOX] * hits + [BOX + 60] * false + [np.zeros((0, 4))])
        scores = np.sort(rng.random(hits + false))[::-1]
        images.append(
            ImagePredictions(
                f"{fold}-{number}.png", f"{fold * 1000 + number:064x}", 100, 100,
                Truth(BOX, np.ones(1, int), np.zeros(1, bool)),
                Found(boxes, np.ones(len(boxes), int), scores),
            )
        )  # fmt: skip
    return Predictions("test", 0.05, ["plate"], images)


def config(freeze: str, seed: int, fold: int, folds: int = 3) -> dict[str, Any]:
    return {
        "freeze": freeze, "seed": seed, "policy": {"name": "fixed"},
        "backbone": {"name": "mobilenet_v1", "weights": "auto"},
        "data": {"name": "sample", "root": "/set", "folds": folds, "fold": fold},
        "trainer": {"epochs": 4, "batch_size": 24}, "detector": {"input_size": 192},
    }  # fmt: skip


def dataset(fold: int, whole: str = "same") -> dict[str, Any]:
    """The splits of a fold: others in each, and the same pictures altogether."""

    def of(split: str, images: int) -> dict[str, Any]:
        return {"images": images, "pictures": f"{split}{fold}", "boxes": f"{split}{fold} boxes"}

    splits = {"train": of("train", 20), "val": of("val", 8), "test": of("test", SIZES[fold])}
    return {
        "classes": ["plate"],
        "splits": splits,
        "whole": {"images": 48, "pictures": whole, "boxes": whole},
    }


def write_fold_study(
    root: Path,
    seeds: Sequence[int] = (0, 1),
    change: Callable[[Key, dict[str, Any]], dict[str, Any] | None] = lambda _, record: record,
) -> dict[Key, float]:
    """Runs of two arms over three folds; what each found. `change` None leaves a run out."""
    figures: dict[Key, float] = {}
    for place, (seed, fold, freeze) in enumerate(
        (seed, fold, freeze) for seed in seeds for fold in range(3) for freeze in CHANCES
    ):
        rng = np.random.default_rng([seed, fold, list(CHANCES).index(freeze)])
        found = predictions(fold, CHANCES[freeze], rng)
        values = pseudo_values(found)
        assert values is not None
        figure = float(values.mean())  # near the AP, which is all that is asked of it
        row = {"ap": figure / 2, "ap_50": figure, "voc07_ap50": None, "boxes": SIZES[fold]}
        record = make_record(
            freeze, seed, name=f"freeze={freeze}-seed={seed}-fold={fold}",
            fingerprint=f"{freeze}-{seed}-{fold}", config=config(freeze, seed, fold),
            dataset=dataset(fold), started=f"2025-01-01T{place:02d}:00:00",
            step=0.2 if freeze == "none" else 0.15,
            test={
                "map": figure / 2, "map_50": figure, "images": SIZES[fold], "boxes": SIZES[fold],
                "per_class": {"plate": {**row, "reason": None}},
            },
        )  # fmt: skip
        changed = change((freeze, seed, fold), record)
        if changed is None:
            continue
        figures[freeze, seed, fold] = figure
        folder = root / changed["name"]
        write_predictions(folder, found)
        (folder / "record.json").write_text(json.dumps(changed))
    return figures


def compared(root: Path) -> Comparison:
    loaded = load_records([root])
    assert loaded.warnings == []
    return compare(loaded.records)


def pooled(figures: dict[Key, float], freeze: str, seed: int, folds: Sequence[int]) -> float:
    weights = [SIZES[fold] for fold in folds]
    return float(np.average([figures[freeze, seed, fold] for fold in folds], weights=weights))


def of_folds(comparison: Comparison) -> list[str]:
    return [line for line in comparison.warnings if "fold" in line]


def test_runs_of_folds_are_one_arm_whose_every_picture_counts_once(tmp_path: Path) -> None:
    figures = write_fold_study(tmp_path)
    comparison = compared(tmp_path)
    assert [row.arm.label for row in comparison.rows] == ["freeze=none", "freeze=8"]
    row = comparison.rows[0]
    assert (len(row.arm.records), row.figures) == (6, 2)
    assert row.test_main is not None
    expected = [pooled(figures, "none", seed, range(3)) for seed in (0, 1)]
    assert row.test_main.low == pytest.approx(min(expected))
    assert row.test_main.high == pytest.approx(max(expected))
    assert [seed.number("test", "images") for seed in row.arm.tested] == [48, 48]
    assert row.step_s is not None
    assert row.step_s.n == 6  # every run is a training of its own
    assert not any("differ in" in line for line in comparison.warnings)
    [told] = of_folds(comparison)
    assert "every picture is tested once in 3 folds, by 3 models" in told


def test_difficult_boxes_are_no_objects_that_weigh(tmp_path: Path) -> None:
    """Nothing is found or missed of them; earlier records do not say how many there are."""

    def with_difficult(key: Key, record: dict[str, Any]) -> dict[str, Any]:
        if key[2] == 0:
            record["test"]["per_class"]["plate"] |= {"boxes": SIZES[0] + 900, "difficult": 900}
        return record

    figures = write_fold_study(tmp_path, change=with_difficult)
    first, *_ = compared(tmp_path).rows[0].arm.tested
    assert first.number("test", "map_50") == pytest.approx(pooled(figures, "none", 0, range(3)))
    assert first.number("test", "per_class", "plate", "boxes") == sum(SIZES) + 900


def test_arms_are_compared_over_seeds_crossed_with_all_pictures(tmp_path: Path) -> None:
    figures = write_fold_study(tmp_path)
    comparison = compared(tmp_path)
    found = comparison.difference("freeze=8", "test_map_50")
    assert found is not None
    gaps = [
        pooled(figures, "8", seed, range(3)) - pooled(figures, "none", seed, range(3))
        for seed in (0, 1)
    ]
    assert found.mean == pytest.approx(np.mean(gaps))
    assert (found.pairs, found.folds, found.method) == (2, 3, "seeds crossed with test pictures")
    assert "at 2 seeds over 3 folds" in found.words
    steps = comparison.difference("freeze=8", "step_s")
    assert steps is not None
    assert (steps.pairs, steps.verdict) == (6, "better")
    assert "6 pairs of runs" in steps.words


def test_one_seed_is_compared_over_its_folds(tmp_path: Path) -> None:
    write_fold_study(tmp_path, seeds=(0,))
    found = compared(tmp_path).difference("freeze=8", "test_map_50")
    assert found is not None
    assert (found.pairs, found.method) == (1, "folds of one seed and their test pictures")
    assert found.low is not None
    assert "over 3 folds of one seed, each a training of its own" in found.words


@pytest.mark.parametrize(
    ("missing", "compared_folds", "words"),
    [
        ([("8", 0, 1), ("8", 1, 1)], [0, 2], "only folds 0, 2 of 3"),
        (
            [("none", 0, f) for f in (1, 2)] + [("none", 1, f) for f in (1, 2)],
            [0],
            "only fold 0 of",
        ),
        ([("8", 1, 2)], [0, 1, 2], "freeze=8 seed 1 (without fold 2)"),
    ],
)
def test_folds_that_are_missing_are_said_and_left_out_for_all(
    missing: list[Key], compared_folds: list[int], words: str, tmp_path: Path
) -> None:
    figures = write_fold_study(
        tmp_path, change=lambda key, record: None if key in missing else record
    )
    comparison = compared(tmp_path)
    assert any(words in line for line in of_folds(comparison))
    for row in comparison.rows:
        freeze = row.arm.first.freeze
        assert row.arm.folds is not None
        assert list(row.arm.folds.compared) == compared_folds
        seeds = [int(record.get("seed")) for record in row.arm.tested]
        expected = [pooled(figures, freeze, seed, compared_folds) for seed in seeds]
        assert row.test_main is not None
        assert row.test_main.mean == pytest.approx(np.mean(expected))
    found = comparison.difference("freeze=8", "test_map_50")
    assert found is not None
    assert found.mean is not None
    assert found.folds == len(compared_folds)


def test_a_failed_fold_is_missing(tmp_path: Path) -> None:
    def change(key: Key, record: dict[str, Any]) -> dict[str, Any]:
        lost = {"status": "failed", "test": None, "error": {"type": "E", "message": "x"}}
        return record | lost if key == ("none", 0, 2) else record

    write_fold_study(tmp_path, seeds=(0,), change=change)
    comparison = compared(tmp_path)
    assert "only folds 0, 1 of 3" in of_folds(comparison)[0]
    assert len(comparison.unfinished) == 1


def test_a_set_that_changed_between_folds_is_told_apart(tmp_path: Path) -> None:
    def change(key: Key, record: dict[str, Any]) -> dict[str, Any]:
        return record | {"dataset": dataset(key[2], "grown" if key[2] == 2 else "same")}

    write_fold_study(tmp_path, change=change)
    labels = [row.arm.label for row in compared(tmp_path).rows]
    arms = [f"freeze={freeze} dataset={number}" for freeze in ("8", "none") for number in (1, 2)]
    assert sorted(labels) == arms


def test_unlike_pictures_of_a_fold_are_unlike_test_sets(tmp_path: Path) -> None:
    def change(key: Key, record: dict[str, Any]) -> dict[str, Any]:
        if key[0] == "8" and key[2] == 1:
            record["dataset"]["splits"]["test"]["boxes"] = "others"
        return record

    write_fold_study(tmp_path, change=change)
    found = compared(tmp_path).difference("freeze=8", "test_map_50")
    assert found is not None
    assert (found.verdict, found.reason) == ("not comparable", "runs that differ in test set")


def test_numbers_of_files_say_which_folds_they_are_of(tmp_path: Path) -> None:
    write_fold_study(tmp_path)
    comparison = compared(tmp_path)
    row = comparison.rows[0].as_dict()
    assert row["folds"] == {"count": 3, "compared": [0, 1, 2]}
    assert row["seeds"] == [0, 1]
    assert len(row["runs"]) == 6
    table = csv_text(comparison, tmp_path).splitlines()
    assert table[0].startswith("arm,fold,")
    assert len(table) == 13
    by_figure = {found.figure: found.as_dict() for found in comparison.differences}
    assert by_figure["test_map_50"]["folds"] == 3
    assert by_figure["step_s"]["by_fold"]


def test_courses_of_folds_are_matched_by_epoch() -> None:
    """Folds train on unlike numbers of pictures, so that their epochs have unlike steps."""
    one = np.array([[1.0, 10, 0.2], [2.0, 20, 0.4]])
    other = np.array([[3.0, 12, 0.4], [4.0, 24, 0.6]])
    assert over_seeds([one, other]) is None
    curve = over_seeds([one, other], in_order=True)
    assert curve is not None
    assert curve.steps.tolist() == [11, 22]
    assert curve.seconds.tolist() == [2, 3]
    assert curve.mean == pytest.approx([0.3, 0.5])


def test_a_study_that_is_settled_by_seeds_says_the_time_of_all_folds(tmp_path: Path) -> None:
    write_fold_study(tmp_path, seeds=(0,))
    words = " ".join(recommend(compared(tmp_path)).words)
    assert "2 more seeds would give a first interval: about 18.0 min" in words  # 2 x 2 x 3 x 1.5


# --- which folds ---


def test_common_folds_keep_arms_before_runs() -> None:
    whole = dict.fromkeys(range(5))

    def some(*folds: int) -> dict[int, None]:
        return dict.fromkeys(folds)

    assert common_folds([[whole, whole], [whole]]) == frozenset(range(5))
    assert common_folds([[whole, whole], [some(0, 1)]]) == {0, 1}
    assert common_folds([[whole, some(0)], [whole, some(0)]]) == frozenset(range(5))
    assert common_folds([[some(0, 1, 2)], [some(1, 2, 3)]]) == {1, 2}
    assert common_folds([[some(0)], [some(1)]]) == {0}
    assert common_folds([[], []]) == frozenset()


# --- figures ---


def test_pseudo_values_over_folds_are_of_the_mean_by_objects() -> None:
    rng = np.random.default_rng(1)
    parts = [by_class(predictions(fold, 0.7, rng)) for fold in range(3)]
    known = [(SIZES[fold], part) for fold, part in enumerate(parts) if part is not None]
    values = over_folds(known)
    means = [part["plate"].values.mean() for _, part in known]
    assert len(values) == sum(SIZES)
    assert values.mean() == pytest.approx(np.average(means, weights=SIZES))
    one = predictions(0, 0.7, rng)
    alone = by_class(one)
    assert alone is not None
    assert over_folds([(SIZES[0], alone)]) == pytest.approx(pseudo_values(one))


def test_a_class_that_a_fold_lacks_counts_where_it_is() -> None:
    rare = {"a": ClassValues(np.full(4, 0.5), 8), "b": ClassValues(np.full(4, 1.0), 2)}
    plain = {"a": ClassValues(np.full(6, 0.25), 8)}
    assert over_folds([(4, rare), (6, plain)]).mean() == pytest.approx((0.375 + 1.0) / 2)


# --- rates ---

# Standard deviations of a seed's part, a run's, a fold's, a picture's and the rest.
NOISES = {
    "pictures": (0.0, 0.0, 0.0, 0.21, 0.1),
    "runs": (0.0, 0.03, 0.0, 0.1, 0.1),
    "folds": (0.0, 0.0, 0.03, 0.1, 0.1),
    "all": (0.01, 0.02, 0.02, 0.21, 0.2),
}


def drawn(
    rng: np.random.Generator, seeds: int, folds: int, each: int, noise: str, aware: bool = True
) -> Contrast:
    """Differences without any true one; a run is of a seed and a fold."""
    seed, run, fold, picture, rest = NOISES[noise]
    shape = (seeds, folds, each)
    parts = (
        rng.normal(0, seed, (seeds, 1, 1))
        + rng.normal(0, run, (seeds, folds, 1))
        + rng.normal(0, fold, (1, folds, 1))
        + rng.normal(0, picture, (1, folds, each))
        + rng.normal(0, rest, shape)
    ).reshape(seeds, -1)
    labels = np.repeat(np.arange(folds), each) if aware else None
    return crossed(parts.mean(1), parts, folds=labels)


def rate(seeds: int, folds: int, each: int, noise: str, studies: int, aware: bool = True) -> float:
    rng = np.random.default_rng([seeds, folds, each])
    drawn_ps = [drawn(rng, seeds, folds, each, noise, aware).p for _ in range(studies)]
    return float(np.mean(np.array(drawn_ps) <= 0.05))


WITHOUT_A_SEED_OF_ALL = [noise for noise, (seed, *_) in NOISES.items() if not seed]
CASES = [(1, noise) for noise in WITHOUT_A_SEED_OF_ALL] + [(3, noise) for noise in NOISES]


@pytest.mark.parametrize(("seeds", "noise"), CASES)
def test_few_studies_of_folds_show_what_is_not_there(seeds: int, noise: str) -> None:
    assert rate(seeds, 5, 60, noise, 400) <= binom.ppf(0.999, 400, 0.05) / 400


def test_few_folds_do_not_pass_for_many_pictures() -> None:
    """Their spread over three folds is small by luck often enough: it was 8 % of the studies."""
    assert rate(5, 3, 30, "folds", 1000) <= binom.ppf(0.999, 1000, 0.05) / 1000


def test_pictures_alone_would_show_what_the_trainings_made() -> None:
    assert rate(1, 5, 60, "runs", 400, aware=False) > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("each", [30, 200])
@pytest.mark.parametrize("folds", [3, 5, 10])
@pytest.mark.parametrize(("seeds", "noise"), [*CASES, *((5, noise) for noise in NOISES)])
def test_rates_of_folds_are_kept_over_the_grid(
    seeds: int, folds: int, each: int, noise: str
) -> None:
    assert rate(seeds, folds, each, noise, 1000) <= binom.ppf(0.999, 1000, 0.05) / 1000
