"""INT8 by QuantizeLinear/DequantizeLinear pairs (QDQ), with ONNX Runtime's quantiser.

Pairs stand in front of convolutions only: what lies behind one is taken into it by the runtimes.
Depthwise convolutions stay in float: the ranges of their channels differ so much that one scale for
all of them costs a MobileNet most of what INT8 costs (Sheng et al. 2018, arXiv:1803.08607), and
they are a few hundredths of the arithmetic. So do, where heads have a hidden layer, it and the
predictors behind it, as few: a score is a sum over a thousand small activations, of which most are
less than half a step of one scale and would be zero. In INT8 they took half of a detector's mAP.
Biases in int32 did so too and gain no time. Two placements, because the consumers differ:

- `tensorrt`: symmetric int8. TensorRT accepts no zero points; it is also what TensorRT 11 needs,
  where the precision comes from the file alone.
- `cpu`: unsigned activations with zero points, as ONNX Runtime and OpenVINO compute them: behind a
  ReLU they use all 256 values.

Softmax and box decoding stay in float.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from tlx.common.errors import ExportError
from tlx.common.packages import require
from tlx.export.onnx_file import load_onnx, save_onnx
from tlx.runtime.description import INPUT

Placement = Literal["tensorrt", "cpu"]
_LAYERS = ("Conv", "Gemm", "MatMul")


def quantise(path: Path, output: Path, pictures: np.ndarray, placement: Placement) -> None:
    """Write the float model in `path` as a QDQ model; opset 13 or later.

    Args:
        pictures: normalised, float32 (n, 3, S, S).
    """
    quantization = require("onnxruntime.quantization", "precision=int8")
    model = load_onnx(path)
    kinds = quantization.QuantType
    symmetric = placement == "tensorrt"
    options: dict[str, Any] = {
        "ActivationSymmetric": symmetric,
        "WeightSymmetric": True,
        "OpTypesToExcludeOutputQuantization": ["Conv"],
        # Its step is that of input times weight, coarse where folded norms made weights large.
        "QuantizeBias": False,
    }
    if placement == "tensorrt":
        # int8 constants are read by TensorRT 10 and later only; pairs around float ones by all.
        options["AddQDQPairToWeight"] = True
    with TemporaryDirectory() as folder, _no_advice():
        partial = Path(folder) / output.name
        quantization.quantize_static(
            str(path), str(partial), reader(quantization, pictures),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"], nodes_to_exclude=_in_float(model), per_channel=True,
            activation_type=kinds.QInt8 if symmetric else kinds.QUInt8, weight_type=kinds.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax, extra_options=options,
        )  # fmt: skip
        save_onnx(load_onnx(partial), output)


def _in_float(model: Any) -> list[str]:
    """Names of the convolutions that take one channel each, and of those at the end of heads that
    have a hidden layer: it, and what reads nothing but it."""
    shapes = {constant.name: tuple(constant.dims) for constant in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    if not convolutions or not all(node.name for node in convolutions):
        raise ExportError("the graph to quantise has no convolutions, or some without names")
    depthwise = {node.name for node in convolutions if shapes[node.input[1]][1] == 1}
    behind: dict[str, int] = defaultdict(int)  # tensor: layers on the longest path from it
    for node in reversed(model.graph.node):  # which are in the order of their computation
        count = max(behind[tensor] for tensor in node.output)
        count += node.op_type in _LAYERS and node.name not in depthwise
        for tensor in node.input:
            behind[tensor] = max(behind[tensor], count)
    # A predictor that reads a map of the backbone shares its scale with the layers behind that map.
    last = {
        node.name
        for node in convolutions
        if behind[node.output[0]] == 1 or behind[node.input[0]] == 1
    }
    return [node.name for node in convolutions if node.name in depthwise | last]


def reader(quantization: Any, pictures: np.ndarray) -> Any:
    """The pictures as the calibrator wants them, one at a time."""

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._left: Iterable[np.ndarray] = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(iter(self._left), None)
            return None if picture is None else {INPUT: picture[None]}

    return Reader()


class _no_advice(logging.Filter):
    """Keep the quantiser from advising a preprocessing that the export has done."""

    def __enter__(self) -> None:
        logging.getLogger().addFilter(self)

    def __exit__(self, *error: object) -> None:
        logging.getLogger().removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()
