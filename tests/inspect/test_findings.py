"""What `tlx.inspect` finds on pictures with known failures, and which runs it takes."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import tests.report.helpers_planted as planted
from tlx.common.errors import DataError
from tlx.inspect.__main__ import main
from tlx.inspect.findings import ERRORS, Findings, find
from tlx.inspect.runs import load_runs
from tlx.records.predictions import read_predictions, write_predictions


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted.plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def own_study(tmp_path: Path) -> Path:
    return planted.plant(tmp_path)


@pytest.fixture(scope="module")
def found(study: Path) -> dict[str, Findings]:
    return {Path(f.image.image).stem: f for f in find(load_runs([study]), 0.3)}


def where(found: dict[str, Findings], condition: Callable[[Findings], Any]) -> set[str]:
    return {name for name, picture in found.items() if condition(picture)}


def test_each_failure_is_found_where_it_was_planted(found: dict[str, Findings]) -> None:
    views = dict(
        zip(ERRORS, ("missed objects", "false alarms", "wrong class", "low IoU"), strict=True)
    )
    for kind, view in views.items():
        for index, label in enumerate(planted.RUNS.values()):
            seen = where(found, lambda f: kind in f.runs[index].found + f.runs[index].truth)  # noqa: B023
            assert seen == planted.VIEWS[f"{view}: {label}"], kind


def test_twins_are_grouped_and_nothing_else(found: dict[str, Findings]) -> None:
    assert where(found, lambda f: f.group == 1) == planted.VIEWS["near duplicates"]
    assert where(found, lambda f: f.group is not None) == planted.VIEWS["near duplicates"]


def test_areas_are_those_at_the_networks_input(found: dict[str, Findings]) -> None:
    # 40 x 30 px in 320 x 240: 20 x 20 at 160 x 160
    assert found["small"].areas.tolist() == pytest.approx([400])
    assert where(found, lambda f: (f.areas < 32**2).any()) == planted.VIEWS["small objects"]


def test_policies_disagree_where_only_one_has_a_detection(found: dict[str, Findings]) -> None:
    assert where(found, lambda f: f.disagreement) == planted.VIEWS["policies disagree"]
    first, second = found["false"].runs
    assert (first.alone.tolist(), second.alone.tolist()) == ([0, 1], [0])


def test_the_loss_ranks_the_worst_pictures_first(found: dict[str, Findings]) -> None:
    ranked = sorted(found, key=lambda name: -found[name].loss)
    assert set(ranked[:2]) == planted.VIEWS["high-loss images"]
    assert found["loss"].loss == pytest.approx(-3 * math.log(0.05))
    assert found["empty"].loss == 0
    assert [run.loss for run in found["crowd"].runs] == [0, 0]


def test_runs_of_one_policy_are_not_compared_with_each_other(own_study: Path) -> None:
    path = own_study / planted.RUNS["4"] / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"freeze": "none", "seed": 1}))
    assert not any(f.disagreement for f in find(load_runs([own_study]), 0.3))


def test_unfinished_runs_are_left_out_and_runs_can_be_named(
    own_study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert [run.field for run in load_runs([own_study]).runs] == [
        "freeze_none_seed_0_aaaaaa", "freeze_4_seed_0_bbbbbb",
    ]  # fmt: skip
    path = own_study / planted.RUNS["4"] / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "interrupted"}))
    seen = load_runs([own_study])
    assert [run.label for run in seen.runs] == [planted.RUNS["none"]]
    assert "bbbbbb: interrupted; left out" in caplog.text
    assert not any(f.disagreement for f in find(seen, 0.3))
    with pytest.raises(DataError, match="no finished run"):
        load_runs([path.parent])


def test_runs_that_were_tested_on_other_boxes_are_refused(own_study: Path) -> None:
    folder = own_study / planted.RUNS["4"]
    predictions = read_predictions(folder)
    predictions.images[0].truth.boxes[0, 0] += 5
    write_predictions(folder, predictions)
    with pytest.raises(DataError, match="different pictures or boxes"):
        load_runs([own_study])
    predictions.classes[0] = "pistol"
    write_predictions(folder, predictions)
    with pytest.raises(DataError, match="different classes"):
        load_runs([own_study])


def test_pictures_can_lie_elsewhere_but_must_be_those_that_were_tested(own_study: Path) -> None:
    root = own_study.parent / "set"
    moved = root.rename(own_study.parent / "moved")
    with pytest.raises(DataError, match="say where it is with root="):
        load_runs([own_study])
    seen = load_runs([own_study], moved)
    assert len(find(seen, 0.3)) == len(planted.PLANTS)
    Image.new("RGB", planted.SIZE).save(moved / "test" / "hit.jpg")
    with pytest.raises(DataError, match=r"hit\.jpg has changed"):
        find(seen, 0.3)


def test_without_fiftyone_the_error_says_what_to_install(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "false")
    monkeypatch.setitem(sys.modules, "fiftyone", None)  # what an import meets where it is missing
    assert main([str(study)]) == 2
    error = capsys.readouterr().err
    assert "pip install 'tlx-detect[viz]'" in error
    assert "tlx.report" in error
    assert os.environ["FIFTYONE_DO_NOT_TRACK"] == "true", "tracking is off before the import"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere"], "no finished run in nowhere"), (["x", "--score", "2"], "between 0 and 1")],
)
def test_a_wrong_command_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
