"""The records that a report reads, and those that it cannot use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.report.helpers_report import compared, make_record, study, write_runs
from tests.study.helpers_trained import trained
from tlx.records.digest import sealed
from tlx.report import load_records
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.cautions import cautions
from tlx.report.comparison.compare import compare
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.records import Record
from tlx.report.factors import analyse
from tlx.report.markdown import report_text


def test_records_that_cannot_be_used_are_warned(tmp_path: Path) -> None:
    bad = {"version": 2, "broken": "{", "list": [1], "status": {"version": 1, "status": "odd"}}
    bad["version"] = make_record() | {"version": 2}
    bad["freeze"] = make_record() | {"freeze": None}
    bad["figure"] = make_record(test_map_50=1.7)
    for name, content in bad.items():
        (tmp_path / name).mkdir()
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name / "record.json").write_text(text)
    loaded = load_records([tmp_path, tmp_path / "absent", write_runs(tmp_path / "ok", study()[0])])
    assert len(loaded.records) == 1, "a run under two of the paths is read once"
    text = "\n".join(loaded.warnings)
    assert len(loaded.warnings) == len(bad) + 1
    assert "record version 2 is unknown" in text
    assert "test map_50 is 1.7: mAP@.5 lies in 0..1" in text
    assert "absent: no such file or folder" in text
    for name in bad:
        assert str(tmp_path / name / "record.json") in text


@pytest.mark.parametrize(
    ("key", "value"), [("map_50", 1e308), ("map", -1e308), ("per_class", 0.5), ("map_50", "high")]
)
def test_figures_that_are_none_are_left_out(tmp_path: Path, key: str, value: object) -> None:
    """A record that was edited by hand: figures that no sum can hold, other things than figures."""
    broken = make_record("4", 0)
    broken["test"][key] = value
    found = compared(tmp_path, broken, make_record("4", 1), make_record("none", 0))
    (row,) = (row for row in found.rows if row.arm.label == "freeze=4")
    assert row.test_main is not None
    assert row.test_main.mean == 0.6
    analysis = analyse(found)
    assert report_text(found, recommend(found), {}, tmp_path, [], analysis)
    json.dumps([row.as_dict() for row in found.rows], allow_nan=False)


@pytest.mark.parametrize(
    ("resumes", "resumed", "told"),
    [(0, None, False), (2, None, True), (2, [{"step": 3}], True), (1, [{"step": 3}], False)],
)
def test_a_resume_of_which_no_note_was_taken_is_a_caution(
    tmp_path: Path, resumes: int, resumed: list[dict[str, int]] | None, told: bool
) -> None:
    record = Record(tmp_path, {"name": "old", "resumes": resumes, "resumed": resumed})
    lines = cautions([Arm("freeze=4", (record,))])
    assert any("went on from a checkpoint" in line for line in lines) is told


def test_a_copy_of_a_run_is_no_second_run(tmp_path: Path) -> None:
    """Neither a copied folder nor what a logger keeps of it; and no run was beside itself."""
    run = tmp_path / "study" / "freeze=8"
    shutil.copytree(trained() / "finished", run)
    shutil.copytree(run, tmp_path / "backup" / "freeze=8")
    artifact = tmp_path / "mlflow" / "1a2b" / "artifacts"
    artifact.mkdir(parents=True)
    early = sealed(json.loads((run / "record.json").read_text()) | {"time": None})
    (artifact / "record.json").write_text(json.dumps(early))
    loaded = load_records([tmp_path])
    assert len(loaded.records) == 1
    (told,) = loaded.warnings
    assert f"{run} is a copy of" in told or f"is a copy of {run}; left out" in told
    said = compare(loaded.records).warnings
    assert not [line for line in said if "at the same time" in line]


def test_no_tag_of_a_name_is_in_the_text(tmp_path: Path) -> None:
    """Markdown is shown by programs that take tags for tags."""
    tag = "<img src=x onerror=alert(1)>"
    found = compared(
        tmp_path,
        *(make_record("none", seed, data=tag, backbone=tag, name=tag) for seed in (0, 1)),
        make_record(tag, classes=[tag], data=tag),
    )
    text = report_text(found, recommend(found), {}, tmp_path, [], analyse(found))
    assert "<img" not in text
    assert "&lt;img src=x" in text
