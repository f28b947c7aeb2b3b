"""INT8: which tensors are quantised, how, and that little is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import tiny_overrides
from tests.export.helpers_export import (
    distinct,
    expected,
    normalised,
    onnx_outputs,
    pixels,
    source_of,
    write_checkpoint,
    write_pytorch_ssd,
    written,
)
from tests.models.helpers_engine import detector_of
from tlx.common.errors import ConfigError, DataError
from tlx.config import typed
from tlx.export.calibration_cache import read_calibration_cache, write_calibration_cache
from tlx.export.contract import check_detectnet
from tlx.export.network import ExportNetwork
from tlx.export.onnx_file import load_onnx, save_network
from tlx.export.pictures import calibration_pictures
from tlx.export.quantize import quantise
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import SCRATCH, resolve
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.normalisation import Normalisation
from tlx.runtime.source import Source, load_source

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'tlx-detect[edge]'")
pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: pip install 'tlx-detect[edge]'"
)


@pytest.fixture(scope="module")
def source() -> Source:
    return source_of()


@pytest.fixture(scope="module")
def calibration(source: Source) -> np.ndarray:
    return normalised(pixels(8, seed=5), Normalisation.of(source.detector))


@pytest.fixture(scope="module")
def plain(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float file at opset 13."""
    path = tmp_path_factory.mktemp("plain") / "plain.onnx"
    network = ExportNetwork(source.detector, Normalisation.of(source.detector))
    save_network(network, 96, path, 13)
    return path


@pytest.mark.parametrize("placement", ["tensorrt", "cpu"])
def test_stays_near_the_detector(
    placement: str, source: Source, plain: Path, calibration: np.ndarray, tmp_path: Path
) -> None:
    quantise(plain, tmp_path / "q.onnx", calibration, placement)  # type: ignore[arg-type]
    values = pixels(1, seed=6)
    images = normalised(values, Normalisation.of(source.detector))
    scores, boxes = onnx_outputs(tmp_path / "q.onnx", images)
    want_scores, want_boxes = expected(source.detector, values)
    # A random network multiplies every rounding; between two pictures its scores differ by .18.
    assert 0 < np.abs(scores - want_scores).mean() < 0.13
    assert 0 < np.abs(boxes - want_boxes).mean() < 0.02
    assert (scores.argmax(-1) == want_scores.argmax(-1)).mean() > 0.75


def test_tensorrt_gets_symmetric_pairs_before_convolutions_only(
    plain: Path, calibration: np.ndarray, tmp_path: Path
) -> None:
    quantise(plain, tmp_path / "q.onnx", calibration, "tensorrt")
    model = load_onnx(tmp_path / "q.onnx")
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    quantisers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    for node in quantisers:
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 27 + 8 + 12
    kept = [node for node in convolutions if constants.get(node.input[1]) is not None]
    predictors = [node for node in kept if "/classify" in node.name or "/regress" in node.name]
    # Of the last map alone: the others share it with the layers behind.
    assert len(predictors) == 2
    (before,) = [node for node in kept if "/blocks.17/" in node.name]
    assert len(kept) == 13 + 2 + 1
    for node in (node for node in kept if node not in [*predictors, before]):
        assert constants[node.input[1]].shape[1] == 1
    for node in (node for node in convolutions if node not in kept):
        assert [makers[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
        weight = makers[makers[node.input[1]].input[0]]
        scale, channels = constants[weight.input[1]], constants[weight.input[0]].shape[0]
        assert scale.shape == (channels,), "one scale a channel"
        assert constants[node.input[2]].dtype == np.float32, "the bias stays in float"
    readers = {n.op_type for n in model.graph.node for i in n.input if i in makers
               and makers[i].op_type == "DequantizeLinear"}  # fmt: skip
    assert readers == {"Conv"}


def test_hidden_layers_and_the_predictors_behind_them_stay_in_float(tmp_path: Path) -> None:
    detector = distinct(detector_of("mobilenet_v1", head="hidden"))
    own = Normalisation.of(detector)
    save_network(ExportNetwork(detector, own), 96, tmp_path / "plain.onnx", 13)
    quantise(
        tmp_path / "plain.onnx", tmp_path / "q.onnx", normalised(pixels(2, seed=5), own), "cpu"
    )
    graph = load_onnx(tmp_path / "q.onnx").graph
    quantised = {name for n in graph.node if n.op_type == "DequantizeLinear" for name in n.output}
    heads = [n for n in graph.node if n.op_type == "Conv" and n.name.startswith("/heads/")]
    assert len(heads) == 6 + 12
    assert not quantised & {name for node in heads for name in node.input[1:]}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert quantised & {node.input[1] for node in convolutions}
    assert not quantised & {node.input[2] for node in convolutions}, "biases stay in float"


def test_heads_that_share_their_weights_are_quantised(tmp_path: Path) -> None:
    spec = backbone_spec("mobilenet_v1")
    options: dict = {"neck": "fpnlite", "head": "shared", "width": 16, "depth": 2}
    detector = SSD(spec, resolve(spec, SCRATCH).conventions, 2, 96, **options).eval()
    own = Normalisation.of(detector)
    save_network(ExportNetwork(distinct(detector), own), 96, tmp_path / "plain.onnx", 13)
    values = normalised(pixels(2, seed=5), own)
    quantise(tmp_path / "plain.onnx", tmp_path / "q.onnx", values, "tensorrt")
    graph = load_onnx(tmp_path / "q.onnx").graph
    made = {name for node in graph.node if node.op_type == "Identity" for name in node.output}
    assert not made & {name for node in graph.node for name in node.input}
    assert "DequantizeLinear" in {node.op_type for node in graph.node}


def test_decoding_stays_in_float(plain: Path, calibration: np.ndarray, tmp_path: Path) -> None:
    quantise(plain, tmp_path / "q.onnx", calibration, "cpu")
    graph = load_onnx(tmp_path / "q.onnx").graph
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in ("Softmax", "Exp", "Sub"):
            assert all(makers[i].op_type != "DequantizeLinear" for i in node.input if i in makers)


def test_calibration_cache_has_a_scale_for_every_convolution(
    plain: Path, calibration: np.ndarray, tmp_path: Path
) -> None:
    write_calibration_cache(plain, calibration[:3], tmp_path / "m.calib")
    header, first, *_ = (tmp_path / "m.calib").read_text().splitlines()
    assert header == "TRT-8201-EntropyCalibration2"
    assert len(first.rsplit(": ", 1)[1]) == 8
    scales = read_calibration_cache(tmp_path / "m.calib")
    graph = load_onnx(plain).graph
    for node in graph.node:
        if node.op_type == "Conv":
            assert scales[node.input[0]] > 0
            assert scales[node.output[0]] > 0
    # The entropy calibrator may clip, and never widens.
    largest = float(np.abs(calibration[:3]).max())
    assert 0.2 * largest <= 127 * scales["input_0"] <= largest * 1.001


@pytest.fixture
def config(tiny_set: Path, tmp_path: Path, compose_config) -> dict:  # type: ignore[no-untyped-def]
    cfg = compose_config(*tiny_overrides(tiny_set, tmp_path), "backbone=mobilenet_v1")
    return typed.plain(cfg)


def test_calibrates_on_val_of_the_run(config: dict, tiny_set: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "best.ckpt", config=config, classes=["blue", "red"])
    source = load_source(tmp_path / "best.ckpt")
    own = Normalisation.of(source.detector)
    found = calibration_pictures(source, own, 4, None, tmp_path / "cache")
    paths = sorted((tiny_set / "val").glob("*.png"))
    of_folder = calibration_pictures(source, own, 6, tiny_set / "val", tmp_path / "cache")
    assert found.shape == (4, 3, 96, 96)
    assert found.dtype == np.float32
    assert of_folder.shape[0] == len(paths) == 6
    # 4 of the 6, each of them there and no two the same
    apart = np.abs(found[:, None] - of_folder[None]).max((2, 3, 4))
    assert (apart.min(1) < 1e-6).all()
    assert len(set(apart.argmin(1))) == 4


def test_int8_export_leaves_what_each_tensorrt_needs(config: dict, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "best.ckpt", config=config, classes=["blue", "red"])
    ways = {"precision": "int8", "pictures": 2, "cache_dir": tmp_path / "cache"}
    made = written(tmp_path / "best.ckpt", "onnx", tmp_path / "out", **ways)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "ssd-mobilenet_v1-int8.onnx", "ssd-mobilenet_v1-int8.calib", "ssd-mobilenet_v1.onnx",
        "labels.txt", "model.json", "commands.md",
    }  # fmt: skip
    assert made.path.name == "ssd-mobilenet_v1-int8.onnx"
    assert (made.description["precision"], made.description["opset"]) == ("int8", 13)
    (fault,) = check_detectnet(made.path, tmp_path / "out" / "labels.txt")
    assert "QuantizeLinear in the graph: detectnet builds float engines" in fault
    plain = made.path.with_name("ssd-mobilenet_v1.onnx")
    assert check_detectnet(plain, tmp_path / "out" / "labels.txt") == []
    text = (tmp_path / "out" / "commands.md").read_text()
    assert "detectnet --model=ssd-mobilenet_v1.onnx " in text
    assert "trtexec --onnx=ssd-mobilenet_v1-int8.onnx " in text
    again = written(tmp_path / "best.ckpt", "onnx", tmp_path / "again", **ways)
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (again.path.parent / path.name).read_bytes(), path.name


def test_pictures_that_are_not_there(tmp_path: Path) -> None:
    write_pytorch_ssd(tmp_path / "mb1.pth")
    with pytest.raises(ConfigError, match="calibration=FOLDER"):
        written(tmp_path / "mb1.pth", "onnx", tmp_path / "out", precision="int8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture there"):
        written(
            tmp_path / "mb1.pth", "onnx", tmp_path / "out", precision="int8",
            calibration=tmp_path / "empty",
        )  # fmt: skip
