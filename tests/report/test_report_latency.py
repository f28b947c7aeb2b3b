"""A benchmark's file: what is read, what is refused and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.helpers_report import digest_of, make_record, write_runs
from tlx.common.errors import DataError
from tlx.report import make_report
from tlx.report.comparison.arms import group_arms
from tlx.report.comparison.latency import read_latencies, slowest
from tlx.report.comparison.records import load_records


def read(root: Path, content: Any, *records: dict[str, Any]) -> list[tuple[Any, ...]]:
    runs = write_runs(root / "runs", *(records or (make_record(), make_record("4"))))
    file = root / "benchmark.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    arms, _ = group_arms(load_records([runs]).records)
    return [tuple(vars(latency).values()) for latency in read_latencies(file, arms)]


NONE, FOUR = digest_of("none-0"), digest_of("4-0")


def test_rows_are_joined_by_the_checkpoints_digest_whatever_they_are_called(
    tmp_path: Path,
) -> None:
    rows = [
        {"policy": "freeze=none", "checkpoint_sha256": FOUR, "latency_ms": 20, "low_ms": 19,
         "high_ms": 22.5, "device": "Pi"},
        {"checkpoint_sha256": NONE, "latency_ms": 21, "extra": [1]},
        {"policy": "freeze=4", "checkpoint_sha256": digest_of("another run"), "latency_ms": 5},
        {"policy": "freeze=4", "latency_ms": 6},
        {"policy": "", "checkpoint_sha256": None, "latency_ms": 7},  # a baseline: of no arm
    ]  # fmt: skip
    found = [("freeze=4", 20, 19, 22.5, "Pi", ""), ("freeze=none", 21, 21, 21, "device", "")]
    assert read(tmp_path, {"rows": rows}) == found


def test_what_is_not_joined_is_said(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", make_record(), make_record("4"))
    file = tmp_path / "benchmark.json"
    rows = [
        {"policy": "freeze=4", "checkpoint_sha256": "ab" * 32, "latency_ms": 5, "device": "Pi"},
        {"policy": "freeze=4", "latency_ms": 6, "device": "Pi"},
        {"policy": "", "checkpoint_sha256": None, "latency_ms": 7},
    ]
    file.write_text(json.dumps(rows))
    report = make_report([runs], tmp_path / "out", benchmark=file)
    figures = json.loads(report.with_name("report.json").read_text())
    assert figures["latencies"] == []
    told = [line for line in figures["warnings"] if "is not joined to a run" in line]
    assert len(told) == 2
    assert "row 1 (freeze=4, 5 ms on Pi) is not joined to a run: its checkpoint abab" in told[0]
    assert "it has no `checkpoint_sha256`" in told[1]
    assert told[0] in report.read_text()


def test_an_earlier_record_is_known_by_the_checkpoint_beside_it(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", make_record(checkpoint=None))
    (folder,) = (path.parent for path in runs.rglob("record.json"))
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "best.ckpt").write_text("none-0")
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps([{"checkpoint_sha256": NONE, "latency_ms": 5}]))
    arms, _ = group_arms(load_records([runs]).records)
    assert [latency.arm for latency in read_latencies(file, arms)] == ["freeze=none"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ({"policy": "4"}, "neither a list of rows"),
        ([{"latency_ms": 4}], "row 1: not an object with `checkpoint_sha256`"),
        ([{"checkpoint_sha256": NONE, "latency_ms": None}], "row 1: `latency_ms` must be a number"),
        ([{"policy": "4", "latency_ms": 3, "low_ms": 4}], "must lie between"),
        ([{"checkpoint_sha256": FOUR, "latency_ms": 3}] * 2, "freeze=4 has several rows"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_limit_has_to_be_kept_on_the_slowest_device(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", make_record())
    file = tmp_path / "benchmark.json"
    rows = [
        {"checkpoint_sha256": NONE, "latency_ms": ms, "device": f"at {ms}"} for ms in (9, 30, 20)
    ]
    file.write_text(json.dumps(rows))
    arms, _ = group_arms(load_records([runs]).records)
    assert slowest(read_latencies(file, arms)) == {"freeze=none": 30}


def test_the_command_to_repeat_names_the_file(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", make_record())
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps([{"checkpoint_sha256": NONE, "latency_ms": 9}]))
    report = make_report([runs], tmp_path / "out", benchmark=file)
    assert f"benchmark={file}" in report.read_text()
    assert f"benchmark={file}" in report.with_name("index.html").read_text()
    assert (tmp_path / "out" / "pareto_latency.svg").is_file()
