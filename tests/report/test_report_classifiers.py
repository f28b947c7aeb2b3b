"""A study of classifiers: its figures by hand, its words, and what becomes of a mixture."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from PIL import Image

import tests.report.helpers_classifiers as classifiers
import tests.report.helpers_pages as pages
from tests.report.helpers_classifiers import (
    BLIND,
    CLASSES,
    GOOD,
    PICTURES,
    POOR,
    TRUTH,
    make_classifier,
    write_classifiers,
)
from tests.report.helpers_report import make_record, write_runs
from tlx.common.errors import DataError
from tlx.records.learned import learned, nothing_learned
from tlx.records.predictions.classified import f1_leaving_out, macro_f1, read_classified
from tlx.records.quality import CLASSIFICATION
from tlx.report import compare, load_records, make_report
from tlx.report.__main__ import main
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.difference import CROSSED
from tlx.report.comparison.difference import PICTURES as BY_PICTURES
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.sweep import with_seeds
from tlx.report.comparison.verdict import verdict
from tlx.report.gallery.mistakes import Mistakes, make_mistakes

GOOD_F1 = (0.8 + 2 / 3 + 1) / 3
POOR_F1 = (10 / 13 + 0 + 2 / 3) / 3


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("classifiers")
    for number, name in enumerate(PICTURES):
        (root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 16), (20 * number, 90, 30)).save(root / "data" / name)
    runs = classifiers.study(root / "runs", root / "data")
    return make_report([runs], root / "report").parent


def compared(folder: Path) -> Comparison:
    loaded = load_records([folder])
    return compare(loaded.records, warnings=loaded.warnings)


def test_rows_and_keys_are_those_of_the_task(report: Path) -> None:
    data = json.loads((report / "report.json").read_text())
    rows = {row["arm"]: row for row in data["rows"]}
    assert rows["freeze=4"]["test_accuracy"] == pytest.approx(
        {"mean": 0.9, "min": 0.8, "max": 1.0, "n": 2}
    )
    assert rows["freeze=4"]["test_macro_f1"]["mean"] == pytest.approx((1 + GOOD_F1) / 2)
    assert rows["freeze=all"]["test_macro_f1"]["mean"] == pytest.approx(POOR_F1)
    # Every run is at .8 in its third validation, and that is the level.
    assert data["levels"]["accuracy"]["value"] == 0.8
    assert rows["freeze=none"]["time_to_accuracy"]["seconds"]["mean"] == pytest.approx(3.0)
    assert set(data["figures"]) >= {"accuracy_vs_time", "class_f1", "confusion_1", "confusion_3"}
    assert not any("map" in key for key in rows["freeze=none"])
    assert data["recommendation"]["limits"]["accepted_accuracy_loss"] == 0.02


def test_nothing_speaks_of_boxes(report: Path) -> None:
    for name in ("report.md", "report.json", "report.csv", "index.html"):
        text = (report / name).read_text()
        for word in ("mAP", "map_50", "boxes", "detector", "detections"):
            assert word not in text, f"{word} in {name}"
    lines = (report / "report.md").read_text().splitlines()
    assert lines[2].startswith("- Best on test: freeze=4 (accuracy 0.900, macro F1 0.911)")
    assert any(
        "10 pictures: one picture more or less that is right moves" in line for line in lines
    )


def test_csv_has_the_figures_of_each_run(report: Path) -> None:
    with (report / "report.csv").open(newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    row = rows["freeze=none-seed=0"]
    assert (row["test_accuracy"], row["test_pictures"], row["best_val_accuracy"]) == (
        "0.8", "10", "0.8",
    )  # fmt: skip
    assert float(row["test_macro_f1"]) == pytest.approx(GOOD_F1)
    assert float(row["s_to_accuracy_level"]) == pytest.approx(3.0)


def test_the_page_has_classes_and_what_is_confused(report: Path) -> None:
    page = pages.read((report / "index.html").read_text())
    heads, *rows = page.tables["per-class"]
    assert [cell[0] for cell in heads] == [
        "arm", "class", "recall", "precision", "F1", "pictures", "note",
    ]  # fmt: skip
    cells = {(row[0][0], row[1][0]): [cell[0] for cell in row[2:]] for row in rows}
    assert cells["freeze=none", "cat"] == ["0.800", "0.800", "0.800", "5", "–"]
    assert cells["freeze=all", "owl"] == ["0.500", "1.000", "0.667", "2", "–"]
    answers = {row[0][0]: [cell[0] for cell in row[1:]] for row in page.tables["answers"][1:]}
    assert answers["freeze=4"] == ["2", "10", "9", "1"]
    data = [[cell[0] for cell in row] for row in page.tables["data-1"]]
    assert data == [
        ["class", "train", "test"], ["cat", "9", "5"], ["dog", "8", "3"], ["owl", "7", "2"],
        ["all", "24", "10"],
    ]  # fmt: skip


def test_a_confusion_matrix_is_the_mean_over_seeds(report: Path) -> None:
    charts = json.loads((report / "report.json").read_text())["figures"]
    four = charts["confusion_2"]
    assert (four["arm"], four["seeds"], four["classes"]) == ("freeze=4", 2, CLASSES)
    assert four["counts"] == [[4.5, 0.5, 0], [0.5, 2.5, 0], [0, 0, 2]]
    assert four["shares"] == pytest.approx(np.array([[0.9, 0.1, 0], [1 / 6, 5 / 6, 0], [0, 0, 1]]))
    assert (report / "confusion_2.png").stat().st_size > 10_000


def test_an_old_report_leaves_no_confusion(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("confusion_7.png", "map_vs_time.svg", "confusion.png"):
        (tmp_path / "out" / name).write_bytes(b"of another study")
    runs = write_classifiers(tmp_path / "runs", (make_classifier("4", 0, GOOD), GOOD))
    make_report([runs], tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert not left & {"confusion_7.png", "map_vs_time.svg"}
    assert left >= {"confusion.png", "confusion_1.png"}


def test_two_single_runs_are_compared_by_their_pictures(tmp_path: Path) -> None:
    runs = [(make_classifier(f, 0, found), found) for f, found in (("none", GOOD), ("all", POOR))]
    study = compared(write_classifiers(tmp_path, *runs))
    found = study.difference("freeze=all", "test_accuracy")
    assert found is not None
    gaps = [(p == t) - (g == t) for p, g, t in zip(POOR, GOOD, TRUTH, strict=True)]
    half = scipy.stats.t.ppf(0.975, 9) * np.std(gaps, ddof=1) / math.sqrt(10)
    assert found.method == BY_PICTURES
    assert (found.mean, found.low, found.high) == pytest.approx((-0.2, -0.2 - half, -0.2 + half))
    macro = study.difference("freeze=all", "test_macro_f1")
    assert macro is not None
    assert macro.mean == pytest.approx(POOR_F1 - GOOD_F1)
    parts = [np.array(brute(truth_found(f))) for f in (POOR, GOOD)]
    assert macro.low is not None
    assert macro.high is not None
    half = scipy.stats.t.ppf(0.975, 9) * np.std(parts[0] - parts[1], ddof=1) / math.sqrt(10)
    assert (macro.high - macro.low) / 2 == pytest.approx(half)


def test_seeds_are_crossed_with_pictures(tmp_path: Path) -> None:
    study = compared(classifiers.study(tmp_path))
    found = study.difference("freeze=4", "test_accuracy")
    assert found is not None
    assert (found.method, found.pairs) == (CROSSED, 2)
    assert found.mean == pytest.approx(0.1)
    assert found.picture_share is not None


@pytest.mark.parametrize("damage", ["lost", "cut", "all cut", "altered"])
def test_damaged_predictions_leave_the_seeds_alone(tmp_path: Path, damage: str) -> None:
    folder = classifiers.study(tmp_path)
    runs = "*" if damage == "all cut" else "freeze=4*"
    for path in folder.glob(f"{runs}/predictions.csv"):
        lines = path.read_text().splitlines()
        if damage == "lost":
            path.unlink()
        else:
            path.write_text("\n".join(["a,b", *lines] if damage == "altered" else lines[:-2]))
    study = compared(folder)
    found = study.difference("freeze=4", "test_accuracy")
    assert found is not None
    assert found.picture_share is None
    assert "without predictions the test pictures' part is unknown" in found.words


def truth_found(found: list[str]) -> list[tuple[int, int]]:
    return [(CLASSES.index(t), CLASSES.index(f)) for t, f in zip(TRUTH, found, strict=True)]


def brute(pairs: list[tuple[int, int]]) -> list[float]:
    """Jackknife pseudo-values of macro F1 with each picture left out in turn."""

    def f1(kept: list[tuple[int, int]], name: int) -> float:
        held, taken = (sum(pair[side] == name for pair in kept) for side in (0, 1))
        return 2 * kept.count((name, name)) / (held + taken) if held + taken else 0.0

    held = sorted({truth for truth, _ in pairs})
    whole = {name: f1(pairs, name) for name in held}
    mean, values = sum(whole.values()) / len(held), []
    for place in range(len(pairs)):
        kept = pairs[:place] + pairs[place + 1 :]
        # A class whose only picture is left out keeps its figure.
        without = [
            f1(kept, name) if any(t == name for t, _ in kept) else whole[name] for name in held
        ]
        values.append(len(pairs) * mean - (len(pairs) - 1) * sum(without) / len(held))
    return values


@pytest.mark.parametrize("seed", range(20))
def test_what_a_picture_adds_to_macro_f1_is_its_jackknife(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 40))
    truth = rng.choice(4, count, p=[0.6, 0.3, 0.1, 0])  # a class without a picture
    found = np.where(rng.random(count) < 0.6, truth, rng.integers(0, 4, count))
    matrix = np.zeros((4, 4), dtype=np.int64)
    np.add.at(matrix, (truth, found), 1)
    values = f1_leaving_out(matrix)[truth, found]
    pairs = list(zip(truth.tolist(), found.tolist(), strict=True))
    assert values == pytest.approx(brute(pairs))


def test_figures_of_a_file_are_those_of_the_record(tmp_path: Path) -> None:
    record = make_classifier("4", 0, GOOD)
    (run,) = write_classifiers(tmp_path, (record, GOOD)).iterdir()
    found = read_classified(run)
    accuracy = found.pseudo_values("accuracy")
    assert accuracy is not None
    assert accuracy.mean() == pytest.approx(0.8)
    assert macro_f1(found.confusion) == pytest.approx(GOOD_F1)
    assert CLASSIFICATION.tested(record, "macro_f1") == pytest.approx(GOOD_F1)
    record["test"]["macro_f1"] = 0.25  # a record that has it
    assert CLASSIFICATION.tested(record, "macro_f1") == 0.25
    (run / "predictions.csv").write_text("picture,class,found,probability\na,b,c,high\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_classified(run)


@pytest.mark.parametrize(
    ("test", "best", "expected"),
    [(0.33, 0.38, False), (0.33, 0.39, True), (0.5, None, True), (None, 0.2, False)],
)
def test_learning_is_told_from_chance(
    test: float | None, best: float | None, expected: bool
) -> None:
    # Of three classes chance gives .333; .383 and less is no more than that.
    record = {
        "task": "classification", "classes": CLASSES,
        "test": {"macro_accuracy": test, "accuracy": 0.9}, "best": {"macro_accuracy": best},
    }  # fmt: skip
    assert learned(record) is expected
    words = nothing_learned(record)
    assert (words is None) is expected
    if words:
        assert "mean accuracy of the classes" in words
        assert "chance gives 0.3333" in words
    assert learned(record | {"classes": None}) is None


def test_a_study_that_learned_nothing_says_so(tmp_path: Path) -> None:
    runs = [(make_classifier(f, 0, BLIND, val=[0.33, 0.34]), BLIND) for f in ("none", "4")]
    study = compared(write_classifiers(tmp_path, *runs))
    assert verdict(study) == recommend(study).words
    assert "in no run is the mean accuracy of the classes more than 0.05 above" in verdict(study)[0]


def test_runs_of_two_tasks_are_not_mixed(tmp_path: Path) -> None:
    classifiers.study(tmp_path / "classifiers")
    write_runs(tmp_path / "detectors", make_record("none"), make_record("8"))
    study = compared(tmp_path)
    assert study.quality is CLASSIFICATION
    assert [row.arm.label for row in study.rows] == ["freeze=none", "freeze=4", "freeze=all"]
    (warning,) = [line for line in study.warnings if "cannot be compared with" in line]
    assert "freeze=none-seed=0, freeze=8-seed=0 left out" in warning
    assert "which most are" in warning
    for seed in range(1, 5):
        write_runs(tmp_path / f"more-{seed}", make_record("8", seed))
    (warning,) = [line for line in compared(tmp_path).warnings if "cannot be compared" in line]
    assert "which the first of them is" in warning, "six of each"
    write_runs(tmp_path / "more-5", make_record("8", 5))
    study = compared(tmp_path)
    assert study.quality.task == "detection"
    assert len(study.rows) == 2


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    write_runs(tmp_path, make_record("4", task="segmentation"), make_record("8", task=["odd"]))
    loaded = load_records([tmp_path])
    assert not loaded.records
    assert "task 'segmentation' is none of detection, classification" in loaded.warnings[0]


def test_only_pictures_of_the_data_are_shown(report: Path, tmp_path: Path) -> None:
    data = report.parent / "data"
    study = compared(classifiers.study(tmp_path / "runs", data))
    shown = make_mistakes(study)
    assert isinstance(shown, Mistakes)
    # Dog 7 is taken for a cat by none (2), 4 (1) and all (2); the next two by all alone.
    assert shown.cases[0].view.title == "dog, taken for cat"
    assert shown.cases[0].view.note == "by 5 of 6 runs, test/dog/7.png"
    assert len(shown.cases) == 5
    for path in tmp_path.rglob("predictions.csv"):
        path.write_text(path.read_text().replace("test/", f"../{data.name}/test/"))
    hidden = make_mistakes(compared(tmp_path / "runs"))
    assert not hidden.cases
    assert hidden.runs == 6


def test_options_and_commands_name_the_classifiers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = classifiers.study(tmp_path / "runs")
    out = tmp_path / "out"
    options = ["level=0.7", "accept_loss=0.5", f"output={out}"]
    assert main([str(folder), *options]) == 0
    assert "Accuracy level: 0.7 (as given)" in " ".join(capsys.readouterr().out.split())
    text = (out / "report.md").read_text()
    assert "level=0.7 accept_loss=0.5" in text
    sweep = {
        "overrides": {"task": ["freeze=none,4,all", "seed=0,1"], "hydra": []},
        "sweeper": {"params": None}, "job": {"config_name": "classify"},
    }  # fmt: skip
    (folder / "multirun.yaml").write_text(json.dumps({"hydra": sweep}))
    records = load_records([folder]).records
    line = with_seeds(records, [0, 1, 2])
    assert line == "python -m tlx.classify -m freeze=none,4,all seed=0,1,2"
