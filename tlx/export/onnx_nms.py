"""Non-maximum suppression as ONNX nodes behind a raw model, for ONNX Runtime.

Not for TensorRT before 8.6, whose parser has no NonMaxSuppression, nor for detectnet, which does
its own clustering.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tlx.common.packages import require
from tlx.runtime.description import BOXES, SCORES

OUTPUTS = ("boxes", "scores", "labels")


def with_nms(model: Any, options: Mapping[str, Any]) -> Any:
    """A raw model -> one with outputs boxes (n, 4), scores (n,) and labels (n,), best first.

    Boxes are clipped to 0..1, labels int64 and 1-based, as the detector's own postprocessing gives
    them; n is at most `max_detections`. Opset 13 or later.

    Args:
        options: `score_threshold`, `nms_iou` and `max_detections`.
    """
    onnx = require("onnx", "onnx_nms")
    result = type(model)()
    result.CopyFrom(model)
    graph = result.graph
    for name in (SCORES, BOXES):
        _rename(graph, name, f"raw_{name}")
    limit = np.array([options["max_detections"]], np.int64)
    constants = {
        "nms_zero": np.array(0, np.float32),
        "nms_one": np.array(1, np.float32),
        "nms_first": np.array([0], np.int64),
        "nms_second": np.array([1], np.int64),
        "nms_third": np.array([2], np.int64),
        "nms_end": np.array([np.iinfo(np.int64).max], np.int64),
        "nms_limit": limit,
        "nms_iou": np.array([options["nms_iou"]], np.float32),
        "nms_threshold": np.array([options["score_threshold"]], np.float32),
    }
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Clip", ["raw_boxes", "nms_zero", "nms_one"], ["nms_clipped"], {}),
        # Without the background, classes before priors.
        ("Slice", ["raw_scores", "nms_second", "nms_end", "nms_third"], ["nms_objects"], {}),
        ("Transpose", ["nms_objects"], ["nms_scores"], {"perm": [0, 2, 1]}),
        # Either pair of opposite corners is a box to the operator, so that x y needs no swap.
        ("NonMaxSuppression",
         ["nms_clipped", "nms_scores", "nms_limit", "nms_iou", "nms_threshold"], ["nms_kept"], {}),
        ("GatherND", ["nms_scores", "nms_kept"], ["nms_found"], {}),
        ("Shape", ["nms_found"], ["nms_count"], {}),
        ("Min", ["nms_count", "nms_limit"], ["nms_best"], {}),
        ("TopK", ["nms_found", "nms_best"], ["scores", "nms_order"], {"axis": 0, "sorted": 1}),
        ("Gather", ["nms_kept", "nms_order"], ["nms_chosen"], {"axis": 0}),
        ("Slice", ["nms_chosen", "nms_second", "nms_third", "nms_second"], ["nms_class"], {}),
        ("Squeeze", ["nms_class", "nms_second"], ["nms_label"], {}),
        ("Add", ["nms_label", "nms_second"], ["labels"], {}),
        ("Slice", ["nms_chosen", "nms_third", "nms_end", "nms_second"], ["nms_prior"], {}),
        ("Squeeze", ["nms_prior", "nms_second"], ["nms_priors"], {}),
        ("Squeeze", ["nms_clipped", "nms_first"], ["nms_all_boxes"], {}),
        ("Gather", ["nms_all_boxes", "nms_priors"], ["boxes"], {"axis": 0}),
    ]  # fmt: skip
    for operator, inputs, outputs, attributes in nodes:
        name = f"nms/{outputs[0]}"
        graph.node.append(onnx.helper.make_node(operator, inputs, outputs, name, **attributes))
    graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    del graph.output[:]
    float32, int64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    for name, kind, shape in (
        ("boxes", float32, ["detections", 4]),
        ("scores", float32, ["detections"]),
        ("labels", int64, ["detections"]),
    ):
        graph.output.append(onnx.helper.make_tensor_value_info(name, kind, shape))
    return result


def _rename(graph: Any, old: str, new: str) -> None:
    """Give a tensor another name, wherever it is made or read."""
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
