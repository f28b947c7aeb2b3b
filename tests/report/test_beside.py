"""The published figures beside ours: the table and the drawing are those of the records."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_the_table_is_that_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    beside = runpy.run_path(str(EXPERIMENTS / "beside.py"))
    readme = EXPERIMENTS / "published_guns" / "README.md"
    assert "<!-- beside -->" in readme.read_text()
    assert beside["filled"](readme) == readme.read_text(), "run: python experiments/beside.py"
    places = beside["draw"]().axes
    assert len(places) == 8
    theirs, ours = places[2], places[3]
    assert len(ours.get_lines()) == len(beside["POLICIES"])
    none = theirs.get_lines()[1]
    assert list(none.get_ydata()) == [0.987, 0.838]
    assert list(none.get_xdata()) == pytest.approx([1805, 7220])
