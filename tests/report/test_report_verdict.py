"""What a report concludes: no more than the seeds support."""

from __future__ import annotations

from pathlib import Path

from tests.report.helpers_report import make_record, write_runs
from tlx.report import make_report


def test_negative_transfer_is_named(tmp_path: Path) -> None:
    scratch = make_record(weights={"source": "scratch", "sha256": None}, test_map_50=0.8)
    text = make_report(
        [write_runs(tmp_path / "runs", scratch, make_record())], tmp_path / "out"
    ).read_text()
    assert "Negative transfer (below scratch) is seen but not shown." in text
