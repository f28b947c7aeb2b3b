"""TensorRT's own parser and builder take the files; TensorRT for RTX needs no GPU to build."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SHARED
from tests.export.helpers_export import normalised, pixels, source_of, written
from tlx.export.network import ExportNetwork
from tlx.export.onnx_file import save_network
from tlx.export.quantize import quantise
from tlx.models.normalisation import Normalisation

trt = pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install tensorrt-rtx-cu13"
)
pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: pip install 'tlx-detect[edge]'"
)


def build(path: Path, size: int = 96) -> bytes:
    """Parse and build; the errors of the parser fail the test."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(path.read_bytes())
    assert parsed, [str(parser.get_error(i)) for i in range(parser.num_errors)]
    outputs = [network.get_output(i).name for i in range(network.num_outputs)]
    assert outputs == ["scores", "boxes"]
    assert tuple(network.get_input(0).shape) == (1, 3, size, size)
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    assert plan is not None
    return bytes(plan)


@pytest.mark.parametrize(
    ("name", "opset", "precision"),
    [
        ("mobilenet_v1", 11, "fp32"),
        ("efficientnet_lite0", 13, "fp16"),
        ("mobilenet_v2", 20, "fp32"),
        ("efficientnet_lite0", 13, "int8"),
    ],
)
def test_parses_and_builds(name: str, opset: int, precision: str, tmp_path: Path) -> None:
    source = source_of(name)
    own = Normalisation.of(source.detector)
    network = ExportNetwork(source.detector, own, half=precision == "fp16")
    path = tmp_path / "m.onnx"
    save_network(network, 96, path, opset)
    if precision == "int8":
        quantise(path, tmp_path / "q.onnx", normalised(pixels(2), own), "tensorrt")
        path = tmp_path / "q.onnx"
    assert len(build(path)) > 100_000


@pytest.mark.shared_data
@pytest.mark.parametrize("opset", [11, 20])
def test_golden_mb1_ssd(opset: int, tmp_path: Path) -> None:
    checkpoint = SHARED / "golden" / "mb1-ssd-pytorch-ssd.pth"
    assert len(build(written(checkpoint, "onnx", tmp_path, opset=opset).path, 300)) > 1_000_000
