"""INT8 by QuantizeLinear/DequantizeLinear pairs (QDQ), with ONNX Runtime's quantiser.

Two placements, because the consumers fuse different patterns:

- `tensorrt`: symmetric int8 in front of each convolution only. TensorRT accepts no zero points, and
  takes activations behind a convolution into it by itself; it is also what TensorRT 11 needs, where
  the precision comes from the file alone.
- `cpu`: unsigned activations with zero points, pairs around every layer, as ONNX Runtime and
  OpenVINO fuse them. A zero point at the lower end makes ReLU part of the quantisation.

Softmax and box decoding stay in float.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from tlx.errors import ExportError
from tlx.export.description import INPUT
from tlx.export.onnx_file import load_onnx, save_onnx
from tlx.export.packages import require

Placement = Literal["tensorrt", "cpu"]
_QUANTISED = ("Conv", "Relu", "Clip", "Add")


def quantise(path: Path, output: Path, pictures: np.ndarray, placement: Placement) -> None:
    """Write the float model in `path` as a QDQ model; opset 13 or later.

    Args:
        pictures: normalised, float32 (n, 3, S, S).
    """
    quantization = require("onnxruntime.quantization", "precision=int8")
    trunk = _trunk(load_onnx(path))
    kinds = quantization.QuantType
    symmetric = placement == "tensorrt"
    options: dict[str, Any] = {"ActivationSymmetric": symmetric, "WeightSymmetric": True}
    if placement == "tensorrt":
        # int8 constants are read by TensorRT 10 and later only; pairs around float ones by all.
        options |= {"AddQDQPairToWeight": True, "QuantizeBias": False}
        options |= {"OpTypesToExcludeOutputQuantization": ["Conv"]}
    operators = ["Conv"] if symmetric else list(_QUANTISED)
    with TemporaryDirectory() as folder, _no_advice():
        partial = Path(folder) / output.name
        quantization.quantize_static(
            str(path), str(partial), reader(quantization, pictures),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=operators, nodes_to_quantize=trunk, per_channel=True,
            activation_type=kinds.QInt8 if symmetric else kinds.QUInt8, weight_type=kinds.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax, extra_options=options,
        )  # fmt: skip
        save_onnx(load_onnx(partial), output)


def _trunk(model: Any) -> list[str]:
    """Names of the nodes up to and with the last convolutions: what lies behind is decoding."""
    makers = {name: node for node in model.graph.node for name in node.output}
    kept: set[str] = set()
    waiting = [node for node in model.graph.node if node.op_type == "Conv"]
    while waiting:
        node = waiting.pop()
        if node.name in kept:
            continue
        kept.add(node.name)
        waiting += [makers[name] for name in node.input if name in makers]
    if not kept or "" in kept:
        raise ExportError("the graph to quantise has no convolutions, or nodes without names")
    # The activation behind a convolution belongs to it also where no convolution follows.
    return [node.name for node in model.graph.node if node.name in kept]


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
