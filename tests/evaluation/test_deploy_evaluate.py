"""`tlx.evaluate` of exported models, as detectnet runs them, and of a device's detections."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Compose
from tests.export.helpers_deploy import CLASSES, ColourRuntime, save_tiny_checkpoint
from tests.export.helpers_export import written
from tlx.common.errors import ConfigError, DataError
from tlx.config.schema import DetectorConfig
from tlx.config.typed import plain
from tlx.data.module import DetectionData, build_data
from tlx.evaluate import EvaluateConfig, evaluate, main
from tlx.evaluation.deployed import evaluate_deployed
from tlx.evaluation.subject import read_subject

FIGURES = ("map", "map_50", "map_75", "voc07_ap50")


@pytest.fixture
def run(tmp_path: Path, tiny_config: Compose) -> Path:
    save_tiny_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt", tiny_config())
    return tmp_path / "run"


def ask(tmp_path: Path, **values: Any) -> EvaluateConfig:
    plain = {key: str(value) for key, value in values.items()}
    return EvaluateConfig(**plain, cache_dir=str(tmp_path / "cache"), device="cpu")


def test_an_export_has_the_checkpoints_figures(run: Path, tmp_path: Path) -> None:
    model = written(run, "torchscript", tmp_path / "out").path
    before = evaluate(ask(tmp_path, checkpoint=run))
    after = evaluate(ask(tmp_path, model=model))
    assert before["map_50"] > 0  # a few hits by chance, so that equality says something
    for name in FIGURES:
        assert after[name] == pytest.approx(before[name], abs=1e-4)
    assert after["boxes"] == before["boxes"] == 5
    assert set(after) == set(before)


def test_the_program_shows_the_steps_to_detectnet(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures.json"
    main([f"checkpoint={run}", "preprocess=detectnet", f"output={output}", "device=cpu",
          f"cache_dir={tmp_path / 'cache'}"])  # fmt: skip
    stored = json.loads(output.read_text())
    assert list(stored["steps"]) == ["tlx", "detectnet_input", "detectnet"]
    assert stored["preprocess"] == "detectnet"
    shown = capsys.readouterr().out
    assert "change of mAP@.5" in shown
    assert "from tlx to detectnet, classwise clustering" in shown
    assert stored["clustering"] == "classwise"
    main([f"checkpoint={run}", "preprocess=detectnet", f"output={output}", "device=cpu",
          f"cache_dir={tmp_path / 'cache'}", "clustering=interclass"])  # fmt: skip
    assert json.loads(output.read_text())["clustering"] == "interclass"
    assert "interclass clustering" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="clustering=nms is none of classwise, interclass"):
        evaluate(ask(tmp_path, checkpoint=run, preprocess="detectnet", clustering="nms"))


def subject(config: Any, tmp_path: Path) -> tuple[DetectionData, DetectorConfig]:
    dataset = build_data(config.data, tmp_path / "cache").membership.as_lists()
    stored: Any = plain(config)
    found = read_subject(stored, CLASSES, dataset, tmp_path / "cache", where="the run")
    return found.data, found.detector


def test_detectnet_loses_what_is_below_its_threshold(tmp_path: Path, tiny_config: Compose) -> None:
    config = tiny_config()
    data, cfg = subject(config, tmp_path)
    sure = evaluate_deployed(ColourRuntime(config, 0.9), data, "test", cfg, "detectnet")
    assert [row["map_50"] for row in sure["steps"].values()] == [pytest.approx(1.0)] * 3
    unsure = evaluate_deployed(ColourRuntime(config, 0.4), data, "test", cfg, "detectnet")
    steps = [row["map_50"] for row in unsure["steps"].values()]
    assert steps == [pytest.approx(1.0), pytest.approx(1.0), 0.0]
    assert unsure["map_50"] == 0.0


def test_tlx_figures_are_those_of_the_detector_by_colour(
    tmp_path: Path, tiny_config: Compose
) -> None:
    config = tiny_config()
    data, cfg = subject(config, tmp_path)
    figures = evaluate_deployed(ColourRuntime(config), data, "test", cfg, "tlx")
    assert figures["map_50"] == pytest.approx(1.0)
    assert set(figures["per_class"]) == set(CLASSES)


@pytest.fixture
def detections(run: Path, tmp_path: Path, tiny_config: Compose) -> Callable[..., Path]:
    """Writes what a device would: the ground truth, moved by `shift` px, unless changed."""
    data, _ = subject(tiny_config(), tmp_path)

    def write(change: Callable[[dict], None] = lambda content: None, shift: float = 0) -> Path:
        images = [
            {
                "image": item.image.name, "width": item.size[0], "height": item.size[1],
                "detections": [
                    {"label": int(label), "score": 0.8, "box": (box + shift).tolist()}
                    for box, label in zip(item.boxes, item.labels, strict=True)
                ],
            }
            for item in data.splits["test"]
        ]  # fmt: skip
        content = {"version": 1, "model": {"sha256": "0", "name": "m.onnx"}, "images": images,
                   "preprocess": "detectnet", "score_threshold": 0.05}  # fmt: skip
        change(content)
        path = tmp_path / "device.json"
        path.write_text(json.dumps(content))
        return path

    return write


def test_a_devices_detections_are_scored(
    detections: Callable[..., Path], run: Path, tmp_path: Path
) -> None:
    figures = evaluate(ask(tmp_path, detections=detections(), checkpoint=run))
    assert figures["map"] == pytest.approx(1.0)
    assert figures["device"]["preprocess"] == "detectnet"
    assert "does not say of which checkpoint" in figures["joined"]["reason"]
    moved = evaluate(ask(tmp_path, detections=detections(shift=30), checkpoint=run))
    assert moved["map_50"] == 0.0


def test_detections_are_joined_by_the_checkpoints_digest(
    detections: Callable[..., Path], run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = hashlib.sha256((run / "checkpoints" / "best.ckpt").read_bytes()).hexdigest()

    def of(stated: str) -> Callable[[dict], None]:
        return lambda content: content["model"].update(checkpoint_sha256=stated)

    figures = evaluate(ask(tmp_path, detections=detections(of(digest)), checkpoint=run))
    assert figures["joined"] == {"checkpoint_sha256": digest, "reason": None}
    assert "checkpoint" not in caplog.text
    figures = evaluate(ask(tmp_path, detections=detections(of("cd" * 32)), checkpoint=run))
    assert "was written with the checkpoint cdcdcdcdcdcd…, not with" in figures["joined"]["reason"]
    assert figures["joined"]["reason"] in caplog.text


def test_nms_is_applied_to_what_a_device_did_not_suppress(
    detections: Callable[..., Path], run: Path, tmp_path: Path
) -> None:
    def repeat(content: dict) -> None:
        content["preprocess"] = "tlx"
        for image in content["images"]:
            image["detections"] *= 3

    figures = evaluate(ask(tmp_path, detections=detections(repeat), checkpoint=run))
    assert figures["map"] == pytest.approx(1.0)

    def clusters(content: dict) -> None:
        repeat(content)
        content["preprocess"] = "detectnet"

    taken = evaluate(ask(tmp_path, detections=detections(clusters), checkpoint=run))
    assert taken["map"] < 0.9  # boxes found twice are false ones


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["images"].pop(), "lacks 1 of the 6 pictures"),
        (lambda c: c.update(version=2), "of version 2"),
        (lambda c: c["images"].append(c["images"][0]), "stands there twice"),
        (lambda c: c["images"][0].update(width=80, height=96), "80x96 there and 96x80"),
        (lambda c: c["images"][0]["detections"][0].update(label=3), r"not within 1\.\.2"),
        (lambda c: c["images"][0]["detections"][0].update(box=[1, 2]), "damaged"),
        (lambda c: c["images"][0]["detections"][0].update(score=np.nan), "no number"),
        (lambda c: c.update(images={}), "not a file of detections"),
    ],
)
def test_detections_that_cannot_be_meant_are_refused(
    change: Callable[[dict], Any], message: str, detections: Callable[..., Path], run: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(DataError, match=message):
        evaluate(ask(tmp_path, detections=detections(change), checkpoint=run))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "checkpoint=… is missing"),
        ({"preprocess": "imagenet", "checkpoint": "x"}, "none of tlx, detectnet"),
        ({"detections": "x.json"}, "checkpoint=… is missing"),
    ],
)
def test_what_cannot_be_asked(values: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(ask(tmp_path, **values))
