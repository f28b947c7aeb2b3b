"""What of a network fits a K210 board, told from the ONNX file before any conversion.

The chip has 6 MB of general RAM, which weights, firmware and program share, and 2 MB of KPU RAM,
which holds input and output of the layer that runs. The KPU takes 1x1 and 3x3 convolutions, normal
or depthwise, with symmetric padding, on maps between 4x4 and 320x240 with up to 1024 channels
(nncase's FAQ). What it does not take runs on the CPU, in float32 and slowly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlx.export.onnx_file import load_onnx
from tlx.export.packages import require

GENERAL_RAM = 6 * 2**20
KPU_RAM = 2 * 2**20
MAIXPY_ROOM = int(3.5 * 2**20)  # what MaixPy's firmware leaves of the general RAM (Sipeed)
WIDEST, HIGHEST, SMALLEST, CHANNELS = 320, 240, 4, 1024
STRIDE = 32  # of the backbones: a side that is no multiple of it gives maps of odd sides
_KPU_KERNELS = ([1, 1], [3, 3])


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product.

    Attributes:
        source, result: shapes (channels, height, width). reason: why the KPU does not take it, or
            None.
    """

    name: str
    source: tuple[int, int, int]
    result: tuple[int, int, int]
    stride: int
    weights: int
    reason: str | None

    @property
    def weight_bytes(self) -> int:
        """uint8 on the KPU, float32 on the CPU."""
        return self.weights * (4 if self.reason else 1)

    @property
    def kpu_bytes(self) -> int:
        """KPU RAM of input and output; nncase 1.9 computes a stride of 2 at full resolution and
        leaves out every other value afterwards."""
        if self.reason:
            return 0
        result = (self.result[0], *self.source[1:]) if self.stride > 1 else self.result
        return kpu_bytes(self.source) + kpu_bytes(result)


@dataclass(frozen=True)
class Fit:
    """The outcome: `faults` forbid the conversion, `notes` cost speed or room."""

    layers: list[Layer]
    faults: list[str]
    notes: list[str]

    @property
    def weight_bytes(self) -> int:
        """Of the whole network, after quantisation."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def kpu_bytes(self) -> int:
        """Of the layer that needs the most."""
        return max((layer.kpu_bytes for layer in self.layers), default=0)


def kpu_bytes(shape: tuple[int, int, int]) -> int:
    """Bytes of a uint8 map (channels, height, width) in KPU RAM, which has rows of 64 bytes.

    Narrow maps share rows: 4 channels up to a width of 16, 2 up to 32.
    """
    channels, height, width = shape
    shared = 4 if width <= 16 else 2 if width <= 32 else 1
    return math.ceil(channels / shared) * height * math.ceil(width / 64) * 64


def check_k210(path: Path) -> Fit:
    """Read an ONNX file of batch one and say what fits."""
    onnx = require("onnx", "checking a network for the K210")
    graph = onnx.shape_inference.infer_shapes(load_onnx(path)).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    layers = [
        _layer(onnx, node, shapes, sizes)
        for node in graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul")
    ]
    others = sorted(
        {node.op_type for node in graph.node}
        - {"Conv", "Gemm", "MatMul", "Relu", "Clip", "Constant", "Flatten", "Reshape", "Identity"}
    )
    return judge(shapes[graph.input[0].name], layers, others)


def _layer(onnx: Any, node: Any, shapes: dict[str, Any], sizes: dict[str, Any]) -> Layer:
    options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    weights = math.prod(sizes.get(node.input[1], [0]))
    source, result = shapes[node.input[0]], shapes[node.output[0]]
    name = node.name or node.output[0]
    if node.op_type != "Conv":
        return Layer(name, (source[1], 1, 1), (result[1], 1, 1), 1, weights, None)
    shape, out = tuple(source[1:]), tuple(result[1:])
    stride = max(options.get("strides", [1]))
    return Layer(name, shape, out, stride, weights, _not_for_kpu(options, shape, out))


def _not_for_kpu(options: dict[str, Any], source: Any, result: Any) -> str | None:
    """Why the KPU does not take a convolution."""
    kernel, group = list(options["kernel_shape"]), options.get("group", 1)
    pads = list(options.get("pads", [0, 0, 0, 0]))
    sides = (*source[1:], *result[1:])
    if kernel not in _KPU_KERNELS:
        return f"kernel {kernel[0]}x{kernel[1]}"
    if max(options.get("dilations", [1])) > 1:
        return "dilation"
    if max(options.get("strides", [1])) > 2:
        return "stride above 2"
    if group not in (1, source[0]):
        return f"{group} groups"
    if options.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or pads[:2] != pads[2:]:
        return f"asymmetric padding {pads}"
    if min(sides) < SMALLEST:
        return f"map below {SMALLEST}x{SMALLEST}"
    if max(source[0], result[0]) > CHANNELS:
        return f"more than {CHANNELS} channels"
    return None


def judge(shape: list[int], layers: list[Layer], others: list[str]) -> Fit:
    """Faults and notes of a network with input `shape` [1, 3, H, W]."""
    faults, notes = [], []
    height, width = shape[2:]
    if width > WIDEST or height > HIGHEST:
        faults.append(
            f"input {width}x{height}: the KPU takes maps up to {WIDEST}x{HIGHEST}; train with "
            "data.input_size=224"
        )
    if height % STRIDE or width % STRIDE:
        near = max(4 * STRIDE, STRIDE * round(min(height, width) / STRIDE))
        faults.append(
            f"input {width}x{height} is no multiple of {STRIDE}: maps of odd sides are padded on "
            f"the CPU; train with data.input_size={near}"
        )
    for layer in layers:
        if layer.kpu_bytes > KPU_RAM:
            faults.append(
                f"{layer.name}: input {_text(layer.source)} and output need "
                f"{layer.kpu_bytes / 2**20:.2f} MB of KPU RAM, there are 2; train with a smaller "
                "data.input_size"
            )
    total = sum(layer.weight_bytes for layer in layers)
    if total > GENERAL_RAM:
        faults.append(f"weights need {total / 2**20:.2f} MB of general RAM, there are 6")
    elif total > MAIXPY_ROOM:
        notes.append(
            f"weights need {total / 2**20:.2f} MB; MaixPy's firmware leaves about 3.5 of the 6: "
            "a minimal firmware, or weights read from flash, may be needed"
        )
    notes += _on_cpu(layers)
    if others:
        notes.append(f"on the CPU: {', '.join(others)}")
    return Fit(layers, faults, notes)


def _on_cpu(layers: list[Layer]) -> list[str]:
    """Layers that the KPU does not take, by reason."""
    reasons: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.reason:
            reasons.setdefault(layer.reason, []).append(layer)
    return [
        f"{reason}: {len(found)} layers run on the CPU in float32 ({found[0].name} … "
        f"{found[-1].name}, {sum(layer.weight_bytes for layer in found) / 2**20:.2f} MB)"
        for reason, found in reasons.items()
    ]


def _text(shape: tuple[int, int, int]) -> str:
    return f"{shape[2]}x{shape[1]}x{shape[0]}"
