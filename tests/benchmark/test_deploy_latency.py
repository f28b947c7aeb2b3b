"""The latency benchmark on a tiny set: how its figures hang together, never a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from tests.conftest import Compose
from tests.export.helpers_deploy import save_tiny_checkpoint
from tests.export.helpers_export import written
from tests.models.helpers_engine import detector_of
from tests.report.helpers_report import make_record, write_runs
from tlx.benchmark import __main__ as program
from tlx.benchmark.latency.baselines import PlainNetwork, predictor_nms
from tlx.benchmark.latency.config import LatencyBenchmark, choices
from tlx.benchmark.latency.measure import interleaved
from tlx.benchmark.latency.pipeline import STAGES, Pipeline
from tlx.common.errors import ConfigError
from tlx.records.digest import file_sha256
from tlx.report.comparison.arms import group_arms
from tlx.report.comparison.latency import read_latencies
from tlx.report.comparison.records import load_records


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, tiny_set: Path, compose_config: Compose
) -> Path:
    root = tmp_path_factory.mktemp("latency")
    config = compose_config(
        "data=voc", f"data.root={tiny_set}", "detector.input_size=96", "freeze=4",
        "data.group_near_duplicates=false",
    )  # fmt: skip
    save_tiny_checkpoint(root / "run" / "checkpoints" / "best.ckpt", config)
    written(root / "run", "torchscript", root / "script")
    return root


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    script = folder / "script" / "ssd-mobilenet_v1.torchscript"
    program.main(
        [
            f"model={folder / 'run'},{script}", "backend=torch,ncnn", "rounds=3", "pictures=2",
            "warmup=1", "threads=1", f"cache_dir={folder / 'cache'}", f"output={folder / 'out'}",
        ]
    )  # fmt: skip
    return json.loads((folder / "out" / "latency.json").read_text())


def test_every_arm_is_timed_or_left_out_with_a_reason(result: dict[str, Any]) -> None:
    arms = [(row["model"], row["backend"]) for row in result["rows"]]
    assert arms == [("run", "eager"), ("run", "peer"), ("run", "torch"),
                    ("ssd-mobilenet_v1.torchscript", "torch")]  # fmt: skip
    left_out = [(cell["model"], cell["backend"]) for cell in result["left_out"]]
    assert left_out == [("run", "ncnn"), ("ssd-mobilenet_v1.torchscript", "ncnn")]
    assert all(row["pictures"] == 6 for row in result["rows"])


def test_figures_hang_together(result: dict[str, Any]) -> None:
    eager, peer = result["rows"][:2]
    for row in result["rows"]:
        assert 0 < row["p10_ms"] <= row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["from_pixels_ms"] < row["p50_ms"]
        shares = [share for share in row["shares"].values() if share is not None]
        assert sum(shares) == pytest.approx(1, abs=0.02)
        assert list(row["stages_ms"]) == list(STAGES)
        assert row["times_eager"] == pytest.approx(eager["p50_ms"] / row["p50_ms"])
        assert row["times_peer"] == pytest.approx(peer["p50_ms"] / row["p50_ms"])
    assert eager["stages_ms"]["decode"] > 0
    assert result["rows"][2]["stages_ms"]["decode"] is None  # inside of the network
    assert 0 <= result["conditions"]["load"]["others"] <= 1


def test_all_arms_detect_the_same(result: dict[str, Any]) -> None:
    eager, _, *others = result["rows"]
    assert eager["map_50"] > 0
    for row in others:
        assert row["map_50"] == pytest.approx(eager["map_50"], abs=1e-3)
        assert row["map_50_change"] == pytest.approx(row["map_50"] - eager["map_50"])


def test_the_report_reads_the_file(folder: Path, result: dict[str, Any], tmp_path: Path) -> None:
    names = [row["policy"] for row in result["rows"]]
    assert names == ["", "", "freeze=4", "freeze=4"]
    best = folder / "run" / "checkpoints" / "best.ckpt"
    runs = write_runs(tmp_path, make_record("4", checkpoint={"sha256": file_sha256(best)}))
    arms, _ = group_arms(load_records([runs]).records)
    found = read_latencies(folder / "out" / "latency.json", arms)
    assert [latency.ms for latency in found] == [row["p50_ms"] for row in result["rows"][2:]]


def test_markdown_names_every_arm_and_stage(folder: Path, result: dict[str, Any]) -> None:
    text = (folder / "out" / "latency.md").read_text()
    for word in ("eager", "peer", "torchscript", "left out", *STAGES):
        assert word.lower() in text.lower()


def test_arms_take_turns_on_the_same_pictures() -> None:
    calls: list[tuple[str, int]] = []

    def arm(name: str) -> Pipeline:
        return Pipeline(name, "x", {"read": lambda item: calls.append((name, item))})

    times = interleaved([arm("a"), arm("b")], [0, 1, 2], 2, 2, 1, lambda done: None)  # type: ignore[list-item]
    assert [t.shape for t in times] == [(4, len(STAGES))] * 2
    # An untimed picture, then two: and the arms change places from round to round.
    assert calls[:6] == [("a", 1), ("a", 0), ("a", 1), ("b", 1), ("b", 0), ("b", 1)]
    assert [name for name, _ in calls[6:12]] == ["b"] * 3 + ["a"] * 3
    assert [item for _, item in calls[6:9]] == [0, 2, 0]


def test_the_plain_network_is_the_detector() -> None:
    detector = detector_of("mobilenet_v1")
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for plain, folded in zip(PlainNetwork(detector)(x), detector(x), strict=True):
            assert (plain - folded).abs().max() < 1e-3 * folded.abs().max()
            assert plain.is_contiguous()


def test_the_peers_loop_keeps_what_torchvision_keeps() -> None:
    generator = torch.Generator().manual_seed(0)
    centres, sides = (
        torch.rand(150, 2, generator=generator),
        torch.rand(150, 2, generator=generator),
    )
    boxes = torch.cat([centres - sides / 4, centres + sides / 4], 1)
    objects = torch.rand(150, 1, generator=generator) * 0.9
    found = predictor_nms(torch.cat([1 - objects, objects], 1), boxes, 0.01, 0.45)
    keep = nms(boxes[objects[:, 0] > 0.01], objects[objects > 0.01], 0.45)
    assert np.allclose(found.scores, objects[objects > 0.01][keep].numpy())
    assert set(found.labels) == {1}
    nothing = predictor_nms(torch.cat([1 - objects, objects], 1), boxes, 0.95, 0.45)
    assert nothing.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "/nowhere"}, "does not exist"),
        ({"backend": "caffe"}, "none of torch, onnxruntime"),
        ({"backend": "openvino:int3"}, "not asked for a precision"),
        ({"backend": "ncnn"}, "reads none of"),
        ({"rounds": 0}, "rounds=0 must be 1 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(values: dict, message: str, folder: Path) -> None:
    cfg = LatencyBenchmark(**{"model": str(folder / "run"), **values})
    with pytest.raises(ConfigError, match=message):
        choices(cfg)
