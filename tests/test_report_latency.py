"""A benchmark's file: what is read, what is refused and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers_report import make_record, write_runs

from tlx.errors import DataError
from tlx.report import make_report
from tlx.report.arms import group_arms
from tlx.report.latency import read_latencies, slowest
from tlx.report.records import load_records


def read(root: Path, content: Any, *records: dict[str, Any]) -> list[tuple[Any, ...]]:
    runs = write_runs(root / "runs", *(records or (make_record(), make_record("4"))))
    file = root / "benchmark.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    arms, _ = group_arms(load_records([runs]).records)
    return [tuple(vars(latency).values()) for latency in read_latencies(file, arms)]


def test_rows_by_name_and_by_depth(tmp_path: Path) -> None:
    rows = [
        {"policy": "freeze=4", "latency_ms": 20, "low_ms": 19, "high_ms": 22.5, "device": "Pi"},
        {"policy": "none", "latency_ms": 21, "extra": [1]},
        {"policy": "12", "latency_ms": 5},
    ]
    found = [("freeze=4", 20, 19, 22.5, "Pi", ""), ("freeze=none", 21, 21, 21, "device", "")]
    assert read(tmp_path, {"rows": rows}) == found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ({"policy": "4"}, "neither a list of rows"),
        ([{"latency_ms": 4}], "row 1: not an object with `policy`"),
        ([{"policy": "none", "latency_ms": None}], "row 1: `latency_ms` must be a number"),
        ([{"policy": "4", "latency_ms": 3, "low_ms": 4}], "must lie between"),
        ([{"policy": "12", "latency_ms": 3}], "no row's `policy` is an arm .* freeze=none"),
        ([{"policy": "4", "latency_ms": 3}] * 2, "freeze=4 has several rows"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_depth_of_two_arms_has_to_be_named(tmp_path: Path) -> None:
    records = make_record("4"), make_record("4", policy="two_phase")
    with pytest.raises(DataError, match="may be freeze=4 or freeze=4 two_phase"):
        read(tmp_path, [{"policy": "freeze=8"}, {"policy": "4", "latency_ms": 3}], *records)


def test_a_limit_has_to_be_kept_on_the_slowest_device(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", make_record())
    file = tmp_path / "benchmark.json"
    rows = [{"policy": "none", "latency_ms": ms, "device": f"at {ms}"} for ms in (9, 30, 20)]
    file.write_text(json.dumps(rows))
    arms, _ = group_arms(load_records([runs]).records)
    assert slowest(read_latencies(file, arms)) == {"freeze=none": 30}


def test_the_command_to_repeat_names_the_file(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", make_record())
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps([{"policy": "none", "latency_ms": 9}]))
    report = make_report([runs], tmp_path / "out", benchmark=file)
    assert f"--benchmark {file}" in report.read_text()
    assert f"--benchmark {file}" in report.with_name("index.html").read_text()
    assert (tmp_path / "out" / "pareto_latency.svg").is_file()
