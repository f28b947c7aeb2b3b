"""What the Jetson tool writes, in the report of a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.jetson.helpers_jetson import load_tool
from tests.report.helpers_report import digest_of, make_record, write_runs
from tlx.report import make_report
from tlx.report.__main__ import main

jb = load_tool()


def result(
    throttled: bool, precision: str = "fp16", ms: float = 12.5, of: str = "none-0"
) -> dict[str, Any]:
    """A result of the tool, as far as its rows are made from it."""
    reasons = ["the GPU clock fell to 612 of 1020 MHz"] if throttled else []
    return {
        "model": {"checkpoint_sha256": digest_of(of)},
        "latency_ms": {"inference": jb.statistics([ms - 1, ms, ms + 2])},
        "board": {"model": "NVIDIA Jetson Orin Nano Developer Kit"},
        "gpu": {"name": "Orin"},
        "tensorrt": {"name": "TensorRT", "version": "10.3.0"},
        "engine": {"precision": precision, "dla": None},
        "conditions": {"power_mode": "15W", "clocks_locked": True},
        "throttled": throttled,
        "throttle_reasons": reasons,
    }


def write_results(path: Path, *results: tuple[str, dict[str, Any]]) -> Path:
    content = None
    for policy, measured in results:
        content = jb.merge_results(content, measured, jb.report_row(measured, policy))
    path.write_text(json.dumps(content))
    return path


def test_device_precision_and_conditions_are_shown(tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs", make_record(), make_record("4"))
    file = write_results(
        tmp_path / "jetson.json",
        ("none", result(False)),
        ("freeze=4", result(False, ms=12.0, of="4-0")),
        ("freeze=4", result(False, "fp32", 30.0, "4-0")),
    )
    report = make_report([runs], tmp_path / "out", benchmark=file)
    figures = json.loads(report.with_name("report.json").read_text())
    device = "NVIDIA Jetson Orin Nano Developer Kit, {} (TensorRT 10.3.0, 15W, clocks locked)"
    found = [(row["arm"], row["ms"], row["device"]) for row in figures["latencies"]]
    assert found == [
        ("freeze=none", 12.5, device.format("fp16")),
        ("freeze=4", 12.0, device.format("fp16")),
        ("freeze=4", 30.0, device.format("fp32")),
    ]
    panels = figures["figures"]["pareto_latency"]["panels"]
    assert len(panels) == 2  # one a device and precision
    assert device.format("fp16") in report.with_name("index.html").read_text()
    assert not any("throttled" in line for line in figures["warnings"])


def test_a_throttled_result_is_warned_of(tmp_path: Path, capsys: Any) -> None:
    runs = write_runs(tmp_path / "runs", make_record(), make_record("4"))
    measured = ("none", result(True)), ("freeze=4", result(False, of="4-0"))
    file = write_results(tmp_path / "jetson.json", *measured)
    assert main([str(runs), "--output", str(tmp_path / "out"), "--benchmark", str(file)]) == 0
    told = "the device throttled (the GPU clock fell to 612 of 1020 MHz)"
    printed = " ".join(capsys.readouterr().out.split())
    assert "warning: freeze=none on NVIDIA Jetson Orin Nano" in printed
    assert told in printed
    warnings = json.loads((tmp_path / "out" / "report.json").read_text())["warnings"]
    assert [line for line in warnings if told in line and line.startswith("freeze=none")]
    assert told in (tmp_path / "out" / "report.md").read_text()
    assert not [line for line in warnings if line.startswith("freeze=4 on")]


def test_a_model_of_no_run_is_said(tmp_path: Path, capsys: Any) -> None:
    """Whatever arm the person at the board said it was."""
    runs = write_runs(tmp_path / "runs", make_record())
    file = write_results(tmp_path / "jetson.json", ("freeze=none", result(False, of="other")))
    assert main([str(runs), "--output", str(tmp_path / "out"), "--benchmark", str(file)]) == 0
    assert "is not joined to a run" in " ".join(capsys.readouterr().out.split())
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert figures["latencies"] == []


@pytest.mark.parametrize("reasons", [None, []])
def test_a_throttled_row_without_a_reason(tmp_path: Path, reasons: Any) -> None:
    runs = write_runs(tmp_path / "runs", make_record())
    row = {
        "checkpoint_sha256": digest_of("none-0"),
        "latency_ms": 3,
        "throttled": True,
        "throttle_reasons": reasons,
    }
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([row]))
    report = make_report([runs], tmp_path / "out", benchmark=file)
    assert "the device throttled (no reason is stated)" in report.read_text()
