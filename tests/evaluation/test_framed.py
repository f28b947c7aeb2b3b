"""From training to the device, boxes of letterboxed and tiled pictures lie where objects are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Compose, write_voc
from tests.export.helpers_deploy import CLASSES, SIDE, ColourRuntime, save_tiny_checkpoint
from tests.jetson.helpers_jetson import load_tool
from tlx.benchmark.latency.measure import accuracy
from tlx.benchmark.latency.pipeline import runtime_pipeline
from tlx.common.errors import ConfigError, WeightsError
from tlx.config.typed import plain
from tlx.data.framing import Framing
from tlx.data.module import DetectionData, build_data
from tlx.evaluate import EvaluateConfig, evaluate
from tlx.evaluation.deployed import evaluate_deployed
from tlx.export import Options, export, write
from tlx.export.contract import check_detectnet
from tlx.live.model import RuntimeModel, load_model
from tlx.records.predictions import read_predictions
from tlx.runtime.meta import find_meta
from tlx.runtime.preprocess import prepare
from tlx.training.run import run

RED, BLUE = (220, 30, 30), (30, 30, 220)
SHAPES = {"wide": (260, 90), "tall": (80, 230), "odd": (201, 133), "square": (120, 120)}
WAYS = {
    "letterbox": ["data.letterbox=true"],
    "tiles": ["data.tile=96", "data.tile_overlap=0.45"],
    "both": ["data.letterbox=true", "data.tile=128", "data.tile_overlap=0.4"],
}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several shapes, each with a red and a blue object of 30 to 40 px."""
    root = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (root / split).mkdir()
        for number, (name, (width, height)) in enumerate(SHAPES.items()):
            pixels = rng.integers(60, 160, (height, width, 3), dtype=np.uint8)
            boxes: list[tuple[str, tuple[int, int, int, int]]] = []
            for place, (colour, fill) in enumerate((("red", RED), ("blue", BLUE))):
                w, h = rng.integers(30, 40, 2).tolist()
                # One half each, so that they never meet.
                along = (width - w, height - h)
                x, y = (int(rng.integers(1 + side)) for side in along)
                if width >= height:
                    x = place * (width // 2) + x % (width // 2 - w)
                else:
                    y = place * (height // 2) + y % (height // 2 - h)
                pixels[y : y + h, x : x + w] = fill
                boxes.append((colour, (x, y, x + w, y + h)))
            path = root / split / f"{name}{number}.png"
            Image.fromarray(pixels).save(path)
            write_voc(path, boxes)
    return root


def framed(config: Any) -> ColourRuntime:
    """The detector by colour, of a run with this configuration."""
    runtime = ColourRuntime(config)
    object.__setattr__(runtime.meta, "framing", Framing.of(plain(config)))
    return runtime


def ious(boxes: np.ndarray, true: np.ndarray) -> np.ndarray:
    sides = np.minimum(boxes[:, 2:], true[:, 2:]) - np.maximum(boxes[:, :2], true[:, :2])
    shared = sides.clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (true[:, 2:] - true[:, :2]).prod(1)
    return shared / (areas - shared)


def of_set(shapes: Path, tiny_config: Compose, tmp_path: Path, *ways: str) -> Any:
    config = tiny_config(*ways, f"data.root={shapes}")
    return config, build_data(config.data, tmp_path / "cache", SIDE)


def assert_found(model: RuntimeModel, data: DetectionData) -> None:
    """Each object of the test pictures once, where it is."""
    for item in data.splits["test"]:
        [found] = model([np.asarray(Image.open(item.image).convert("RGB"))])
        order = np.argsort(found.labels.numpy(), kind="stable")
        assert found.labels.numpy()[order].tolist() == sorted(item.labels.tolist())
        true = item.boxes[np.argsort(item.labels, kind="stable")]
        boxes = found.boxes.numpy()[order] * np.array([*item.size, *item.size])
        # A pixel of the input at each edge, of an object of 30 px in 260 that 96 show.
        assert ious(boxes, true).min() > 0.75, (item.image.name, boxes, true)


@pytest.mark.parametrize("way", WAYS)
def test_a_perfect_detector_is_perfect_however_pictures_are_shown(
    shapes: Path, tiny_config: Compose, tmp_path: Path, way: str
) -> None:
    config, data = of_set(shapes, tiny_config, tmp_path, *WAYS[way])
    runtime = framed(config)
    figures = evaluate_deployed(runtime, data, "test", config.detector, "tlx")
    assert figures["map_50"] == pytest.approx(1.0)
    assert_found(RuntimeModel(runtime), data)
    if runtime.meta.framing.tile:
        with pytest.raises(ConfigError, match="takes several inputs a picture"):
            runtime_pipeline("m", "colour", runtime, config.detector)
    else:
        pipeline = runtime_pipeline("m", "colour", runtime, config.detector)
        measured = accuracy(pipeline, data.splits["test"], CLASSES)
        assert measured["map_50"] == pytest.approx(1.0)
        assert measured["map"] == pytest.approx(figures["map"])


def test_the_other_way_is_refused_and_would_be_wrong(
    shapes: Path, tiny_config: Compose, tmp_path: Path
) -> None:
    config, data = of_set(shapes, tiny_config, tmp_path, "data.letterbox=true")
    plain_runtime = ColourRuntime(config)
    with pytest.raises(ConfigError, match="the model sees the whole picture, stretched, and the"):
        evaluate_deployed(plain_runtime, data, "test", config.detector, "tlx")
    runtime = framed(config)
    with pytest.raises(ConfigError, match="detectnet stretches whole pictures, and this model was"):
        evaluate_deployed(runtime, data, "test", config.detector, "detectnet")
    with pytest.raises(ConfigError, match=r"data\.letterbox=false"):
        prepare(np.zeros((9, 9, 3), np.uint8), runtime.meta, "detectnet")
    # Boxes that nobody reckons back: what the tests above would have let through.
    model = RuntimeModel(runtime)
    model._of_picture = lambda shown, shape: shown[0]  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        assert_found(model, data)


def test_the_jetson_tool_finds_them_too(shapes: Path, tiny_config: Compose, tmp_path: Path) -> None:
    jb = load_tool()
    config, data = of_set(shapes, tiny_config, tmp_path, "data.letterbox=true")
    runtime = framed(config)
    stored = {"input": runtime.meta.framing.describe()}
    assert jb.framing(stored, "tlx") == (True, None)
    reader = jb.PictureReader()
    shape = (1, 3, SIDE, SIDE)
    preprocess = jb.Preprocess("tlx", shape, reader, [127.5] * 3, [127.5] * 3, True)
    postprocess = jb.Postprocess("tlx", 0.4, {}, letterbox=SIDE)
    model = RuntimeModel(runtime)
    for item in data.splits["test"]:
        image = reader.read(str(item.image))
        scores, boxes = runtime.raw(preprocess(image))
        found = postprocess(scores[0], boxes[0], item.size)
        [wanted] = model([image])
        np.testing.assert_allclose(found.boxes, wanted.boxes.numpy(), atol=1e-6)
        assert found.labels.tolist() == wanted.labels.tolist()
    assert jb.framing({}, "tlx") == jb.framing({"input": {"resize": "stretch"}}, "detectnet")
    for said, mode in ((stored, "detectnet"), ({"input": {"tile": {"side": 64}}}, "detectnet")):
        with pytest.raises(jb.BenchmarkError, match="stretches whole pictures"):
            jb.framing(said, mode)
    with pytest.raises(jb.BenchmarkError, match="resized by 'crop', which this tool does not know"):
        jb.framing({"input": {"resize": "crop"}}, "tlx")


@pytest.mark.parametrize("way", ["letterbox", "both"])
def test_a_run_keeps_its_framing_to_the_export(
    shapes: Path, tiny_config: Compose, tmp_path: Path, way: str
) -> None:
    """Training's own figures, those of the checkpoint and those of the ONNX file are the same."""
    config = tiny_config(*WAYS[way], f"data.root={shapes}", "trainer.epochs=1", "freeze=8")
    config.detector.score_threshold = 0.0
    folder = tmp_path / "run"
    record = run(config, folder)
    framing = Framing.of(plain(config))
    if way == "both":
        assert record["data_report"]["tiles"]["pictures"] == 4
    cache = str(tmp_path / "cache")
    asked = evaluate(EvaluateConfig(checkpoint=str(folder), cache_dir=cache, device="cpu"))
    assert asked["shown"] == framing.describe()
    exported = export(folder, "onnx", tmp_path / "onnx", Options(cache_dir=Path(cache)))
    assert exported.description["parity"]["passed"]
    assert exported.description["input"]["resize"] == "letterbox"
    assert find_meta(exported.path).framing == framing
    deployed = evaluate(EvaluateConfig(model=str(exported.path), cache_dir=cache))
    for name in ("map", "map_50", "voc07_ap50"):
        assert record["test"][name] > 0
        assert asked[name] == pytest.approx(record["test"][name], abs=1e-6)
        assert deployed[name] == pytest.approx(record["test"][name], abs=1e-3)
    # What the run kept is what both find in the file.
    models = [load_model(folder, "cpu"), load_model(exported.path)]
    assert [model.framing for model in models] == [framing] * 2
    predictions = read_predictions(folder)
    for kept in predictions.images:
        pixels = np.asarray(Image.open(shapes / kept.image).convert("RGB"))
        for model in models:
            [found] = model([pixels])
            boxes = found.boxes.numpy() * np.array([kept.width, kept.height] * 2)
            count = min(3, len(kept.found.scores))
            np.testing.assert_allclose(found.scores[:count], kept.found.scores[:count], atol=1e-3)
            np.testing.assert_allclose(boxes[:count], kept.found.boxes[:count], atol=0.2)
    [fault] = [f for f in check_detectnet(exported.path, tmp_path / "onnx" / "labels.txt")
               if "stretches" in f]  # fmt: skip
    assert "its boxes would be wrong" in fault
    text = (tmp_path / "onnx" / "commands.md").read_text()
    assert "--input-blob" not in text
    assert "preprocess=detectnet" not in text
    assert "Not with this model" in text


def test_contracts_that_cannot_have_it_refuse(
    shapes: Path, tiny_config: Compose, tmp_path: Path
) -> None:
    config = tiny_config("data.letterbox=true", f"data.root={shapes}")
    path = tmp_path / "best.ckpt"
    save_tiny_checkpoint(path, config)
    with pytest.raises(ConfigError, match="format=kmodel: MaixPy stretches whole pictures"):
        write(path, "kmodel", tmp_path / "k", Options(precision="int8"))
    exported = write(path, "torchscript", tmp_path / "out", Options())[0]
    beside = exported.path.parent / "model.json"
    description = json.loads(beside.read_text())
    description["input"]["resize"] = "crop"
    beside.write_text(json.dumps(description))
    with pytest.raises(WeightsError, match="resized by 'crop', which this tlx cannot do"):
        find_meta(exported.path)
    del description["input"]["resize"]
    beside.write_text(json.dumps(description))
    assert find_meta(exported.path).framing == Framing()


def test_tiles_can_be_asked_for_later(shapes: Path, tiny_config: Compose, tmp_path: Path) -> None:
    """A model of whole pictures in tiles: evaluation reads pictures larger than its cache had."""
    config = tiny_config(f"data.root={shapes}", "data.max_side=96")
    save_tiny_checkpoint(path := tmp_path / "best.ckpt", config)
    asked = EvaluateConfig(
        checkpoint=str(path), cache_dir=str(tmp_path / "cache"), device="cpu", tile=96,
        tile_overlap=0.45,
    )  # fmt: skip
    figures = evaluate(asked)
    assert figures["shown"] == {"resize": "stretch", "tile": {"side": 96, "overlap": 0.45}}
    assert figures["images"] == 4
    model = load_model(path, "cpu", tile=96, tile_overlap=0.45)
    assert model.framing == Framing(tile=96, overlap=0.45)
    runtime = ColourRuntime(config)
    data = build_data(config.data, tmp_path / "cache", SIDE)
    assert_found(RuntimeModel(runtime, Framing(tile=96, overlap=0.45)), data)
