"""`model.json`: all that a program needs to use an artefact, and where the artefact came from.

ONNX files carry the same JSON in their metadata, so that one that was copied alone still knows its
classes and its input. `tlx.runtime.meta` reads both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tlx.common.version import __version__
from tlx.config.schema import DetectorConfig
from tlx.data.framing import WHOLE, Framing
from tlx.models.normalisation import Normalisation
from tlx.runtime.source import Source

VERSION = 1
INPUT, SCORES, BOXES = "input_0", "scores", "boxes"
METADATA = "tlx"  # the ONNX metadata entry
_KEPT_CONFIG = ("data", "detector")  # what evaluation needs; the rest is in the run's folder


def describe(
    source: Source,
    normalisation: Normalisation,
    *,
    format: str,
    precision: str,
    opset: int | None,
) -> dict[str, Any]:
    """The description in plain values; `mean` and `std` are of pixels in 0..1."""
    detector = source.detector
    size = detector.input_size
    return {
        "version": VERSION,
        "tlx": __version__,
        "format": format,
        "precision": precision,
        "opset": opset,
        "backbone": detector.spec.name,
        "detector": detector.name,
        "classes": source.classes,
        "input_size": size,
        **describe_input(size, normalisation, source.framing),
        **_outputs(format, len(detector.priors), detector.classes + 1),
        "score_form": "softmax, column 0 is the background",
        "box_form": _box_form(source.framing),
        **detector.describe(),
        "postprocess": postprocess_options(source.config),
        "checkpoint": source.path.name,
        "checkpoint_sha256": source.sha256,
        "dataset": source.dataset,
        "config": {key: source.config[key] for key in _KEPT_CONFIG if key in source.config},
    }


def _box_form(framing: Framing) -> str:
    if framing.plain:
        return "x1 y1 x2 y2 in 0..1 of the picture, not clipped"
    return f"x1 y1 x2 y2 in 0..1 of the input, which shows {framing.words}; not clipped"


def describe_input(
    size: int, normalisation: Normalisation, framing: Framing = WHOLE
) -> dict[str, Any]:
    """What a network of `size` px takes; `mean` and `std` are of pixels in 0..1."""
    return {
        "mean": [round(m / 255, 9) for m in normalisation.mean],
        "std": [round(s / 255, 9) for s in normalisation.std],
        "input": {
            "name": INPUT,
            "shape": [1, 3, size, size],
            "dtype": "float32",
            "colour": "RGB",
            **framing.describe(),
            "of_pixels_0_255": normalisation.formula(),
            "range": normalisation.range(),
        },
    }


def _outputs(format: str, priors: int, classes: int) -> dict[str, Any]:
    if format == "onnx_nms":
        shapes: dict[str, list[Any]] = {"boxes": ["n", 4], "scores": ["n"], "labels": ["n"]}
    else:
        shapes = {SCORES: [1, priors, classes], BOXES: [1, priors, 4]}
    return {"outputs": list(shapes), "output_shapes": shapes}


def postprocess_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Threshold and NMS that the run's own figures were measured with."""
    default, own = DetectorConfig(), config.get("detector", {})
    names = ("score_threshold", "nms_iou", "max_detections")
    return {name: own.get(name, getattr(default, name)) for name in names}


def to_properties(description: Mapping[str, Any]) -> dict[str, str]:
    """A description as ONNX metadata."""
    return {METADATA: json.dumps(description, sort_keys=True)}


def from_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    """What `to_properties` stored; empty where a file is not tlx's."""
    stored: dict[str, Any] = json.loads(properties.get(METADATA, "{}"))
    return stored
