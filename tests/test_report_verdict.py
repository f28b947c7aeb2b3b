"""What a report concludes: no more than the seeds support."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers_report import make_record, write_runs

from tlx.report import make_report
from tlx.report.spread import chance_apart, spread
from tlx.report.verdict import judge


def test_verdict_grows_no_stronger_than_the_seeds() -> None:
    def said(one: list[float], other: list[float]) -> str:
        first, second = spread(one), spread(other)
        assert first is not None
        assert second is not None
        return judge(first, second, lambda value: f"{value:.2f}")

    assert "no difference is established" in said([0.7], [0.5])
    assert "no difference is shown" in said([0.6, 0.7], [0.65, 0.5])
    assert "1 of 3 cases" in said([0.6, 0.7], [0.4, 0.5])
    assert "1 of 10 cases" in said([0.6, 0.7, 0.8], [0.4, 0.5, 0.3])
    assert "a hint, not proof" in said([0.6, 0.7, 0.8], [0.4, 0.5, 0.3])
    assert "supports a difference" in said([0.6, 0.7, 0.8, 0.9], [0.4, 0.5, 0.3, 0.2])
    four = spread([0.1] * 4)
    assert four is not None
    assert chance_apart(four, four) == pytest.approx(2 / 70)


def test_negative_transfer_is_named(tmp_path: Path) -> None:
    scratch = make_record(weights={"source": "scratch", "sha256": None}, test_map_50=0.8)
    text = make_report(
        [write_runs(tmp_path / "runs", scratch, make_record())], tmp_path / "out"
    ).read_text()
    assert "Below scratch is negative transfer." in text
