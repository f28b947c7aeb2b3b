"""An offline run of W&B, read back: every scalar, key, row and picture count is the record's."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.conftest import Compose, tiny_overrides
from tlx.config.typed import plain
from tlx.records.digest import is_altered
from tlx.records.predictions import SHOWN, read_predictions
from tlx.report.__main__ import main
from tlx.report.from_wandb import fetch, to_record
from tlx.training.run import run
from tlx.wandb.logger import TIME_PREFIX
from tlx.wandb.media import CLASSES, TABLE_COLUMNS, class_rows
from tlx.wandb.offline import inspect, read_offline
from tlx.wandb.runs import MirroredRun, split_media

PICTURES = 4  # of 6 in the test split


@dataclass
class Mirrored:
    """A finished run with its mirror."""

    folder: Path
    config: dict[str, Any]
    record: dict[str, Any]
    read: MirroredRun
    raw: list[tuple[str, dict[str, Any]]]  # W&B's records as they are

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [payload for found, payload in self.raw if found == kind]


@pytest.fixture(scope="module")
def mirrored(
    tiny_set: Path, compose_config: Compose, tmp_path_factory: pytest.TempPathFactory
) -> Mirrored:
    folder = tmp_path_factory.mktemp("mirrored") / "study" / "run"
    overrides = [o for o in tiny_overrides(tiny_set, folder.parent) if o != "logger=none"]
    cfg = compose_config(
        *overrides, "freeze=8", "name=study", "logger=wandb", "logger.mode=offline",
        f"logger.predictions={PICTURES}",
    )  # fmt: skip
    (folder / "export").mkdir(parents=True)
    (folder / "export" / "detector.onnx").write_bytes(b"onnx")
    run(cfg, folder)
    record = json.loads((folder / "record.json").read_text())
    assert record["wandb"]["fault"] is None
    runs, warnings = read_offline(folder)
    assert len(runs) == 1
    assert warnings == []
    file = next(folder.glob("wandb/offline-run-*/run-*.wandb"))
    config = plain(cfg)
    return Mirrored(folder, config, record, runs[0], inspect(file)[0])  # type: ignore[arg-type]


def csv_rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v != ""} for row in csv.DictReader(file)]


def test_every_scalar(mirrored: Mirrored) -> None:
    rows = [
        {k: v for k, v in row.items() if not k.startswith(TIME_PREFIX)}
        for row in mirrored.read.rows
    ]
    assert rows == csv_rows(mirrored.folder)
    assert len(rows) == 6 + 2  # steps and validations
    for row in mirrored.read.rows:
        again = {k: row[k] for k in row if k.startswith(TIME_PREFIX)}
        assert again == {
            TIME_PREFIX + k: row[k] for k in ("loss", "val_map", "val_map_50") if k in row
        }


def test_every_config_key(mirrored: Mirrored) -> None:
    assert mirrored.read.config == mirrored.config == mirrored.record["config"]


LOCAL = (
    "loss",
    "map",
    "map_50",
    "wandb",
    "loggers",
    "config",
    "sha256",
)  # of the record and not in W&B's summary


def test_the_summary_is_the_record(mirrored: Mirrored) -> None:
    expected = {k: v for k, v in mirrored.record.items() if k not in LOCAL}
    assert mirrored.read.summary == expected
    assert expected["frozen"]["hash_before"] == expected["frozen"]["hash_after"] is not None


def test_pictures_with_both_box_sets(mirrored: Mirrored) -> None:
    assert mirrored.read.images == PICTURES
    assert len(list((mirrored.folder / "predictions").glob("*.png"))) == PICTURES
    logged = [split_media(row["item"])[1] for row in mirrored.of_type("history")]
    [shown] = [media["predictions"] for media in logged if "predictions" in media]
    files = next(mirrored.folder.glob("wandb/offline-run-*/files"))
    predictions = read_predictions(mirrored.folder)
    by_name = {image.image: image for image in predictions.images}
    assert len(shown["captions"]) == PICTURES
    for caption, sets in zip(shown["captions"], shown["all_boxes"], strict=True):
        image = by_name[caption]
        truth, found = (
            json.loads((files / sets[name]["path"]).read_text()) for name in ("truth", "found")
        )
        boxes = [
            [
                box["position"]["minX"] * image.width,
                box["position"]["minY"] * image.height,
                box["position"]["maxX"] * image.width,
                box["position"]["maxY"] * image.height,
            ]
            for box in truth["box_data"]
        ]
        assert boxes == [pytest.approx(box) for box in image.truth.boxes.tolist()]
        assert [box["class_id"] for box in truth["box_data"]] == image.truth.labels.tolist()
        scores = [score for score in image.found.scores.tolist() if score >= SHOWN]
        assert [box["scores"]["score"] for box in found["box_data"]] == scores
        assert truth["class_labels"] == {"1": "blue", "2": "red"}


def test_the_table_of_classes(mirrored: Mirrored) -> None:
    assert mirrored.read.tables[CLASSES]["columns"] == list(TABLE_COLUMNS)
    rows = mirrored.read.tables[CLASSES]["data"]
    assert rows == class_rows(mirrored.record["test"])
    assert {row[0]: row[2] for row in rows} == {
        name: figures["ap"] for name, figures in mirrored.record["test"]["per_class"].items()
    }


def test_axes_are_step_and_seconds(mirrored: Mirrored) -> None:
    axes = {m["name"]: m.get("step_metric") for m in mirrored.of_type("metric") if "name" in m}
    assert axes["loss"] == axes["val_map_50"] == "step"
    assert axes[f"{TIME_PREFIX}loss"] == axes[f"{TIME_PREFIX}val_map_50"] == "seconds"


def test_checkpoint_and_onnx_are_one_artifact(mirrored: Mirrored) -> None:
    [model] = [a for a in mirrored.of_type("artifact") if a["type"] == "model"]
    assert model["name"].startswith("study-freeze-8-seed-0-")
    assert set(model["aliases"]) == {"latest", "best"}
    files = {entry["path"]: entry["local_path"] for entry in model["manifest"]["contents"]}
    assert set(files) == {"best.ckpt", "detector.onnx"}
    # Not a copy: an offline run does not double its checkpoints.
    assert Path(files["best.ckpt"]) == mirrored.folder / "checkpoints" / "best.ckpt"
    [table] = [a for a in mirrored.of_type("artifact") if a["name"].endswith(CLASSES)]
    for entry in table["manifest"]["contents"]:
        assert Path(entry["local_path"]).is_relative_to(mirrored.folder / "wandb")


def test_group_job_type_and_tags(mirrored: Mirrored) -> None:
    read = mirrored.read
    assert (read.group, read.job_type, read.name) == ("study", "train", mirrored.record["name"])
    assert set(read.tags) == {"efficientnet_lite0", "voc", "freeze=8", "fixed"}
    assert read.exit_code == 0


def test_a_record_comes_back_whole(mirrored: Mirrored, tmp_path: Path) -> None:
    record = to_record(mirrored.read)
    about = record.pop("wandb")
    assert about["id"] == mirrored.record["wandb"]["id"]
    here = ("wandb", "sha256")  # each place has its own
    assert record == {k: v for k, v in mirrored.record.items() if k not in here}

    runs, warnings = fetch(str(mirrored.folder.parent), tmp_path / "out")
    assert warnings == []
    [written] = runs.glob("study/*")
    fetched = json.loads((written / "record.json").read_text())
    assert fetched["loss"] == mirrored.record["loss"]
    assert not is_altered(fetched)
    assert fetched["sha256"] != mirrored.record["sha256"]
    assert csv_rows(written) == csv_rows(mirrored.folder)
    assert OmegaConf.to_container(OmegaConf.load(written / "config.yaml")) == mirrored.config
    about = json.loads((written / "wandb.json").read_text())
    assert about["images"] == PICTURES
    assert about["tables"] == mirrored.read.tables


def test_the_report_is_the_same(mirrored: Mirrored, tmp_path: Path) -> None:
    assert main(["--from-wandb", str(mirrored.folder), "--output", str(tmp_path / "wandb")]) == 0
    assert main([str(mirrored.folder), "--output", str(tmp_path / "record")]) == 0
    one, two = (
        json.loads((tmp_path / name / "report.json").read_text()) for name in ("wandb", "record")
    )
    # The predictions of the test pictures stay in the run's folder.
    assert one.pop("failures")["counts"] == []
    assert two.pop("failures")["counts"][0]["objects"] > 0
    assert one == two
    assert len(one["rows"]) == 1


def test_system_metrics_are_there(mirrored: Mirrored) -> None:
    assert all(stats["item"]["memory_percent"] > 0 for stats in mirrored.of_type("stats"))
    assert mirrored.of_type("stats")
