"""A classification has what a detection has: caches, a pilot, precision, loggers, a report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.classify.helpers_classify import tiny, write_set
from tlx.report import load_records
from tlx.study.pilot import start
from tlx.training.check import check_run
from tlx.training.run import run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("folders") / "set", {"train": 6, "val": 2, "test": 2})


def losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]


def test_cached_activations_give_the_losses_of_computed_ones(folders: Path, tmp_path: Path) -> None:
    """f32 keeps them whole, and the views that are cached are those that would be drawn."""
    common = ["freeze=8", "trainer.epochs=4", "cache.views=2", "cache.dtype=f32"]
    records = [
        run(tiny(folders, tmp_path, *common, f"cache={mode}"), tmp_path / mode)
        for mode in ("off", "memory")
    ]
    assert [r["engine"]["caches"][0]["used"] for r in records] == [False, True]
    off, memory = (losses(tmp_path / mode) for mode in ("off", "memory"))
    assert memory == pytest.approx(off, rel=1e-5)
    assert records[0]["test"]["confusion"] == records[1]["test"]["confusion"]


def test_other_views_are_other_activations(folders: Path, tmp_path: Path) -> None:
    common = ["freeze=8", "trainer.epochs=2", "cache=disk", "cache.views=1"]
    for augment in ("crop", "off"):
        cfg = tiny(folders, tmp_path, *common, f"data.augment={augment}")
        assert run(cfg, tmp_path / augment)["status"] == "finished"
    assert len(list((tmp_path / "cache" / "activations").iterdir())) == 2
    assert losses(tmp_path / "crop") != losses(tmp_path / "off")


def test_a_pilot_chooses_the_depth(folders: Path, tmp_path: Path) -> None:
    cfg = tiny(folders, tmp_path, "policy=auto", "policy.depths=[none,all]", "policy.epochs=1",
               "trainer.epochs=2")  # fmt: skip
    record = start(cfg, tmp_path / "run")
    assert record["status"] == "finished"
    assert record["freeze"] in ("none", "all")
    assert record["pilot"]["rungs"][0]["scores"].keys() == {"none", "all"}
    assert "mean accuracy of the classes" in record["pilot"]["words"]


def test_its_records_are_compared(folders: Path, tmp_path: Path) -> None:
    for freeze in ("none", "all"):
        run(tiny(folders, tmp_path, f"freeze={freeze}"), tmp_path / "runs" / freeze)
    loaded = load_records([tmp_path / "runs"])
    assert len(loaded.records) == 2
    assert not loaded.warnings
    stored = json.loads((tmp_path / "runs" / "all" / "record.json").read_text())
    assert stored["task"] == "classification"
    assert stored["test"]["macro_f1"] is not None


def test_what_is_not_for_it_is_refused(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"data\.augment=.*is none of"):
        check_run(tiny(folders, tmp_path, "data.augment=nonsense"))
