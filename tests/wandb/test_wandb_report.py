"""Reports from W&B and to W&B; how files of several processes become one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tlx.common.errors import DataError
from tlx.report.from_wandb import fetch, to_record
from tlx.report.to_wandb import flat_table, mirror_report
from tlx.wandb.offline import inspect, read_offline
from tlx.wandb.online import read_online
from tlx.wandb.runs import MirroredRun, merge, split_media
from tlx.wandb.service import finish_run, open_run


def part(*rows: tuple[int, float], summary: dict | None = None, images: int = 0) -> MirroredRun:
    found = MirroredRun(id="a", summary=summary or {}, images=images)
    for step, loss in rows:
        found.add_history({"step": step, "seconds": 1, "loss": loss, "_step": 7})
    return found


def test_the_newest_process_counts_and_nothing_is_lost_or_double() -> None:
    merged = merge([
        part((1, 0.1), (2, 0.2), (3, 0.3), summary={"status": "interrupted"}),
        part((1, 0.1), (2, 0.25), images=2),
    ])  # fmt: skip
    assert [(row["step"], row["loss"]) for row in merged.rows] == [(1, 0.1), (2, 0.25), (3, 0.3)]
    assert merged.summary == {"status": "interrupted"}
    assert merged.images == 2
    newest = merge([merged, part((1, 0.1), summary={"status": "finished"})])
    assert newest.summary == {"status": "finished"}


def test_a_validation_is_no_training_step() -> None:
    run = MirroredRun(id="a")
    run.add_history({"step": 3, "seconds": 1.0, "loss": 0.5})
    run.add_history({"step": 3, "seconds": 2.0, "val_map": 0.25})
    assert merge([run, run]).rows == run.rows


def test_what_wandb_does_not_know_is_null() -> None:
    """A run that was killed before it said anything but its configuration."""
    config = {
        "freeze": 8, "seed": 3, "name": "study", "backbone": {"name": "b", "weights": "auto"},
        "policy": {"name": "fixed"}, "data": {"name": "voc"}, "detector": {"input_size": 96},
        "trainer": {"epochs": 2, "batch_size": 6, "precision": "32-true"}, "runs_dir": "runs",
        "cache_dir": "c", "resume": None, "logger": {}, "cache": {},
    }  # fmt: skip
    record = to_record(MirroredRun(id="a", name="freeze=8-seed=3", config=config))
    known = {key for key, value in record.items() if value is not None}
    assert known == {
        "version", "status", "name", "backbone", "freeze", "policy", "data", "seed", "epochs",
        "batch_size", "input_size", "config", "loss", "map", "map_50", "wandb",
    }  # fmt: skip
    assert record["status"] == "running"
    assert (record["freeze"], record["seed"], record["loss"]) == ("8", 3, [])


def offline(folder: Path, config: dict, *, name: str, job_type: str = "train") -> None:
    """A run of someone else's in W&B."""
    run, _ = open_run(
        "offline", upload_s=10, dir=str(folder), name=name, job_type=job_type, project="p",
        config=config,
    )  # fmt: skip
    finish_run(run, 0, 10)


def test_runs_of_other_programs_are_left_out(tmp_path: Path) -> None:
    offline(tmp_path / "a", {"lr": 0.1}, name="../../outside")
    with pytest.raises(DataError, match=r"holds no training run of tlx.*not one of tlx"):
        fetch(str(tmp_path), tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no run-\*\.wandb"):
        fetch(str(tmp_path / "empty"), tmp_path / "out")


def test_a_damaged_file_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "run-x.wandb").write_bytes(b"not W&B's")
    runs, [warning] = read_offline(tmp_path)
    assert runs == []
    assert "run-x.wandb" in warning


def test_an_address_has_two_or_three_parts() -> None:
    with pytest.raises(DataError, match="ENTITY/PROJECT/GROUP"):
        read_online("one/two/three/four")


def test_a_report_in_wandb_holds_figures_table_page_and_verdict(tmp_path: Path) -> None:
    report, run_dir = tmp_path / "report", tmp_path / "run"
    (report / "figures").mkdir(parents=True)
    run_dir.mkdir()
    (run_dir / "record.json").write_text("{}")
    (run_dir / "config.yaml").write_text(
        "name: study\nlogger: {project: detectors, mode: offline}\n"
    )
    from PIL import Image

    Image.new("RGB", (8, 8)).save(report / "figures" / "loss.png")
    (report / "index.html").write_text("<!doctype html><p>hello</p>")
    rows = [{"arm": "freeze=8", "map": {"mean": 0.5, "low": None}}, {"arm": "none", "seeds": [0]}]
    (report / "report.json").write_text(json.dumps({"verdict": ["better"], "rows": rows}))
    place = Path(mirror_report(report, [tmp_path]))
    [file] = place.glob("run-*.wandb")
    [read], _ = read_offline(file)
    assert (read.project, read.group, read.job_type) == ("detectors", "study", "report")
    assert read.summary == {"verdict": ["better"]}
    columns, data = flat_table(rows)
    assert columns == ["arm", "map.mean", "map.low", "seeds"]
    assert read.tables["comparison"] == {"columns": columns, "data": data}
    assert data == [["freeze=8", 0.5, None, None], ["none", None, None, "[0]"]]
    rows_of = [record["item"] for kind, record in inspect(file)[0] if kind == "history"]
    logged = {
        name: media["_type"] for row in rows_of for name, media in split_media(row)[1].items()
    }
    assert logged == {
        "figures/loss": "image-file", "comparison": "table-file", "page": "html-file",
    }  # fmt: skip
    [artifact] = [r for kind, r in inspect(file)[0] if kind == "artifact" and r["type"] == "report"]
    paths = {entry["path"] for entry in artifact["manifest"]["contents"]}
    assert paths == {"figures/loss.png", "index.html", "report.json"}
