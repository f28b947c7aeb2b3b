"""What of a network fits a K210 board, told from the ONNX file before any conversion.

The chip has 6 MB of general RAM, which weights, firmware and program share, and 2 MB of KPU RAM,
which holds input and output of the layer that runs. The KPU takes 1x1 and 3x3 convolutions, normal
or depthwise, with symmetric padding, on maps between 4x4 and 320x240 with up to 1024 channels
(nncase's FAQ). What it does not take runs on the CPU, in float32 and slowly, and so does a
convolution right before or behind it. The sums are estimates; docs/maixpy.md has them beside what
nncase 1.9 makes of the backbones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlx.common.errors import ExportError, first_line
from tlx.common.packages import require
from tlx.export.onnx_file import load_onnx

GENERAL_RAM = 6 * 2**20
KPU_RAM = 2 * 2**20
CLOSE = 0.85  # of the KPU's RAM: from here on nncase's allocator may find no room
BEYOND = int(0.27 * 2**20)  # what nncase 1.9 takes at most beyond the estimate of general RAM
MAIXPY_ROOM = int(3.5 * 2**20)  # what MaixPy's firmware leaves of the general RAM (Sipeed)
WIDEST, HIGHEST, SMALLEST, CHANNELS = 320, 240, 4, 1024
STRIDE = 32  # of the backbones: a side that is no multiple of it gives maps of odd sides
_ACTIVATIONS = ("Relu", "Clip")
_ASYMMETRIC = "asymmetric padding"
_KPU_KERNELS = ([1, 1], [3, 3])


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product.

    Attributes:
        source, result: shapes (channels, height, width). reason: why the KPU does not take it, or
            None. dense: whether it is a matrix product, of the head.
    """

    name: str
    source: tuple[int, int, int]
    result: tuple[int, int, int]
    stride: int
    weights: int
    reason: str | None
    dense: bool = False

    @property
    def weight_bytes(self) -> int:
        """uint8 on the KPU, float32 on the CPU."""
        return self.weights * (4 if self.reason else 1)

    @property
    def working_bytes(self) -> int:
        """General RAM of input and output."""
        values = math.prod(self.source) + math.prod(self.result)
        return values * (4 if self.reason else 1)

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
    """The outcome: `faults` forbid the conversion, `notes` cost speed or room.

    Attributes:
        input_bytes: of the picture.
    """

    layers: list[Layer]
    input_bytes: int
    faults: list[str]
    notes: list[str]

    @property
    def weight_bytes(self) -> int:
        """Of the whole network, after quantisation."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def general_bytes(self) -> int:
        """Weights, picture, and input and output of the layer that needs the most."""
        working = max((layer.working_bytes for layer in self.layers), default=0)
        return self.weight_bytes + self.input_bytes + working

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
    """Read an ONNX file of batch one and say what fits; `ExportError` for a damaged one."""
    try:
        return _check(path)
    except ExportError:
        raise
    except Exception as error:  # of a graph that is not as tlx writes it; ONNX has types of its own
        raise ExportError(
            f"{path}: its graph is damaged, or none of tlx ({first_line(error)}): export it again"
        ) from error


def _check(path: Path) -> Fit:
    onnx = require("onnx", "checking a network for the K210")
    onnx.checker.check_model(model := load_onnx(path))
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    layers = [_layer(onnx, node, shapes, sizes) for node in nodes]
    layers = _with_neighbours(graph, nodes, layers)
    others = sorted(
        {node.op_type for node in graph.node}
        - {"Conv", "Gemm", "MatMul", "Constant", "Flatten", "Reshape", "Identity", *_ACTIVATIONS}
    )
    return judge(shapes[graph.input[0].name], layers, others)


def _with_neighbours(graph: Any, nodes: list[Any], layers: list[Layer]) -> list[Layer]:
    """nncase 1.9 leaves a convolution right before or behind one of the CPU on the CPU too."""
    behind = {node.output[0]: node.input[0] for node in graph.node if node.op_type in _ACTIVATIONS}
    place = {node.output[0]: index for index, node in enumerate(nodes)}
    changed = list(layers)
    for index, node in enumerate(nodes):
        source = place.get(behind.get(node.input[0], node.input[0]))
        if source is None or node.op_type != "Conv":
            continue
        for one, other in ((index, source), (source, index)):
            if layers[other].reason and not layers[one].reason:
                reason = layers[other].reason or ""
                article = "an" if reason.startswith(_ASYMMETRIC) else "a"
                changed[one] = replace(changed[one], reason=f"beside {article} {reason}")
    return changed


def _layer(onnx: Any, node: Any, shapes: dict[str, Any], sizes: dict[str, Any]) -> Layer:
    options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    weights = math.prod(sizes.get(node.input[1], [0]))
    source, result = shapes[node.input[0]], shapes[node.output[0]]
    name = node.name or node.output[0]
    if node.op_type != "Conv":
        return Layer(name, (source[1], 1, 1), (result[1], 1, 1), 1, weights, None, dense=True)
    shape, out = tuple(source[1:]), tuple(result[1:])
    stride = max(options.get("strides", [1]))
    return Layer(name, shape, out, stride, weights, _not_for_kpu(options, shape, out))


def _not_for_kpu(options: dict[str, Any], source: Any, result: Any) -> str | None:
    """Why the KPU does not take a convolution."""
    kernel, group = list(options["kernel_shape"]), options.get("group", 1)
    pads = list(options.get("pads", [0, 0, 0, 0]))
    if kernel not in _KPU_KERNELS:
        return f"kernel {kernel[0]}x{kernel[1]}"
    if max(options.get("dilations", [1])) > 1:
        return "dilation"
    if max(options.get("strides", [1])) > 2:
        return "stride above 2"
    if group not in (1, source[0]):
        return f"{group} groups"
    if options.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or pads[:2] != pads[2:]:
        return f"{_ASYMMETRIC} {pads}"
    if max(source[0], result[0]) > CHANNELS:
        return f"more than {CHANNELS} channels"
    return None


def judge(shape: list[int], layers: list[Layer], others: list[str]) -> Fit:
    """Faults and notes of a network with input `shape` [1, 3, H, W]."""
    height, width = shape[2:]
    fit = Fit(layers, math.prod(shape), [], [])
    if width > WIDEST or height > HIGHEST:
        fit.faults.append(
            f"input {width}x{height}: the KPU takes maps up to {WIDEST}x{HIGHEST}; train with "
            "data.input_size=224"
        )
    if height % STRIDE or width % STRIDE:
        near = max(SMALLEST * STRIDE, STRIDE * round(min(height, width) / STRIDE))
        fit.faults.append(
            f"input {width}x{height} is no multiple of {STRIDE}: maps of odd sides are padded on "
            f"the CPU and take more RAM; train with data.input_size={near}"
        )
    for layer in layers:
        if layer.kpu_bytes > KPU_RAM:
            fit.faults.append(
                f"{layer.name}: input {_text(layer.source)} and output need {_mb(layer.kpu_bytes)} "
                "of KPU RAM, there are 2; train with a smaller data.input_size"
            )
    if CLOSE * KPU_RAM < fit.kpu_bytes <= KPU_RAM:
        fit.notes.append(
            f"{_mb(fit.kpu_bytes)} of 2 MB of KPU RAM is close: the conversion may find no room"
        )
    parts = f"{_mb(fit.general_bytes)} of general RAM ({_mb(fit.weight_bytes)} of it weights)"
    dense = sum(layer.weight_bytes for layer in layers if layer.dense)
    if fit.general_bytes + BEYOND > GENERAL_RAM:
        advice = "backbone=mobilenet_v1 runs wholly on the KPU"
        if fit.general_bytes - dense + BEYOND <= GENERAL_RAM:
            advice = (
                f"{_mb(dense)} are of the head: train with classifier.head=linear, or with "
                "backbone=mobilenet_v2"
            )
        if any(_ASYMMETRIC in (layer.reason or "") for layer in layers):
            advice = (
                "its weights want asymmetric padding (TensorFlow's SAME), which the KPU does not "
                "take: train from weights with symmetric padding, as the other sources of "
                "backbone.weights have it"
            )
        fit.faults.append(
            f"it needs {parts} and nncase up to {_mb(BEYOND)} more, there are 6; {advice}"
        )
    elif fit.general_bytes > MAIXPY_ROOM:
        fit.notes.append(
            f"it needs {parts}; MaixPy's full firmware leaves about 3.5: take a minimal one"
        )
    if min(min(layer.source[1:]) for layer in layers if layer.source[1:] != (1, 1)) < SMALLEST:
        fit.notes.append(
            f"maps below {SMALLEST}x{SMALLEST} are padded; data.input_size=128 has none"
        )
    fit.notes.extend(_on_cpu(layers))
    if others:
        fit.notes.append(f"on the CPU: {', '.join(others)}")
    return fit


def _mb(count: int) -> str:
    return f"{count / 2**20:.2f} MB"


def _on_cpu(layers: list[Layer]) -> list[str]:
    """Layers that the KPU does not take, by reason."""
    reasons: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.reason:
            reasons.setdefault(layer.reason, []).append(layer)
    return [
        f"{reason}: {len(found)} layers run on the CPU in float32 ({found[0].name} … "
        f"{found[-1].name}, {_mb(sum(layer.weight_bytes for layer in found))})"
        for reason, found in reasons.items()
    ]


def _text(shape: tuple[int, int, int]) -> str:
    return f"{shape[2]}x{shape[1]}x{shape[0]}"
