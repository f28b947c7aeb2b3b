"""What jetson-inference's `detectnet` demands of an ONNX detector and its labels.

    detectnet --model=NAME.onnx --labels=labels.txt --input-blob=input_0 \\
              --output-cvg=scores --output-bbox=boxes SOURCE

Input float32 [1, 3, H, W]; outputs in this order: scores [1, P, C], softmax with the background
first, and boxes [1, P, 4], x1 y1 x2 y2 in 0..1. No NMS in the graph, nothing dynamic. It feeds
x / 127.5 - 1. One label a line, BACKGROUND first, as many as C. Nothing quantised: detectnet builds
its engine in float, and TensorRT up to 8.6 refuses Q/DQ nodes in an engine without int8 (7.1 does
not parse them at all); of the QOperator form no version parses anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlx.common.errors import ExportError
from tlx.common.packages import require
from tlx.data.framing import Framing
from tlx.export.job import NEAR
from tlx.export.onnx_file import load_onnx, opset_of
from tlx.models.normalisation import DETECTNET, Normalisation
from tlx.runtime.description import BOXES, INPUT, SCORES, from_properties
from tlx.runtime.source import BACKGROUND

# Operators whose output shape depends on values: the parsers of TensorRT 7 and 8 refuse them.
_DYNAMIC = {"NonMaxSuppression", "NonZero", "Unique", "Compress", "Loop", "If", "TopK"}
_PAIRS = {"QuantizeLinear", "DequantizeLinear"}
_QOPERATORS = {
    "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear",
}  # fmt: skip
OPSET_OF_TENSORRT = {"7.1": 11, "8.0": 13, "8.2": 13, "8.4": 17, "8.6": 17, "10.0": 20, "11": 25}


def check_detectnet(model: Path, labels: Path) -> list[str]:
    """Every fault of the pair as a sentence; an empty list when detectnet can use it."""
    faults = [*check_interface(model, labels), *check_normalisation(model)]
    return faults + check_precision(model) + check_resize(model)


def check_interface(model: Path, labels: Path) -> list[str]:
    """Faults that keep detectnet from running the pair."""
    try:
        proto = load_onnx(model)
        opset = opset_of(proto)
    except ExportError as error:
        return [str(error)]
    faults = []
    if opset > max(OPSET_OF_TENSORRT.values()):
        faults.append(f"opset {opset} is newer than any TensorRT parses")
    held = {initializer.name for initializer in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in held]
    if [value.name for value in inputs] != [INPUT]:
        faults.append(f"inputs are {[value.name for value in inputs]}, not [{INPUT!r}]")
    outputs = list(proto.graph.output)
    if [value.name for value in outputs] != [SCORES, BOXES]:
        names = [value.name for value in outputs]
        faults.append(f"outputs are {names}, not [{SCORES!r}, {BOXES!r}] in this order")
    if faults:
        return faults
    faults += _shapes(inputs[0], *outputs)
    dynamic = sorted({node.op_type for node in proto.graph.node} & _DYNAMIC)
    if dynamic:
        faults.append(
            f"{', '.join(dynamic)} in the graph: TensorRT on the older JetPacks parses none"
        )
    classes = _shape(outputs[0])[-1]
    return faults + check_labels(labels, classes if isinstance(classes, int) else None)


def _shapes(image: Any, scores: Any, boxes: Any) -> list[str]:
    faults = []
    onnx = require("onnx", "the contract")
    for value in (image, scores, boxes):
        kind = value.type.tensor_type.elem_type
        if kind != onnx.TensorProto.FLOAT:
            faults.append(f"{value.name} is {onnx.TensorProto.DataType.Name(kind)}, not FLOAT")
        loose = [size for size in _shape(value) if not isinstance(size, int)]
        if loose:
            faults.append(f"{value.name} has the dynamic sizes {loose}; all must be fixed")
    shapes = [_shape(value) for value in (image, scores, boxes)]
    if len(shapes[0]) != 4 or shapes[0][:2] != [1, 3]:
        faults.append(f"{INPUT} is {shapes[0]}, not [1, 3, height, width]")
    if len(shapes[1]) != 3 or shapes[1][0] != 1:
        faults.append(f"{SCORES} is {shapes[1]}, not [1, priors, classes]")
    if len(shapes[2]) != 3 or shapes[2][0] != 1 or shapes[2][2] != 4:
        faults.append(f"{BOXES} is {shapes[2]}, not [1, priors, 4]")
    elif len(shapes[1]) == 3 and shapes[1][1] != shapes[2][1]:
        faults.append(f"{SCORES} has {shapes[1][1]} priors, {BOXES} {shapes[2][1]}")
    return faults


def _shape(value: Any) -> list[int | str]:
    """Sizes; a dynamic one as its name, or `?`."""
    sizes = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in sizes]


def check_normalisation(model: Path) -> list[str]:
    """Where the file says what its input is: whether what detectnet feeds is near that."""
    try:
        proto = load_onnx(model)
    except ExportError:
        return []  # the interface's fault
    stated = from_properties({entry.key: entry.value for entry in proto.metadata_props})
    if "mean" not in stated:
        return []
    wanted = Normalisation(*(tuple(255 * v for v in stated[key]) for key in ("mean", "std")))
    off = wanted.off(DETECTNET)
    if off <= NEAR:
        return []
    return [
        f"the input is {wanted.formula()}, detectnet feeds x / 127.5 - 1 (up to "
        f"{off:.2f} off): export with normalisation=detectnet"
    ]


def check_resize(model: Path) -> list[str]:
    """Where the file says how it sees pictures: whether detectnet shows them so."""
    try:
        proto = load_onnx(model)
        stated = from_properties({entry.key: entry.value for entry in proto.metadata_props})
        framing = Framing.read(stated.get("input"))
    except ExportError:
        return []  # the interface's fault
    except ValueError as error:
        return [str(error)]
    if framing.plain:
        return []
    return [
        f"detectnet stretches whole pictures, the network was trained on {framing.words}: its "
        "boxes would be wrong. Train it with data.letterbox=false and without data.tile for that"
    ]


def check_precision(model: Path) -> list[str]:
    """Whether anything in the graph is quantised."""
    try:
        proto = load_onnx(model)
    except ExportError:
        return []  # the interface's fault
    quantised = sorted({n.op_type for n in proto.graph.node} & (_PAIRS | _QOPERATORS))
    if not quantised:
        return []
    return [
        f"{', '.join(quantised)} in the graph: detectnet builds float engines and cannot take int8 "
        "from the file; give it the fp32 file, and int8 to trtexec or jetson_benchmark.py"
    ]


def check_labels(labels: Path, classes: int | None) -> list[str]:
    """Faults of a labels file for a network with `classes` columns of scores (None: unknown)."""
    try:
        content = labels.read_bytes()
    except OSError as error:
        return [f"{labels} cannot be read: {error.strerror}"]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return [f"{labels} is not UTF-8: {error.reason} at byte {error.start}"]
    faults = []
    if "\r" in text:
        faults.append(f"{labels} has CRLF line ends, which become part of the names")
    if text.startswith("\ufeff"):
        faults.append(f"{labels} starts with a byte order mark, which becomes part of a name")
    lines = text.lstrip("\ufeff").splitlines()
    blank = [number for number, line in enumerate(lines, 1) if not line.strip()]
    if blank:
        faults.append(f"{labels}:{blank[0]} is blank, which counts as a class")
    if not lines or lines[0] != BACKGROUND:
        faults.append(f"{labels}:1 is {lines[0] if lines else 'missing'!r}, not {BACKGROUND}")
    if classes is not None and len(lines) != classes:
        faults.append(f"{labels} has {len(lines)} lines, the network {classes} classes")
    return faults
