"""Whether a run has learned anything, by its record."""

from __future__ import annotations

from typing import Any

import pytest

from tlx.records.learned import learned, nothing_learned


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"test": {"map_50": 0.0}, "best": {"map_50": 0.0}}, False),
        ({"test": {"map_50": 0.0}, "best": {"map_50": 0.3}}, True),
        ({"test": {"map_50": 0.3}, "best": None}, True),
        ({"test": None, "best": {"map_50": 0.002}}, False),
        ({"test": None, "best": None}, None),
        ({"test": {"map_50": float("nan")}}, None),
        ({"test": [], "best": {"map_50": True}}, None),
    ],
)
def test_a_run_has_learned_where_a_figure_leaves_the_floor(
    record: dict[str, Any], expected: bool | None
) -> None:
    assert learned(record) is expected
    assert (nothing_learned(record) is not None) is (expected is False)


def test_the_sentence_gives_the_figures_and_the_next_step() -> None:
    words = nothing_learned({"test": {"map_50": 0.0}, "best": {"map_50": 0.002}})
    assert words is not None
    assert words.startswith("Nothing has learned: mAP@.5 is 0.0000 on test, 0.0020 in the best")
    assert "trainer.epochs" in words
