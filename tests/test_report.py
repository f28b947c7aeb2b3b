"""The report against figures that are worked out here by hand or by other means."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from studies import compared, make_record, rows_of, write_runs

from tlx.errors import ConfigError, DataError
from tlx.report import comparison_table, load_records, make_report
from tlx.report.__main__ import main
from tlx.report.levels import Reach
from tlx.report.table import columns


def seconds_of(reach: Reach | None) -> float:
    assert reach is not None
    assert reach.seconds is not None
    return reach.seconds.mean


def study() -> list[dict[str, Any]]:
    """Scratch, none, 4 (two seeds), 8, all, and a failed run."""
    changed = make_record("8", step=0.16)["frozen"] | {"hash_after": "bb"}
    failure = {"type": "MemoryError", "message": "no [red] room | left"}
    return [
        make_record("all", step=0.1, slope=0.2, val=[0.3, 0.5, 0.4, 0.5], test_map_50=0.5),
        make_record("8", step=0.16, test_map_50=0.62, frozen=changed),
        make_record("4", 0, step=0.18, test_map_50=0.61),
        make_record("4", 1, step=0.14, test_map_50=0.67),
        make_record("none"),
        make_record(name="scratch", weights={"source": "scratch", "sha256": None}, test_map_50=0.3),
        make_record("4", 2, status="failed", error=failure, test=None, name="broken"),
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    return make_report([write_runs(root / "runs", *study())], root / "out" / "report")


def test_arms_are_ordered_and_seeds_grouped(tmp_path: Path) -> None:
    extra = [make_record("heads"), make_record("12"), make_record("8", policy="two_phase")]
    rows = rows_of(compared(tmp_path, *study(), *extra))
    assert list(rows) == [
        "scratch",
        "freeze=none",
        "freeze=4",
        "freeze=8",
        "freeze=8 two_phase",
        "freeze=12",
        "freeze=all",
        "freeze=heads",
    ]
    four = rows["freeze=4"]
    assert len(four.arm.records) == 2
    assert four.test_map_50 is not None
    assert four.test_map_50.as_dict() == pytest.approx(
        {"mean": 0.64, "min": 0.61, "max": 0.67, "n": 2}
    )


def test_speedup_bound_share_and_proof(tmp_path: Path) -> None:
    rows = rows_of(compared(tmp_path, *study()))
    four = rows["freeze=4"]
    assert four.speedup is not None
    assert four.bound_speedup is not None
    assert four.speedup.mean == pytest.approx(0.2 / ((0.18 + 0.14) / 2))
    assert (four.speedup.low, four.speedup.high) == pytest.approx((0.2 / 0.18, 0.2 / 0.14))
    assert four.bound_speedup.mean == pytest.approx(1 / 0.8)
    assert four.trainable_share == pytest.approx(0.9)
    assert four.fit_min is not None
    assert four.fit_min.mean == pytest.approx(1.5)
    proofs = {label: row.frozen_proof for label, row in rows.items()}
    assert proofs["freeze=8"] == "CHANGED"
    assert (proofs["freeze=4"], proofs["freeze=none"]) == ("unchanged", "–")


def test_without_freeze_none_there_is_no_speedup(tmp_path: Path) -> None:
    scratch = make_record(weights={"source": "scratch", "sha256": None})
    rows = rows_of(compared(tmp_path, scratch, make_record("4")))
    assert [row.speedup for row in rows.values()] == [None, None]


def test_default_levels_are_reached_by_every_arm(tmp_path: Path) -> None:
    comparison = compared(tmp_path, *study())
    loss, best = comparison.levels.loss, comparison.levels.map
    assert loss is not None
    assert best is not None
    # freeze=all ends highest: steps 16 to 20 at 10 - 0.2 * step
    assert loss.value == pytest.approx(sum(10 - 0.2 * step for step in range(16, 21)) / 5)
    assert best.value == 0.5
    for row in comparison.rows:
        assert row.time_to_loss is not None
        assert row.time_to_loss.missed == 0
        assert row.time_to_map is not None
        assert row.time_to_map.missed == 0
    rows = rows_of(comparison)
    # The smoothed loss of none at step s is 10 - 0.25 * (s - 2), at most 6.4 from step 17 on.
    assert seconds_of(rows["freeze=none"].time_to_loss) == pytest.approx(17 * 0.2)
    assert seconds_of(rows["freeze=all"].time_to_loss) == pytest.approx(20 * 0.1)
    # mAP 0.5 is passed at the fourth validation, the third being null; by `all` at the second
    assert seconds_of(rows["freeze=none"].time_to_map) == pytest.approx(20 * 0.2)
    assert seconds_of(rows["freeze=all"].time_to_map) == pytest.approx(10 * 0.1)


def test_given_level_can_be_missed(tmp_path: Path) -> None:
    records = [make_record("4", 0, val=[0.9]), make_record("4", 1), make_record("8")]
    comparison = compared(tmp_path, *records, map_level=0.8)
    four, eight = comparison.rows
    assert four.time_to_map is not None
    assert four.time_to_map.missed == 1
    column = next(c for c in columns(comparison.levels) if c.heading.startswith("s to mAP"))
    assert column.cell(four).endswith("1 of 2 runs")
    assert column.cell(eight) == "not reached"


@pytest.mark.parametrize("levels", [{"map_level": 1.5}, {"loss_level": float("nan")}])
def test_impossible_level_is_refused(tmp_path: Path, levels: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="level must be"):
        compared(tmp_path, make_record(), **levels)


def test_level_that_tells_nothing_is_warned(tmp_path: Path) -> None:
    low = make_record(weights={"source": "scratch", "sha256": None}, val=[0.0, 0.01])
    warnings = compared(tmp_path, low, make_record(), make_record("4")).warnings
    assert any("set by scratch" in line and "--map-level" in line for line in warnings)


def test_unlike_runs_are_named(tmp_path: Path) -> None:
    other = {"cpu": "Other 1", "cores": 2, "gpu": None, "torch": "2.9.0"}
    records = [make_record(), make_record("4", epochs=9, environment=other)]
    comparison = compared(tmp_path, *records)
    assert comparison.differs == ["epochs", "machine"]
    epochs, machine = comparison.warnings[:2]
    assert "4 (freeze=none); 9 (freeze=4)" in epochs
    assert "Example 9000" in machine
    assert "Other 1" in machine
    assert comparison.rows[1].speedup is None, "a speed-up across machines shows the machines"


def test_labels_name_what_differs(tmp_path: Path) -> None:
    records = [make_record("4"), make_record("4", backbone="other"), make_record("8", epochs=9)]
    records.append(make_record("8"))
    labels = [row.arm.label for row in compared(tmp_path, *records).rows]
    assert labels[:2] == ["freeze=4 mobilenet_v1", "freeze=4 other"]
    assert labels[2:] == ["freeze=8 mobilenet_v1 epochs=4", "freeze=8 mobilenet_v1 epochs=9"]


def test_repeated_seed_is_not_a_second_sample(tmp_path: Path) -> None:
    again = make_record("4", test_map_50=0.9, finished="2025-01-02T00:00:00")
    comparison = compared(tmp_path, again, make_record("4"))
    (row,) = comparison.rows
    assert row.test_map_50 is not None
    assert (row.test_map_50.mean, row.test_map_50.n) == (0.9, 1)
    assert any("run twice" in line for line in comparison.warnings)


def test_records_that_cannot_be_used_are_warned(tmp_path: Path) -> None:
    bad = {"version": 2, "broken": "{", "list": [1], "status": {"version": 1, "status": "odd"}}
    bad["version"] = make_record() | {"version": 2}
    bad["freeze"] = make_record() | {"freeze": None}
    for name, content in bad.items():
        (tmp_path / name).mkdir()
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name / "record.json").write_text(text)
    loaded = load_records([tmp_path, tmp_path / "absent", write_runs(tmp_path / "ok", study()[0])])
    assert len(loaded.records) == 1, "a run under two of the paths is read once"
    text = "\n".join(loaded.warnings)
    assert len(loaded.warnings) == len(bad) + 1
    assert "record version 2 is unknown" in text
    assert "absent: no such file or folder" in text
    for name in bad:
        assert str(tmp_path / name / "record.json") in text


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
    command = [sys.executable, "-m", "tlx.report", str(tmp_path), "--map-level", "0.4"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "mAP level: 0.4 (as given)" in " ".join(done.stdout.split())
    assert "is not evidence" in done.stdout
    again = f"python -m tlx.report {tmp_path} --output {tmp_path / 'report'} --map-level 0.4"
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


def test_negative_transfer_is_named(tmp_path: Path) -> None:
    scratch = make_record(weights={"source": "scratch", "sha256": None}, test_map_50=0.8)
    text = make_report(
        [write_runs(tmp_path / "runs", scratch, make_record())], tmp_path / "out"
    ).read_text()
    assert "Negative transfer (below scratch) is seen but not shown." in text


def test_speedup_beyond_arithmetic_is_doubted(tmp_path: Path) -> None:
    comparison = compared(tmp_path, make_record(step=1.88), make_record("4", step=0.828))
    assert any("measured 2.27× against 1.25×" in line for line in comparison.warnings)


def test_console_table_fits_80_characters(tmp_path: Path) -> None:
    runs = [make_record(depth, seed) for depth in ("none", *"123456") for seed in (0, 1)]
    table = comparison_table(load_records([write_runs(tmp_path, *runs)]).records, map_level=0.4)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    text = console.export_text()
    assert "freeze=none" in text
    assert "freeze=6" in text
    assert "mAP level: 0.4 (as given)" in text
    assert "unchanged" in text
    assert "…" not in text
