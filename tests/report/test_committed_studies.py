"""The reports of the committed studies are those that their records make."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tlx.report.__main__ import main
from tlx.report.keep import KEPT

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
STUDIES = sorted(
    path.parent.relative_to(EXPERIMENTS).as_posix()
    for path in EXPERIMENTS.glob("**/report.json")
    if (path.parent / KEPT).is_dir()
)


@pytest.mark.parametrize("study", STUDIES)
def test_the_records_make_the_committed_report(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = EXPERIMENTS / study
    shutil.copytree(committed / KEPT, tmp_path / KEPT)
    monkeypatch.chdir(tmp_path)
    assert main([KEPT, "output=."]) == 0
    found, stated = (
        json.loads((folder / "report.json").read_text()) for folder in (tmp_path, committed)
    )
    assert list(differing(found, stated)) == []
    assert (tmp_path / "report.md").read_text() == (committed / "report.md").read_text()


def differing(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two values of JSON differ, numbers by more than the last digits."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differing(one[key], other[key], f"{place}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for i, pair in pairs for found in differing(*pair, f"{place}[{i}]")]
    if isinstance(one, float) and isinstance(other, float):
        return [] if math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) else [place]
    return [] if one == other else [place]
