"""Records carry the digest of their content, and readers say where it is another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.helpers_report import make_record
from tlx.records.digest import is_altered, sealed
from tlx.records.record import read_record, save_record
from tlx.report.comparison.records import load_records

VALUES = {"a": (1, 2), "b": {"c": 0.1, 3: None}, "d": "é", "sha256": "stale"}


def test_a_seal_holds_whatever_the_spelling() -> None:
    seal = sealed(VALUES)
    assert list(seal)[-1] == "sha256"
    assert not is_altered(seal)
    read = json.loads(json.dumps(seal, indent=3))
    assert not is_altered(dict(reversed(read.items())))
    assert is_altered({**read, "a": [1, 3]})
    assert is_altered({**read, "e": None})
    assert is_altered({**read, "sha256": None})
    assert not is_altered({"a": 1})  # of before there were seals: nothing to tell by


def test_a_record_that_was_edited_is_said_by_every_reader(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "runs" / "one"
    record = make_record()
    save_record(record, folder)
    assert "sha256" not in record
    assert read_record(folder) == record
    assert load_records([tmp_path]).warnings == []
    assert caplog.text == ""
    path = folder / "record.json"
    path.write_text(path.read_text().replace('"map_50": 0.6', '"map_50": 0.9'))
    found = read_record(folder)
    assert found is not None
    assert found["test"]["map_50"] == 0.9
    assert "not what was written: damaged, or edited by hand" in caplog.text
    loaded = load_records([tmp_path])
    assert len(loaded.records) == 1
    (warning,) = loaded.warnings
    assert str(path) in warning
    assert "damaged, or edited by hand; its figures are used as they are" in warning


def test_saving_again_seals_anew(tmp_path: Path) -> None:
    save_record(make_record(), tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    record["status"] = "failed"
    save_record(record, tmp_path)
    assert load_records([tmp_path]).warnings == []
