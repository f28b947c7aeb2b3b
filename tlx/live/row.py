"""What was found in a frame as a row of the JSON outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tlx.live.frame import Frame
from tlx.models.postprocess import Detections


def make_row(
    frame: Frame, found: Detections | None, tracks: Sequence[int | None], classes: list[str]
) -> dict[str, Any]:
    """Boxes in the frame's pixels; `found` is None for a picture that cannot be read."""
    row: dict[str, Any]
    if frame.path is not None:
        row = {"image": str(frame.path)}
    else:
        row = {"frame": frame.index, "time_s": frame.time_s}
    if frame.pixels is None or found is None:
        return row | {"error": frame.error, "detections": []}
    height, width = frame.pixels.shape[:2]
    boxes = (found.boxes.cpu() * torch.tensor([width, height] * 2)).tolist()
    detections = [
        {"class": classes[label - 1], "score": score, "box": box}
        for box, label, score in zip(
            boxes, found.labels.tolist(), found.scores.tolist(), strict=True
        )
    ]
    for detection, track in zip(detections, tracks, strict=True):
        if track is not None:
            detection["track"] = track
    return row | {"width": width, "height": height, "detections": detections}
