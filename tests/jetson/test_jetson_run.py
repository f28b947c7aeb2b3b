"""The Jetson tool from its command line, with every generation of TensorRT's API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.jetson.helpers_jetson import load_tool, write_onnx
from tests.jetson.helpers_tensorrt import SIDE, HostCuda, Installed, detector, install
from tests.jetson.helpers_tensorrt_api import SURFACES
from tlx.evaluation.detections import read_detections

jb = load_tool()
QUICK = ["--warmup", "2", "--iterations", "6", "--seconds", "0", "--interval", "0.1"]


@pytest.fixture(params=list(SURFACES))
def world(request: pytest.FixtureRequest) -> Iterator[Installed]:
    before = sys.modules.pop("tensorrt", None)
    yield install(request.param)
    sys.modules.pop("tensorrt")
    if before is not None:
        sys.modules["tensorrt"] = before


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size in (("b.png", (40, 30)), ("sub/a.jpg", (24, 24)), ("c.bmp", (9, 70))):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def run(folder: Path, *options: str, **changes: Any) -> int:
    stored = [("tlx", json.dumps({"mean": [0.5] * 3, "std": [0.5] * 3, "classes": ["a", "b"],
                                  "checkpoint_sha256": "cd" * 32}))]  # fmt: skip
    changes.setdefault("metadata", stored)
    model = write_onnx(str(folder / "m.onnx"), **changes)
    board = jb.Board(str(folder / "no-board"))
    return jb.main([model, *QUICK, *options], open_cuda=HostCuda, board=board)


def expected(path: Path, preprocess: Any, postprocess: Any) -> Any:
    """Detections as numpy and Pillow make them, without the tool's engine and copies."""
    image = np.asarray(Image.open(path).convert("RGB"))
    scores, boxes = detector(preprocess(image))
    size = (image.shape[1], image.shape[0])
    return size, postprocess(scores, boxes, size)


def test_figures_of_every_api(world: Installed, tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "result.json"
    options = ["--output", str(output), "--policy", "freeze=4", "--iterations", "60"]
    assert run(tmp_path, *options) == 0
    content = json.loads(output.read_text())
    (result,) = content["runs"]
    oldest = world.version.startswith("8.2")
    assert result["engine"]["api"] == ("execute_async_v2" if oldest else "execute_async_v3")
    assert result["tensorrt"] == {"name": "TensorRT", "version": world.version}
    assert result["engine"]["precision"] == ("fp32" if world.version.startswith("11") else "fp16")
    names = ["inference", "host_to_device", "network", "device_to_host", "whole", "preprocess"]
    assert list(result["latency_ms"]) == [*names, "postprocess"]
    for row in result["latency_ms"].values():
        assert row["n"] >= 60
        assert row["min"] <= row["p10"] <= row["p50"] <= row["p90"] <= row["p99"] <= row["max"]
    assert result["latency_ms"]["network"]["p50"] == 1.5  # the stand-in's clock of the GPU
    whole, part = result["latency_ms"]["whole"]["p50"], result["latency_ms"]["preprocess"]["p50"]
    assert whole > part > 0
    assert result["throughput"]["one_by_one"] > 0
    assert result["model"]["checkpoint_sha256"] == "cd" * 32
    assert result["throttled"] is False
    assert "no telemetry: throttling would not have been seen" in result["cautions"]
    (row,) = content["rows"]
    assert (row["policy"], row["device"]) == ("freeze=4", "Orin")
    assert row["checkpoint_sha256"] == "cd" * 32
    assert row["latency_ms"] == result["latency_ms"]["inference"]["p50"]
    table = capsys.readouterr().out
    assert f"TensorRT {world.version}" in table
    assert "pictures/s" in table


@pytest.mark.parametrize("mode", ["tlx", "detectnet"])
def test_detections_are_those_of_the_network(
    world: Installed, tmp_path: Path, pictures: Path, mode: str
) -> None:
    found = tmp_path / "found.json"
    options = ["--images", str(pictures), "--detections", str(found), "--preprocess", mode]
    assert run(tmp_path, *options, "--threshold", "0.4") == 0
    content = json.loads(found.read_text())
    assert (content["version"], content["preprocess"]) == (1, mode)
    assert content["score_threshold"] == 0.4
    assert content["model"]["name"] == "m.onnx"
    assert content["model"]["checkpoint_sha256"] == "cd" * 32
    assert content["model"]["sha256"] == jb.OnnxFile(str(tmp_path / "m.onnx")).sha256
    assert list(read_detections(found).images) == ["b.png", "c.bmp", "sub/a.jpg"]
    shape = (1, 3, SIDE, SIDE)
    preprocess = jb.Preprocess(mode, shape, jb.PictureReader(), [127.5] * 3, [127.5] * 3)
    postprocess = jb.Postprocess(mode, 0.4, {})
    count = 0
    for entry in content["images"]:
        size, wanted = expected(pictures / entry["image"], preprocess, postprocess)
        assert (entry["width"], entry["height"]) == size
        assert [row["label"] for row in entry["detections"]] == wanted.labels.tolist()
        scores = [row["score"] for row in entry["detections"]]
        np.testing.assert_allclose(scores, wanted.scores, atol=1e-6)
        boxes = np.array([row["box"] for row in entry["detections"]]).reshape(-1, 4)
        np.testing.assert_allclose(boxes, wanted.boxes * np.array([*size, *size]), atol=1e-3)
        count += len(boxes)
    assert count > 5


def test_unreadable_pictures_are_named(
    world: Installed, tmp_path: Path, pictures: Path, capsys: Any
) -> None:
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    found = tmp_path / "found.json"
    assert run(tmp_path, "--images", str(pictures), "--detections", str(found)) == 1
    assert "broken.jpg cannot be read" in capsys.readouterr().err
    assert len(json.loads(found.read_text())["images"]) == 3


def test_a_list_chooses_pictures(world: Installed, tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "test.txt").write_text("sub/a.jpg\n\n")
    found = tmp_path / "found.json"
    options = ["--images", str(pictures), "--list", str(tmp_path / "test.txt")]
    assert run(tmp_path, *options, "--detections", str(found)) == 0
    assert [e["image"] for e in json.loads(found.read_text())["images"]] == ["sub/a.jpg"]
    (tmp_path / "test.txt").write_text("none.jpg\n")
    assert run(tmp_path, *options, "--detections", str(found)) == 2


def test_an_engine_alone_is_enough(world: Installed, tmp_path: Path, capsys: Any) -> None:
    assert run(tmp_path, "--output", str(tmp_path / "a.json")) == 0
    (engine,) = tmp_path.glob("*.engine")
    (tmp_path / "m.onnx").unlink()
    board = jb.Board(str(tmp_path / "no-board"))
    arguments = [str(engine), *QUICK, "--output", str(tmp_path / "b.json")]
    assert jb.main(arguments, open_cuda=HostCuda, board=board) == 0
    results = [json.loads((tmp_path / f"{n}.json").read_text())["runs"][0] for n in "ab"]
    assert results[0]["engine"] == results[1]["engine"]
    assert results[0]["model"] == results[1]["model"]
    capsys.readouterr()
    world.module.__version__ = "9.9.9"
    assert jb.main(arguments, open_cuda=HostCuda, board=board) == 2
    assert f"is stale: TensorRT was {world.version}, is 9.9.9" in capsys.readouterr().err


def test_results_are_added(world: Installed, tmp_path: Path, capsys: Any) -> None:
    output = str(tmp_path / "all.json")
    for policy in ("freeze=4", "freeze=8", "freeze=4"):
        assert run(tmp_path, "--output", output, "--append", "--policy", policy) == 0
    content = json.loads(Path(output).read_text())
    assert [row["policy"] for row in content["rows"]] == ["freeze=8", "freeze=4"]  # replaced
    assert len(content["runs"]) == 2
    Path(output).write_text("[]")
    assert run(tmp_path, "--output", output, "--append") == 2
    assert "cannot be added to" in capsys.readouterr().err


def test_an_unknown_normalisation_is_said(world: Installed, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    assert run(tmp_path, "--output", str(output), metadata=[]) == 0
    cautions = json.loads(output.read_text())["runs"][0]["cautions"]
    assert any("does not state its normalisation" in caution for caution in cautions)


def test_a_picture_of_another_shape_is_refused(world: Installed) -> None:
    api, cuda = jb.load_tensorrt(), HostCuda()
    plan = json.dumps({"dla": None}).encode()
    engine = jb.Engine(api, cuda, plan)
    with pytest.raises(jb.BenchmarkError, match="the picture is 1x3x8x8, the engine takes 1x3x24"):
        engine.fill(np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(jb.BenchmarkError, match=r"(?s)loading the engine: .*bad magic tag"):
        jb.Engine(api, cuda, b"\0\1\2 no engine")


def test_nan_is_no_detection(
    world: Installed, tmp_path: Path, pictures: Path, capsys: Any, monkeypatch: Any
) -> None:
    """float16 that overflows gives NaN, which no threshold passes: it would be an empty picture."""
    outputs = np.full((8, 3), np.nan, np.float32), np.zeros((8, 4), np.float32)
    monkeypatch.setattr("tests.jetson.helpers_tensorrt.detector", lambda picture: outputs)
    found = tmp_path / "found.json"
    assert run(tmp_path, "--images", str(pictures), "--detections", str(found)) == 2
    assert "NaN or infinity, as fp16 does where it overflows" in capsys.readouterr().err
    assert not found.exists()
