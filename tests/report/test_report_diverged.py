"""Runs that diverged or learned nothing beside sound ones: they set no level and win nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.report.helpers_report import compared, make_record
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.verdict import verdict
from tlx.report.table import level_notes

ARMS = {"none": (0.2, 0.6), "4": (0.18, 0.605), "8": (0.15, 0.603), "all": (0.1, 0.5)}
LOST = {
    "status": "failed",
    "test": None,
    "error": {"type": "DivergenceError", "message": "the loss became nan at step 3"},
}
# It ends far above its beginning, after its best epoch, whose weights were kept.
RUN_AWAY = {
    "loss": [[0.2 * k, k, 10 - 0.25 * k if k < 16 else 5000.0 * (k - 14)] for k in range(1, 21)]
}
IDLE = {
    "val": [0.0, 0.0, 0.0, 0.0],
    "best": {"epoch": 1, "step": 5, "map": 0.0, "map_50": 0.0},
    "test_map_50": 0.0,
}


def study(tmp_path: Path, **special: dict[str, Any]) -> Comparison:
    """Five seeds of `ARMS`; `special` changes runs by `FREEZE_SEED`."""
    noise, runs = random.Random(0), []
    for arm, (step, level) in ARMS.items():
        for seed in range(5):
            fit = {"fit_s": 450 * step, "test_s": 3.0}
            figure = level + noise.gauss(0, 0.002)
            changes = {"step": step, "time": fit, "test_map_50": figure}
            runs.append(make_record(arm, seed, **changes | special.get(f"at{arm}_{seed}", {})))
    return compared(tmp_path, *runs)


def test_of_sound_runs_the_cheapest_that_loses_little_is_taken(tmp_path: Path) -> None:
    assert recommend(study(tmp_path)).arm == "freeze=8"


@pytest.mark.parametrize("fate", [LOST, RUN_AWAY])
def test_an_arm_of_which_runs_diverged_is_not_taken(fate: dict[str, Any], tmp_path: Path) -> None:
    found = study(tmp_path, at8_1=fate, at8_3=fate)
    advice = recommend(found)
    assert advice.arm == "freeze=4"
    assert advice.refused["freeze=8"] == "2 of 5 runs diverged (seed 1, 3)"
    assert "freeze=8: 2 of 5 runs diverged (seed 1, 3)." in verdict(found)


def test_a_run_that_diverged_sets_no_level(tmp_path: Path) -> None:
    sound = study(tmp_path / "sound").levels
    found = study(tmp_path / "run_away", at8_1=RUN_AWAY).levels
    assert found == sound


def test_a_run_that_learned_nothing_sets_no_level_and_is_named(tmp_path: Path) -> None:
    found = study(tmp_path, atall_2=IDLE)
    assert found.levels.main == study(tmp_path / "sound").levels.main
    assert "freeze=all: 1 of 5 runs learned nothing (seed 2)." in verdict(found)
    assert recommend(found).arm == "freeze=8"


def test_one_arm_that_is_fit_is_said_to_be_the_only_one(tmp_path: Path) -> None:
    runs = [make_record("none", 0), make_record("4", 0, **IDLE)]
    found = compared(tmp_path, *runs)
    words = recommend(found).words
    assert words[0] == (
        "No arm can be recommended: freeze=none is the only arm that can be taken, with none to "
        "compare it with."
    )
    assert words[1].startswith("Next: train longer")
    assert "freeze=4: it has learned nothing." in words
    assert any("no other arm that has learned" in line for line in verdict(found))


def test_without_a_level_it_is_not_said_that_nothing_was_recorded(tmp_path: Path) -> None:
    notes = level_notes(compared(tmp_path, make_record("none", 0, **IDLE)).levels)
    assert "No mAP level: no run that learned has a validation mAP@.5." in notes


def test_a_study_without_freeze_none_says_so(tmp_path: Path) -> None:
    fit = {"4": 81.0, "8": 67.0}
    runs = [
        make_record(
            arm, seed, time={"fit_s": fit[arm], "test_s": 3.0}, test_map_50=0.6 + seed / 1e3
        )
        for arm in fit
        for seed in range(3)
    ]
    advice = recommend(compared(tmp_path, *runs))
    assert advice.arm == "freeze=8"
    assert "freeze=none was not tried" in advice.words[-1]


def test_data_that_was_swept_did_not_change_between_the_runs(tmp_path: Path) -> None:
    config = {"freeze": "none", "seed": 0, "data": {"name": "guns", "root": "a"}}
    split = {"images": 9, "pictures": "a" * 64, "boxes": "b" * 64}
    runs = []
    for number, root in enumerate("ab"):
        members = {"splits": {"train": split | {"pictures": root * 64}}}
        changes = {"dataset": members, "config": config | {"data": {"name": "guns", "root": root}}}
        runs.append(make_record("none", 0, name=root, fingerprint=f"{number}", **changes))
    told = [w for w in compared(tmp_path, *runs).warnings if "training set" in w]
    assert told
    assert told[0].endswith("A difference may come from the data.")
