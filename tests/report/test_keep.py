"""`keep=true`: copies of a study's runs make the same report, and tell nothing of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.helpers_illustrated import write_study
from tlx.records.digest import is_altered
from tlx.report.__main__ import main
from tlx.report.keep import keep_runs, portable


def test_the_copies_make_the_same_report_and_tell_no_path(tmp_path: Path) -> None:
    runs = write_study(tmp_path / "runs")
    kept, again = tmp_path / "kept", tmp_path / "kept" / "again"
    assert main([str(runs), f"output={tmp_path / 'plain'}"]) == 0
    assert main([str(runs), "keep=true", f"output={kept}"]) == 0
    assert main([str(kept / "runs"), f"output={again}"]) == 0
    plain, first, second = (
        json.loads((folder / "report.json").read_text())
        for folder in (tmp_path / "plain", kept, again)
    )
    assert first == second
    # Pictures are not copied, so that the copies' report has no gallery of them.
    for key in ("rows", "estimates", "differences", "recommendation", "verdict"):
        assert first[key] == plain[key]
    copies = {path: path.read_text() for path in (kept / "runs").rglob("*") if path.is_file()}
    assert {path.suffix for path in copies} <= {".json", ".yaml", ".csv", ".txt"}
    assert not [path for path, text in copies.items() if str(tmp_path) in text]
    records = [json.loads(text) for path, text in copies.items() if path.name == "record.json"]
    assert records
    assert not any(map(is_altered, records))
    assert keep_runs([runs], kept) == []  # once more, over the first
    assert {p: p.read_text() for p in (kept / "runs").rglob("*") if p.is_file()} == copies


def test_runs_are_never_written_over_by_copies(tmp_path: Path) -> None:
    runs = write_study(tmp_path / "runs")
    (next(runs.rglob("record.json")).parent / ".lock").touch()
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    assert main([str(runs), "keep=true", f"output={tmp_path}"]) == 2
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("/data/my weights/mobilenet v1.pth", "mobilenet v1.pth"),
        (r"C:\Users\me\guns", "guns"),
        ("the file /home/me/w/a.pth is damaged: fetch it", "the file a.pth is damaged: fetch it"),
        ("https://host/a/b/c.pth", "https://host/a/b/c.pth"),
        ("gs://bucket/a/b", "gs://bucket/a/b"),
        ("0.5/0.75/0.95 of the boxes, and/or none", "0.5/0.75/0.95 of the boxes, and/or none"),
        ("images/train/1.jpg", "images/train/1.jpg"),
        ("~/.cache/tlx", "~/.cache/tlx"),
        ("[/a/b/c.jpg, '/a/b d/e.jpg']", "[c.jpg, 'e.jpg']"),
    ],
)
def test_paths_are_cut(text: str, short: str) -> None:
    assert portable({"a": [text, 1, None]}) == {"a": [short, 1, None]}
