"""Epochs that take as long as those of the reference, by what the trials measured."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report.helpers_report import make_record
from tlx.study.wall_clock import FITS, STEPS, epoch_seconds, how_timed, length, parts_of_an_epoch


def arm(*trials: dict[str, Any]) -> dict[str, Any]:
    usual = {"steps": 10, "step_s": 0.2, "val_s": 1.0, "val_every": 1, "fit_epoch_s": 4.0}
    return {"trials": [usual | trial for trial in trials]}


def test_an_epoch_is_its_steps_and_its_share_of_a_validation() -> None:
    assert epoch_seconds(arm({}), STEPS) == pytest.approx(3.0)
    assert epoch_seconds(arm({"val_every": 4}), STEPS) == pytest.approx(2.25)
    slow, usual, fast = {"step_s": 0.9}, {"step_s": 0.2}, {"step_s": 0.1}
    assert epoch_seconds(arm(slow, usual, fast), STEPS) == pytest.approx(3.0), "the median"
    assert epoch_seconds(arm({}), FITS) == 4.0
    assert epoch_seconds(arm({}, {"fit_epoch_s": None, "step_s": None}), STEPS) == 3.0


def test_a_step_of_half_the_time_has_nearly_twice_the_epochs() -> None:
    reference, half = arm({}), arm({"step_s": 0.1})
    told = length(half, reference, 20, STEPS, "freeze=none")
    assert told["epochs"] == 30  # 20 x 3 s / 2 s: a validation is no shorter
    assert told["seconds"] == pytest.approx(told["reference_seconds"]) == pytest.approx(60)
    assert (told["reference"], told["reference_epochs"], told["timed_by"]) == (
        "freeze=none", 20, STEPS,
    )  # fmt: skip
    assert length(reference, reference, 20, STEPS, "freeze=none")["epochs"] == 20
    assert length(arm({"step_s": 90.0}), reference, 20, STEPS, "")["epochs"] == 1


def test_arms_are_timed_in_one_way() -> None:
    assert how_timed([arm({}), arm({})]) == STEPS
    assert how_timed([arm({}), arm({"step_s": None})]) == FITS, "a policy of two phases has no one"


def test_the_parts_come_from_the_record_of_a_trial() -> None:
    """Steps of .2 s; validations end .7 s behind the epoch's last step."""
    curve = [[0.2 * 5 * (e + 1) + 0.7, 5 * (e + 1), 0.5] for e in range(4)]
    record = make_record("4", map_50=curve, phases=[{}], config={"trainer": {"val_every": 1}})
    record["best"] = {"epoch": 3, "step": 20, "map_50": 0.5}
    parts = parts_of_an_epoch(record, "map_50")
    assert (parts["steps"], parts["step_s"]) == (5, 0.2)
    assert parts["val_s"] == pytest.approx(0.7)
    assert parts["fit_epoch_s"] == 90 / 4
    two = parts_of_an_epoch(record | {"phases": [{}, {}]}, "map_50")
    assert two["step_s"] is None
