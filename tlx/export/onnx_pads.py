"""Zeros in front of a convolution become its own `pads`, which may differ between sides in ONNX.

PyTorch's convolutions cannot pad one side only (TensorFlow's SAME with stride 2), so networks have
a layer for it. In the file it would be one more pass over the map, an operator more for old parsers
and quantisers to know, and padding that a check of the convolutions overlooks.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tlx.common.packages import require

_LONGEST = 50  # nodes of a calculation of widths: torch 2 writes 15


def fold_pads(model: Any) -> None:
    """Change the graph of a `ModelProto` in place; what is then unread is left in it."""
    onnx, changed = require("onnx", "ONNX"), False
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        pad = makers.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None or pad.op_type != "Pad":
            continue
        options = {a.name: a for a in node.attribute}
        borders = _zeros(onnx, pad, model, makers)
        if borders is None or "auto_pad" in options:
            continue
        own = options.get("pads")
        pads = [a + b for a, b in zip(own.ints if own else [0] * 4, borders, strict=True)]
        if own:
            node.attribute.remove(own)
        node.attribute.append(onnx.helper.make_attribute("pads", pads))
        node.input[0] = pad.input[0]
        changed = True
    if changed:
        _state_shapes(onnx, model)


def _state_shapes(onnx: Any, model: Any) -> None:
    """Of the outputs: the exporter takes the widths, and all that follows, for unknown."""
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    for value, found in zip(model.graph.output, inferred.graph.output, strict=True):
        value.CopyFrom(found)


def _zeros(onnx: Any, pad: Any, model: Any, makers: dict[str, Any]) -> list[int] | None:
    """Top, left, bottom, right of a Pad of zeros around maps; None of any other one."""
    options = {a.name: onnx.helper.get_attribute_value(a) for a in pad.attribute}
    # Up to opset 10, which nobody writes here, the widths are an attribute; a fourth input, of
    # opset 18 on, names axes.
    if options.get("mode", b"constant") != b"constant" or not 2 <= len(pad.input) <= 3:
        return None
    if len(pad.input) == 3 and pad.input[2]:
        value = _constant(onnx, pad.input[2], model, makers)
        if value is None or value.any():
            return None
    widths = _constant(onnx, pad.input[1], model, makers)
    if widths is None or widths.shape != (8,) or widths.min() < 0 or widths[[0, 1, 4, 5]].any():
        return None
    return [int(widths[place]) for place in (2, 3, 6, 7)]


def _constant(onnx: Any, name: str, model: Any, makers: dict[str, Any]) -> Any:
    """The value of a tensor that follows from constants alone, else None.

    torch's exporter up to opset 17 writes the widths as a calculation with nothing but constants.
    """
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[Any] = []
    used: dict[str, Any] = {}
    wanted, seen = [name], {""}
    while wanted:
        if (needed := wanted.pop()) in seen:
            continue
        seen.add(needed)
        if needed in held:
            used[needed] = held[needed]
        elif needed in makers and len(nodes) < _LONGEST:
            nodes.append(makers[needed])
            wanted.extend(makers[needed].input)
        else:
            return None  # the picture decides it
    places = {id(node): place for place, node in enumerate(model.graph.node)}
    nodes.sort(key=lambda node: places[id(node)])
    result = onnx.helper.make_empty_tensor_value_info(name)
    graph = onnx.helper.make_graph(nodes, "widths", [], [result], list(used.values()))
    part = onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    evaluator = import_module("onnx.reference").ReferenceEvaluator(part)
    return evaluator.run(None, {})[0]
