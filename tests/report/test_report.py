"""The report as it is written and printed: text, JSON, plots and console."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import pytest
from rich.console import Console

from tests.helpers_process import run_program
from tests.report.helpers_report import compared, make_record, study, write_runs
from tlx.common.errors import DataError
from tlx.report import comparison_table, load_records, make_report
from tlx.report.__main__ import main
from tlx.report.build import advise
from tlx.report.show import show


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    return make_report([write_runs(root / "runs", *study())], root / "out" / "report")


def test_a_record_of_nulls_is_reported(tmp_path: Path) -> None:
    bare = {"version": 1, "status": "finished", "freeze": 4, "loss": None, "map_50": [[0, 1, None]]}
    path = make_report([write_runs(tmp_path / "runs", bare)], tmp_path / "out")
    assert "| freeze=4 | 1 | – | – | – |" in path.read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["plots"] == []


def test_nothing_to_report_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "holds no record.json" in message
    assert "Give run folders" in message
    failed = make_record(status="failed", error={"type": "ValueError", "message": "too hot"})
    with pytest.raises(DataError, match="failed: ValueError: too hot"):
        make_report([write_runs(tmp_path, failed)], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_program_prints_and_writes(tmp_path: Path) -> None:
    write_runs(tmp_path, make_record(), make_record("4"))
    done = run_program("tlx.report", tmp_path, "--map-level", "0.4")
    assert done.returncode == 0, done.stderr
    assert "mAP level: 0.4 (as given)" in " ".join(done.stdout.split())
    assert "is not evidence" in done.stdout
    again = f"python -m tlx.report {tmp_path} output={tmp_path / 'report'} map_level=0.4"
    assert again in (tmp_path / "report" / "report.md").read_text()


def test_plots_have_their_size_and_something_on_them(report: Path) -> None:
    names = {path.name for path in report.parent.glob("*.png")}
    assert names == {
        "loss_vs_time.png",
        "loss_vs_step.png",
        "map_vs_time.png",
        "step_time.png",
        "4_vs_8.png",
        "best_vs_worst.png",
        "memory.png",
        "pareto_time.png",
        "class_ap.png",
    }
    for name in names:
        data = (report.parent / name).read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        assert data.startswith(b"\x89PNG")
        assert width == 1200
        assert 600 <= height <= 900
        assert len(data) > 20_000, f"{name} is nearly empty"
        assert f"]({name})" in report.read_text()


def test_4_vs_8_needs_both_and_an_old_one_goes(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "4_vs_8.png").write_bytes(b"of another study")
    runs = write_runs(tmp_path / "runs", make_record("4"), make_record("8", policy="two_phase"))
    text = make_report([runs], tmp_path / "out").read_text()
    assert not (tmp_path / "out" / "4_vs_8.png").exists()
    assert "(4_vs_8.png)" not in text


def test_json_equals_the_table(report: Path) -> None:
    text = report.read_text()
    data = json.loads((report.parent / "report.json").read_text())
    table = [line for line in text.splitlines() if line.startswith(("| scratch |", "| freeze="))]
    for row, line in zip(data["rows"], table, strict=False):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == row["arm"]
        assert cells[1] == str(row["n"])
        assert cells[3].split("<br>")[0] == f"{row['test_map_50']['mean']:.3f}"
        assert float(cells[4].split("<br>")[0]) == pytest.approx(row["step_s"]["mean"], rel=5e-3)
        assert cells[5].split("<br>")[0] == f"{row['speedup']['mean']:.2f}"
        seconds = row["time_to_loss"]["seconds"]["mean"]
        assert float(cells[7].split("<br>")[0]) == pytest.approx(seconds, rel=5e-3)
        assert cells[10] == f"{row['trainable_share']:.1%}"
        assert cells[13] == row["frozen_proof"]
    assert [row["arm"] for row in data["rows"]] == [
        "scratch",
        "freeze=none",
        "freeze=4",
        "freeze=8",
        "freeze=all",
    ]


def test_report_answers_first_and_hides_nothing(report: Path) -> None:
    text = report.read_text()
    lines = text.splitlines()
    assert lines[2].startswith("- Best on test: freeze=4 (mAP@.5 0.640, mAP@[.5:.95] 0.320)")
    assert "with n=1 seed a difference of −0.010 is not evidence" in lines[2]
    assert lines[3].startswith("- Fastest step: freeze=all (0.100 s)")
    assert "the frozen tensors CHANGED during training in freeze=8-seed=0" in text
    assert "| broken | failed: MemoryError: no [red] room \\| left |" in text
    assert "few \\| boxes" in text
    assert "one box found or missed moves recall by 0.014" in text
    assert "cpu: Example 9000" in text


def test_console_table_fits_80_characters(tmp_path: Path) -> None:
    runs = [make_record(depth, seed) for depth in ("none", *"123456") for seed in (0, 1)]
    table = comparison_table(load_records([write_runs(tmp_path, *runs)]).records, main_level=0.4)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert "freeze=none" in text
    assert "freeze=6" in text
    assert "mAP level: 0.4 (as given)" in text
    assert "unchanged" in text
    assert "…" not in text


def test_the_console_says_once_that_nothing_has_learned_and_lists_what_is_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = {"epoch": 0, "step": 5, "map": 0.0, "map_50": 0.0}
    ends = {"val": [0.0, 0.0], "test_map_50": 0.0, "best": best}
    nothing = [make_record(f, **ends) for f in ("none", "4")]
    stopped = make_record("8", status="interrupted")
    comparison = compared(tmp_path, *nothing, stopped)
    show(comparison, advise(comparison, None, None))
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("Nothing has learned") == 1
    assert "not counted: freeze=8-seed=0: interrupted" in shown
