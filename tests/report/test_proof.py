"""The word on frozen tensors is that of every phase, also where the first freezes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.helpers_report import compared, make_record, rows_of

NOTHING = {"blocks": [], "parameters": 0, "hash_before": None, "hash_after": None}


def phase(before: str | None, after: str | None) -> dict[str, Any]:
    return {"first_epoch": 1, "frozen_blocks": 2, "hash_before": before, "hash_after": after}


@pytest.mark.parametrize(
    ("later", "word"),
    [
        ([], "–"),
        ([phase("aa", "aa")], "unchanged"),
        ([phase("aa", "aa"), phase("bb", "bc")], "CHANGED"),
        ([phase("aa", "aa"), phase("bb", None)], "no proof"),
        ([phase("aa", "aa"), phase(None, None)], "unchanged"),  # stopped before it began
        (["damaged", phase("aa", "aa")], "unchanged"),
    ],
)
def test_later_phases_count(later: list[Any], word: str, tmp_path: Path) -> None:
    record = make_record("all", policy="freezeout", frozen=NOTHING, phases=[NOTHING, *later])
    found = rows_of(compared(tmp_path, make_record("none"), record))
    assert {row.frozen_proof for label, row in found.items() if "freezeout" in label} == {word}
