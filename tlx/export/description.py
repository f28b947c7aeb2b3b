"""`model.json`: all that a program needs to use an artefact, and where the artefact came from.

The same content is stored inside ONNX files, as metadata under `tlx.KEY`, so that a file that was
copied alone still knows its classes and its input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import tlx
from tlx.detector.boxes import CENTER_VARIANCE, SIZE_VARIANCE
from tlx.export.network import Normalisation
from tlx.export.source import Source
from tlx.schema import DetectorConfig

VERSION = 1
INPUT, SCORES, BOXES = "input_0", "scores", "boxes"
_PREFIX = "tlx."


def describe(
    source: Source,
    normalisation: Normalisation,
    *,
    format: str,
    precision: str,
    opset: int | None,
) -> dict[str, Any]:
    """The description in plain values; `input.mean` and `input.std` are in pixels of 0..255."""
    detector = source.detector
    size, priors = detector.input_size, detector.priors.cpu().numpy()
    classes = detector.heads.classes
    low = [(0 - m) / s for m, s in zip(normalisation.mean, normalisation.std, strict=True)]
    high = [(255 - m) / s for m, s in zip(normalisation.mean, normalisation.std, strict=True)]
    return {
        "version": VERSION,
        "tlx": tlx.__version__,
        "format": format,
        "precision": precision,
        "opset": opset,
        "backbone": detector.spec.name,
        "classes": source.classes,
        "input_size": size,
        "input": {
            "name": INPUT,
            "shape": [1, 3, size, size],
            "dtype": "float32",
            "colour": "RGB",
            "resize": "stretch",
            "formula": _formula(normalisation),
            "mean": list(normalisation.mean),
            "std": list(normalisation.std),
            "range": [min(low), max(high)],
        },
        "outputs": [
            {"name": SCORES, "shape": [1, len(priors), classes]},
            {"name": BOXES, "shape": [1, len(priors), 4]},
        ],
        "score_form": "softmax, column 0 is the background",
        "box_form": "x1 y1 x2 y2 in 0..1 of the picture, not clipped",
        "priors": {
            "count": len(priors),
            "sha256": hashlib.sha256(priors.astype("<f4").tobytes()).hexdigest(),
        },
        "variances": [CENTER_VARIANCE, SIZE_VARIANCE],
        "postprocess": postprocess_options(source.config),
        "checkpoint": {"file": source.path.name, "sha256": source.sha256},
    }


def postprocess_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Threshold and NMS that the run's own figures were measured with."""
    default, own = DetectorConfig(), config.get("detector", {})
    names = ("score_threshold", "nms_iou", "max_detections")
    return {name: own.get(name, getattr(default, name)) for name in names}


def _formula(normalisation: Normalisation) -> str:
    mean, std = normalisation.mean, normalisation.std
    if len({*mean}) == 1 and len({*std}) == 1:
        if mean == std:
            return f"x / {std[0]:g} - 1"
        return f"(x - {mean[0]:g}) / {std[0]:g}"
    return "(x - mean) / std, per channel"


def to_properties(description: Mapping[str, Any]) -> dict[str, str]:
    """A description as ONNX metadata: JSON under `tlx.KEY`, sorted."""
    return {
        f"{_PREFIX}{key}": json.dumps(description[key], sort_keys=True)
        for key in sorted(description)
    }


def from_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    """What `to_properties` stored; empty where a file is not tlx's."""
    return {
        key.removeprefix(_PREFIX): json.loads(value)
        for key, value in properties.items()
        if key.startswith(_PREFIX)
    }
