"""Factors of a study, from records to words: levels, differences, changes, learning curves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tests.report.helpers_pages as pages
from tests.report.helpers_factors import Key, compared, keys, write
from tests.report.helpers_report import make_record, write_runs
from tlx.report import load_records, make_report
from tlx.report.comparison.compare import compare
from tlx.report.comparison.recommend import recommend
from tlx.report.factors import Analysis, analyse
from tlx.report.factors.analysis import OfFactor
from tlx.report.factors.words import answers, of_curve, over_sets


def analysed(root: Path) -> Analysis:
    return analyse(compared(root))


def by_key(analysis: Analysis) -> dict[str, OfFactor]:
    return {found.factor.key: found for found in analysis.factors}


def means(found: OfFactor) -> dict[str, float]:
    return {row.level: row.mean for row in found.rows}


def harder(**where: Any) -> Any:
    """A logit: freeze=all loses much there, and nothing elsewhere."""

    def logit(key: Key) -> float:
        there = key["freeze"] == "all" and all(key[name] == v for name, v in where.items())
        return -2.5 if there else 1.5

    return logit


# --- levels ---


def test_a_study_of_one_setting_has_no_factors(tmp_path: Path) -> None:
    write(tmp_path, keys(seeds=2))
    found = analysed(tmp_path)
    assert (found.factors, found.curves, answers(found)) == ([], [], [])
    assert found.as_dict() == {"factors": [], "learning_curves": []}


def test_starts_are_told_from_the_record(tmp_path: Path) -> None:
    write(tmp_path, keys(start=("imagenet", "coco", "faces", "scratch"), seeds=2), kept=False)
    (found,) = analysed(tmp_path).factors
    assert found.factor.key == "start"
    # From scratch nothing is frozen: it is an arm against the others, and no level of them.
    assert found.levels == ["ImageNet", "detector (coco)", "detector (faces)"]


def test_two_files_of_one_name_are_two_starts(tmp_path: Path) -> None:
    def other(key: Key, record: dict[str, Any]) -> dict[str, Any]:
        if key["start"] == "coco":
            record["weights"] = {"source": "/v/faces.npz", "sha256": "ee" * 32, "name": None}
            record["config"]["backbone"]["weights"] = "/v/faces.npz"
        del record["weights"]["name"]
        return record | {"weights": {**record["weights"], "holds": "backbone"}}

    write(tmp_path, keys(start=("coco", "faces"), seeds=2), kept=False, change=other)
    (found,) = analysed(tmp_path).factors
    assert found.levels == ["faces", "faces (2)"]


def test_a_level_is_the_mean_of_its_settings(tmp_path: Path) -> None:
    runs = keys(data=("guns", "ppe"), backbone=("mobilenet_v1", "mobilenet_v2"), seeds=2)
    figures = write(tmp_path, runs)
    found = by_key(analysed(tmp_path))
    assert list(found) == ["data", "backbone"]
    for factor, of in found.items():
        for level, mean in means(of).items():
            own = {f: [] for f in ("none", "all")}
            for place, key in enumerate(runs):
                if key[factor] == level:
                    own[key["freeze"]].append(figures[place])
            assert mean == pytest.approx(np.mean(own["all"]) - np.mean(own["none"]))
    assert {row.settings for of in found.values() for row in of.rows} == {2}


def test_one_setting_a_level_is_the_difference_of_the_report(tmp_path: Path) -> None:
    write(tmp_path, keys(data=("guns", "ppe")))
    comparison = compared(tmp_path)
    (found,) = analyse(comparison).factors
    for row in found.rows:
        known = comparison.difference(f"freeze=all {row.level}", "test_map_50")
        assert known is not None
        assert row.sum is not None
        assert (row.mean, *row.sum.interval) == pytest.approx((known.mean, known.low, known.high))


def test_what_all_levels_have_counts_and_nothing_else(tmp_path: Path) -> None:
    """mobilenet_v2 was run on guns alone: sets are compared with mobilenet_v1."""
    runs = keys(data=("guns", "ppe"), backbone=("mobilenet_v1", "mobilenet_v2"), seeds=2)
    kept = [k for k in runs if (k["data"], k["backbone"]) != ("ppe", "mobilenet_v2")]
    write(tmp_path, kept)
    found = by_key(analysed(tmp_path))
    assert {row.settings for row in found["data"].rows} == {1}
    assert len(found["backbone"].changes) == 1


def test_factors_that_go_together_are_not_told_apart(tmp_path: Path) -> None:
    runs = keys(data=("guns", "ppe"), backbone=("mobilenet_v1", "mobilenet_v2"), seeds=2)
    write(tmp_path, [k for k in runs if (k["data"] == "guns") is (k["backbone"][-1] == "1")])
    found = analysed(tmp_path)
    assert len(found.factors) == 2
    assert all(each.changes == [] and each.pooled == {} for each in found.factors)
    assert answers(found)[0] == (
        "Whether the answer changes with the data set cannot be told: its levels differ in the "
        "backbone too, with no setting that all levels have."
    )


def test_another_key_that_varies_is_a_factor_too(tmp_path: Path) -> None:
    def slower(key: Key, record: dict[str, Any]) -> dict[str, Any]:
        record["config"]["trainer"]["head_lr"] = 0.02 if key["start"] == "coco" else 0.002
        record["config"]["backbone"]["weights"] = "auto"
        record["weights"] = {"source": "/w", "sha256": "aa", "name": None}
        return record

    write(tmp_path, keys(start=("coco", "imagenet"), seeds=2), change=slower)
    (found,) = analysed(tmp_path).factors
    assert (found.factor.key, found.levels) == ("trainer.head_lr", ["0.002", "0.02"])


def test_what_comes_with_a_data_set_is_no_factor_of_its_own(tmp_path: Path) -> None:
    def larger(key: Key, record: dict[str, Any]) -> dict[str, Any]:
        size = 300 if key["data"] == "guns" else 640
        record["config"]["detector"]["input_size"] = record["input_size"] = size
        record["config"]["data"]["max_side"] = size
        return record

    write(tmp_path, keys(data=("guns", "ppe"), seeds=2), change=larger)
    assert list(by_key(analysed(tmp_path))) == ["data"]


def test_arms_that_differ_in_the_factor_alone_are_no_levels_of_it(tmp_path: Path) -> None:
    write(tmp_path, keys(start=("imagenet", "coco", "faces"), freeze=("none",), seeds=2))
    assert analysed(tmp_path).factors == []


# --- changes ---


def test_a_change_is_found_and_one_that_is_not_there_is_not_said(tmp_path: Path) -> None:
    runs = keys(data=("guns", "ppe"), start=("imagenet", "coco"), seeds=4)
    write(tmp_path, runs, harder(data="ppe"), pictures=60)
    found = analysed(tmp_path)
    data, start = answers(found)
    assert data.startswith(
        "The answer changes with the data set: on ppe the difference of freeze=all from "
        "freeze=none is 0."
    )
    assert "lower than on guns (95 % interval of the change −0." in data
    assert "corrected for 2 comparisons" in data
    assert start.startswith("That the answer changes with the start is not shown.")
    assert "cannot be left out" in start
    of_data, of_start = found.factors
    # Holm over the tests of both factors.
    low, high = sorted((*of_data.changes, *of_start.changes), key=lambda each: each.sum.p)
    assert (low.family, low.p_holm) == (2, pytest.approx(2 * low.sum.p))
    assert high.p_holm == pytest.approx(max(high.sum.p, low.p_holm))
    assert [change.shown for change in (*of_data.changes, *of_start.changes)] == [True, False]
    assert of_data.changes[0].sum.mean == pytest.approx(
        means(of_data)["ppe"] - means(of_data)["guns"]
    )


def test_of_three_levels_the_one_that_is_unlike_is_named(tmp_path: Path) -> None:
    backbones = ("mobilenet_v1", "mobilenet_v2", "vgg16")
    runs = keys(backbone=backbones, seeds=4)
    write(tmp_path, runs, harder(backbone="vgg16"), pictures=80)
    found = analysed(tmp_path)
    assert "with vgg16 the difference" in answers(found)[0]
    assert "than with the others" in answers(found)[0]
    assert len(found.factors[0].changes) == 3


def test_the_effect_of_a_size_is_a_trend(tmp_path: Path) -> None:
    def logit(key: Key) -> float:
        return 1.5 + (math.log2(key["train"]) if key["freeze"] == "all" else 0)

    runs = keys(train=(0.1, 0.2, 0.4, 1), seeds=4)
    figures = write(tmp_path, runs, logit, pictures=80)
    (found,) = analysed(tmp_path).factors
    (change,) = found.changes
    assert found.levels == ["10 %", "20 %", "40 %", "100 %"]
    at = {
        (key["train"], key["freeze"], key["seed"]): figures[place] for place, key in enumerate(runs)
    }
    gaps = [
        np.mean([at[size, "all", seed] - at[size, "none", seed] for seed in range(4)])
        for size in (0.1, 0.2, 0.4, 1)
    ]
    slope = np.polyfit(np.log2([0.1, 0.2, 0.4, 1]), gaps, 1)[0]
    assert change.sum.mean == pytest.approx(slope)
    assert "higher with every doubling" in answers(analysed(tmp_path))[0]


def test_one_seed_is_shown_and_not_tested(tmp_path: Path) -> None:
    write(tmp_path, keys(data=("guns", "ppe"), seeds=1))
    found = analysed(tmp_path)
    assert answers(found) == [
        "Whether the answer changes with the data set cannot be told: one seed a level tells "
        "nothing of the luck of a training."
    ]
    assert [row.sum is not None for row in found.factors[0].rows] == [True, True]
    assert found.factors[0].pooled == {}


def test_without_predictions_seeds_alone_are_the_evidence(tmp_path: Path) -> None:
    write(tmp_path, keys(data=("guns", "ppe"), seeds=3), kept=False)
    (found,) = analysed(tmp_path).factors
    row = found.rows[0]
    assert row.sum is not None
    (variance, free), (rest, _) = row.sum.parts
    assert (free, rest) == (2, pytest.approx(0, abs=1e-12))
    assert row.sum.se == pytest.approx(math.sqrt(variance))


def test_folds_are_levels_of_their_own(tmp_path: Path) -> None:
    runs = keys(folds=3, seeds=2)
    figures = write(tmp_path, runs)
    (found,) = analysed(tmp_path).factors
    assert (found.factor.key, found.levels) == ("fold", ["fold 0", "fold 1", "fold 2"])
    own = [figures[i] for i, key in enumerate(runs) if key["fold"] == 1 and key["freeze"] == "all"]
    base = [
        figures[i] for i, key in enumerate(runs) if key["fold"] == 1 and key["freeze"] == "none"
    ]
    assert means(found)["fold 1"] == pytest.approx(np.mean(own) - np.mean(base))
    assert {change.what for change in found.changes} == {"fold 0", "fold 1", "fold 2"}


# --- over data sets ---


def test_what_holds_over_sets_is_said_with_what_it_assumes(tmp_path: Path) -> None:
    write(tmp_path, keys(data=("guns", "ppe", "plates"), seeds=2))
    found = analysed(tmp_path)
    (of_data,) = found.factors
    (over,) = of_data.pooled.values()
    assert over.sets == 3
    line, assumed = over_sets(of_data, found.measure)
    assert line.startswith("Over 3 data sets freeze=all against freeze=none is ")
    assert "on a new set it lies within" in line
    assert "random draw from all the sets" in assumed
    assert "Three sets hardly tell how much sets differ" in assumed


# --- learning curves ---


def curve_of(root: Path, sizes: tuple[float, ...], seeds: int = 3, **more: Any) -> Any:
    def logit(key: Key) -> float:
        return 2.5 - 12 * (400 * key["train"]) ** -0.5

    write(root, keys(train=sizes, freeze=("none",), seeds=seeds), logit, pictures=60, **more)
    (found,) = analysed(root).curves
    return found


def test_a_learning_curve_says_what_more_pictures_bring(tmp_path: Path) -> None:
    found = curve_of(tmp_path, (0.1, 0.2, 0.4, 0.7, 1))
    assert [size.pictures for size in found.sizes] == [40, 80, 160, 280, 400]
    assert found.fitted is not None
    gain = found.fitted.gains[-1]
    assert gain.pictures == 400
    assert 0 <= gain.low <= gain.mean <= gain.high < 0.2
    words = of_curve(found, analysed(tmp_path).measure, several_sets=False)
    assert words.startswith(
        "freeze=none: 400 more labelled pictures (beside the 400 there are): +0"
    )
    assert "95 % interval +" in words
    # The curve is about as high as what was measured.
    ends = [found.fitted.y[0], np.interp(400, found.fitted.x, found.fitted.y)]
    assert ends == pytest.approx([found.sizes[0].mean, found.sizes[-1].mean], abs=0.1)


@pytest.mark.parametrize(
    ("sizes", "seeds", "why"),
    [
        ((0.1, 0.4, 1), 2, "3 sizes cannot tell a curve: it takes 4"),
        ((0.4, 0.5, 0.7, 1), 2, "160 to 400 pictures are too near to one another"),
        ((0.1, 0.2, 0.4, 1), 1, "one seed a size tells nothing of the luck of a training"),
    ],
)
def test_a_curve_that_the_runs_cannot_tell_is_refused(
    sizes: tuple[float, ...], seeds: int, why: str, tmp_path: Path
) -> None:
    found = curve_of(tmp_path, sizes, seeds, kept=False)
    assert found.fitted is None
    assert why in found.reason
    told = of_curve(found, analysed(tmp_path).measure, several_sets=False)
    assert told.startswith("freeze=none: what more pictures would bring cannot be said: ")


# --- the report ---


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two sets, four sizes and two depths."""
    root = tmp_path_factory.mktemp("factors")
    runs = keys(data=("guns", "<ppe> & co"), train=(0.1, 0.2, 0.4, 1), seeds=2)
    write(root / "runs", runs, pictures=30)
    return make_report([root / "runs"], root / "report").parent


def test_numbers_and_charts_of_the_factors_are_files(report: Path) -> None:
    found = json.loads((report / "report.json").read_text())
    assert [of["factor"] for of in found["factors"]] == ["data", "train"]
    assert len(found["learning_curves"]) == 4
    rows = found["factors"][0]["differences"]
    marks = found["figures"]["factor_data"]["treatments"][0]["marks"]
    for row, mark in zip(rows, marks, strict=False):
        assert {key: mark[key] for key in ("level", "mean", "low", "high")} == {
            key: row[key] for key in ("level", "mean", "low", "high")
        }
    (over,) = found["factors"][0]["over_sets"]
    assert (marks[-2]["mean"], marks[-1]["low"]) == (over["mean"], over["new_low"])
    charts = (found["figures"][f"learning_{number}"] for number in (1, 2))
    (chart,) = (each for each in charts if each["title"] == "Learning curves on guns")
    known = {curve["arm"]: curve for curve in found["learning_curves"] if curve["data"] == "guns"}
    for drawn in chart["curves"]:
        curve = known[drawn["arm"]]
        assert drawn["mean"] == [size["mean"] for size in curve["sizes"]]
        assert drawn["y"] == curve["fitted"]["y"]
    for name in ("factor_data", "factor_train", "learning_1", "learning_2"):
        assert (report / f"{name}.png").stat().st_size > 5000


def test_page_and_text_answer_whether_the_answer_changes(report: Path) -> None:
    html = (report / "index.html").read_text()
    page = pages.read(html)
    assert "<ppe>" not in html
    assert (2, "Does the answer change?") in page.headings
    text = page.text["factors"]
    markdown = (report / "report.md").read_text()
    for words in (
        "Whether the answer changes with the data set",
        "That the answer changes with the data set",
        "The answer changes with the data set",
    ):
        assert (words in text) is (words in markdown)
    assert "random draw from all the sets" in text
    assert "beyond the largest training set" in text
    levels = page.tables["levels-data"]
    assert [row[0][0] for row in levels[1:]] == [
        "<ppe> & co",
        "guns",
        "all sets: mean",
        "a new set",
    ]
    assert len(page.tables["levels-train"]) == 5
    assert len(page.tables["learning-curves-table"]) == 5
    ids = [known["id"] for _, known in page.tags if "id" in known]
    assert len(ids) == len(set(ids))
    assert {"factor_data", "factor_train", "learning_1", "learning_2"} <= set(ids)


def test_charts_of_an_earlier_report_go(report: Path, tmp_path: Path) -> None:
    (tmp_path / "factor_start.png").write_bytes(b"old")
    (tmp_path / "learning_7.svg").write_bytes(b"old")
    make_report([write_runs(tmp_path / "runs", make_record())], tmp_path)
    assert not list(tmp_path.glob("factor_*"))
    assert not list(tmp_path.glob("learning_*"))


def test_records_of_before_have_factors_as_far_as_they_say(tmp_path: Path) -> None:
    """Without their configuration: data set and backbone are known by name."""
    records = [
        make_record(freeze, seed, data=data, fingerprint=f"{data}{freeze}{seed}",
                    test_map_50=0.5 + 0.01 * seed)
        for data in ("guns", "ppe") for freeze in ("none", "4") for seed in range(2)
    ]  # fmt: skip
    loaded = load_records([write_runs(tmp_path, *records)])
    found = analyse(compare(loaded.records))
    assert list(by_key(found)) == ["data"]


@pytest.mark.parametrize("value", ["half", -1, 0, True, None, [1]])
def test_a_fraction_that_is_none_stops_no_report(value: object, tmp_path: Path) -> None:
    def odd(key: Key, record: dict[str, Any]) -> dict[str, Any]:
        if key["train"] != 1:
            record["config"]["data"]["train_fraction"] = value
        return record

    write(tmp_path, keys(train=(0.5, 1), seeds=1), kept=False, change=odd, pictures=5)
    found = analysed(tmp_path)
    assert "train" not in by_key(found)


def test_arms_of_a_learning_curve_are_not_recommended(tmp_path: Path) -> None:
    write(tmp_path, keys(train=(0.2, 1), seeds=2), kept=False)
    refused = recommend(compared(tmp_path)).refused
    why = "it was trained on 20 % of the train pictures"
    assert [label for label, reason in refused.items() if reason == why] == [
        "freeze=none train_fraction=0.2", "freeze=all train_fraction=0.2",
    ]  # fmt: skip
