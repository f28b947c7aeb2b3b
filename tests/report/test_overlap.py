"""Runs that were at work at once on one machine: their times are no evidence."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.helpers_report import compared, make_record, rows_of, write_runs
from tlx.records.record import begin_segment, end_segment, read_record, save_record
from tlx.report import make_report
from tlx.report.comparison.candidates import Limits
from tlx.report.comparison.overlap import beside_each_other
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.records import Record
from tlx.report.comparison.verdict import verdict
from tlx.report.factors import analyse
from tlx.report.page.first_screen import answer_of

TIMED = ("step_s", "fit_min", "time_to_map", "time_to_loss", "energy_kj")


def at(start: str, end: str | None, **changes: Any) -> dict[str, Any]:
    """When a run was at work on 1 January 2025: `10:00` to `10:30`."""
    day = "2025-01-01T{}:00+00:00"
    return {"started": day.format(start), "finished": end and day.format(end)} | changes


def segments(*spans: tuple[str, str], boot: str = "a") -> dict[str, Any]:
    day = "2025-01-01T{}:00+00:00"
    return {"segments": [{"started": day.format(start), "until": day.format(end), "boot": boot}
                         for start, end in spans]}  # fmt: skip


def energy(joules: float) -> dict[str, Any]:
    return {"joules": joules, "method": "RAPL", "measured": True, "reason": None}


def study(*times: tuple[str, str]) -> list[dict[str, Any]]:
    """Two arms with three seeds: `freeze=none` one after another, then `freeze=4` at `times`."""
    alone = [(f"0{hour}:00", f"0{hour}:30") for hour in range(3)]
    spans = [("none", seed, *alone[seed]) for seed in range(3)]
    spans += [("4", seed, *times[seed]) for seed in range(3)]
    return [
        make_record(freeze, seed, step=0.2 if freeze == "none" else 0.1 + 0.001 * seed,
                    name=f"{freeze}-{seed}", energy=energy(2000.0 + seed), **at(start, end))
        for freeze, seed, start, end in spans
    ]  # fmt: skip


ALONE = ("03:00", "03:30"), ("04:00", "04:30"), ("05:00", "05:30")
CROWDED = ("03:00", "05:30"), ("04:00", "04:30"), ("05:00", "05:40")


def test_alone_the_times_are_compared(tmp_path: Path) -> None:
    found = compared(tmp_path, *study(*ALONE))
    step = found.difference("freeze=4", "step_s")
    assert step is not None
    assert (step.verdict, step.pairs) == ("better", 3)
    assert not any("not comparable" in line for line in (*found.warnings, *verdict(found)))


def test_times_of_runs_beside_each_other_are_not_compared(tmp_path: Path) -> None:
    found = compared(tmp_path, *study(*CROWDED))
    (warning,) = [line for line in found.warnings if "not comparable" in line]
    assert "3 of 6 runs" in warning
    assert "4-0 (beside 4-1, 4-2); 4-1 (beside 4-0); 4-2 (beside 4-0)" in warning
    row = rows_of(found)["freeze=4"]
    for figure in ("step_s", "fit_min", "energy_kj", "speedup", "time_to_main", "time_to_loss"):
        assert getattr(row, figure) is None
    assert row.test_main is not None, "quality does not suffer"
    assert row.figures == 3
    for figure in TIMED:
        difference = found.difference("freeze=4", figure)
        assert difference is not None
        assert (difference.verdict, difference.p, difference.pairs) == ("not comparable", None, 0)
        assert "ran beside 4-1" in difference.words
    quality = found.difference("freeze=4", "test_map_50")
    assert quality is not None
    assert quality.pairs == 3
    told = " ".join(verdict(found))
    assert "Times of 3 of 6 runs are not comparable" in told
    assert "Fastest step" not in told
    advice = recommend(found)
    assert advice.arm is None
    assert "its training time is not comparable (ran beside 4-1, 4-2)" in " ".join(advice.words)


def test_of_many_runs_beside_each_other_a_few_are_named(tmp_path: Path) -> None:
    """Studies made two at a time have one line of it, not a page."""
    crowd = [
        make_record(freeze, seed, name=f"{freeze}-{seed}", **at("03:00", f"05:3{seed}"))
        for freeze in ("none", "4")
        for seed in range(6)
    ]
    found = compared(tmp_path, *crowd)
    (warning,) = [line for line in found.warnings if "not comparable" in line]
    assert "12 of 12 runs" in warning
    assert warning.count("(beside ") == 3
    assert warning.endswith("; and 9 more, which report.json names under not_alone.")
    step = found.difference("freeze=4", "step_s")
    assert step is not None
    assert step.words.count("ran beside") == 1
    assert "and so 5 more of the pairs" in step.words


def test_n_counts_the_runs_that_were_alone(tmp_path: Path) -> None:
    found = compared(tmp_path, *study(("03:00", "03:30"), ("04:00", "04:30"), ("02:10", "02:40")))
    rows = rows_of(found)
    step = {label: row.step_s.n for label, row in rows.items() if row.step_s}
    assert step == {"freeze=none": 2, "freeze=4": 2}
    difference = found.difference("freeze=4", "step_s")
    assert difference is not None
    assert difference.pairs == 2
    assert rows["freeze=4"].crowded == ["4-2"]


def test_a_run_that_did_not_finish_crowds_too(tmp_path: Path) -> None:
    failed = make_record("8", status="failed", name="broken", **at("03:10", "03:20"))
    found = compared(tmp_path, *study(*ALONE), failed)
    assert rows_of(found)["freeze=4"].crowded == ["4-0"]


@pytest.mark.parametrize(
    ("one", "other", "beside"),
    [
        (at("10:00", "11:00"), at("10:30", "11:30"), True),
        (at("10:00", "11:00"), at("11:00", "12:00"), False),
        # Another machine: by its start where both tell it, whatever else is equal.
        (at("10:00", "11:00") | segments(("10:00", "11:00")),
         at("10:30", "11:30") | segments(("10:30", "11:30"), boot="b"), False),
        (at("10:00", "11:00") | segments(("10:00", "11:00")),
         at("10:30", "11:30") | segments(("10:30", "11:30")), True),
        (at("10:00", "11:00"), at("10:30", "11:30", environment={"cpu": "Other"}), False),
        # A run that paused while the other was at work.
        (segments(("10:00", "10:10"), ("11:00", "11:10")), segments(("10:20", "10:50")), False),
        (segments(("10:00", "10:10"), ("11:00", "11:10")), segments(("11:05", "11:50")), True),
        # When it was at work is not known, or of what.
        (at("10:00", "11:00", resumes=1), at("10:30", "11:30"), False),
        (at("10:00", None), at("10:30", "11:30"), False),
        (at("10:00", "11:00", environment=None), at("10:30", "11:30", environment=None), False),
        ({"segments": [3, {"started": "noon"}]}, at("10:30", "11:30"), False),
        # The same run, copied.
        (at("10:00", "11:00"), at("10:00", "11:00"), False),
    ],
)  # fmt: skip
def test_what_counts_as_beside(one: dict[str, Any], other: dict[str, Any], beside: bool) -> None:
    records = [Record(Path(name), make_record(name=name, **changes))
               for name, changes in (("one", one), ("other", other))]  # fmt: skip
    found = beside_each_other(records)
    expected = [("other",), ("one",)] if beside else [(), ()]
    assert [record.beside for record in found] == expected


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    found = compared(tmp_path, make_record("4", resumes=1, name="paused"))
    assert any("When paused went on after a stop is not recorded" in w for w in found.warnings)


def test_the_report_says_it_everywhere(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", *study(*CROWDED))
    output = tmp_path / "report"
    make_report([runs], output)
    text = (output / "report.md").read_text()
    page = (output / "index.html").read_text()
    assert "| not comparable |" in text
    assert "not comparable" in page
    assert "ran beside 4-1" in page
    report = json.loads((output / "report.json").read_text())
    assert [row["not_alone"] for row in report["rows"]] == [[], ["4-0", "4-1", "4-2"]]
    with (output / "report.csv").open() as file:
        beside = {row["run"]: row["ran_beside"] for row in csv.DictReader(file)}
    assert beside["4-0"] == "4-1, 4-2"
    assert beside["none-0"] == ""


def test_a_record_notes_when_processes_worked_on_it(tmp_path: Path) -> None:
    record: dict[str, Any] = make_record() | {"status": "running", "resumes": 0, "finished": None}
    begin_segment(record, None)
    save_record(record, tmp_path)
    first = read_record(tmp_path)
    assert first is not None
    (segment,) = first["segments"]
    assert segment["started"] <= segment["until"]
    assert len(segment["boot"]) == 12
    again = {**record, **first}
    begin_segment(again, first)
    end_segment(again)
    assert again["segments"][0] == segment
    assert again["finished"] == again["segments"][1]["until"]
    old = make_record()
    begin_segment(old, make_record())
    assert old["segments"][0] == {
        "started": "2025-01-01T00:00:00", "until": "2025-01-01T00:01:00", "boot": None,
    }  # fmt: skip


def test_a_run_that_other_programs_held_up_is_named(tmp_path: Path) -> None:
    """Its step was measured, and is not that of the freeze: nothing else would tell."""
    busy = make_record("4", name="busy", time={"fit_s": 100.0, "waited_s": 45.0, "test_s": 1.0})
    calm = make_record("8", name="calm", time={"fit_s": 100.0, "waited_s": 3.0, "test_s": 1.0})
    old = make_record("all", name="old", time={"fit_s": 100.0, "test_s": 1.0})
    (told,) = [w for w in compared(tmp_path, busy, calm, old).warnings if "waited for a core" in w]
    assert told.startswith("1 of 3 runs waited for a core for more than 20 % of their time")
    assert "busy 45 %." in told


def with_arithmetic(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The multiply-adds beside; both arms test alike but for a little."""
    for record in records:
        record["bound"]["forward_macs"] = 10**9
        record["test"]["map_50"] = 0.7 + 0.001 * record["seed"] * (record["freeze"] == "4")
    return records


def test_without_times_arithmetic_says_what_is_cheaper(tmp_path: Path) -> None:
    found = compared(tmp_path, *with_arithmetic(study(*CROWDED)))
    advice = recommend(found)
    assert advice.arm == "freeze=4"
    assert "the least arithmetic in training (80 % of the arithmetic" in advice.words[0]
    assert "by arithmetic: times are not comparable" in advice.words[-1]
    assert "more arithmetic" in advice.refused["freeze=none"]
    page = answer_of(found, advice, analyse(found))
    assert "It takes the least arithmetic in training of all" in page.headline
    assert "times cannot be compared here" in page.headline
    told = " ".join(line for part in page.parts for line in part.lines)
    assert "By arithmetic alone a step is 1.25 times as fast as one in which everything" in told
    limited = recommend(found, Limits(train_minutes=60))
    assert limited.refused["freeze=4"] == "its training time is not comparable"


def test_times_that_hold_the_wait_for_a_core_choose_nothing(tmp_path: Path) -> None:
    """`4`, of fewer multiply-adds, seems slower: it waited most of its time."""
    records = with_arithmetic(study(*ALONE))
    for record in records:
        waited = 500.0 if record["freeze"] == "4" else 0.0
        record["time"] = {"fit_s": 600.0 if waited else 300.0, "test_s": 3.0, "waited_s": waited}
    found = compared(tmp_path, *records)
    assert recommend(found).arm == "freeze=4"
    for record in records:
        record["time"]["waited_s"] = 0.0
    assert recommend(compared(tmp_path / "again", *records)).arm == "freeze=none"


def test_no_minutes_are_foretold_from_half_of_the_times(tmp_path: Path) -> None:
    records = with_arithmetic(study(*CROWDED))
    for record in records:
        record["test"]["map_50"] += 0.03 * record["seed"] * (record["freeze"] == "4")
    found = compared(tmp_path, *records)
    advice = recommend(found)
    assert advice.settling is not None
    assert advice.settling.need.seeds, "only how long that takes is not known"
    assert " min" not in advice.settling.words
    step = answer_of(found, advice, analyse(found)).parts[-1].lines[0]
    assert step.startswith("Train every arm with about")
    assert "min" not in step
