"""What an artefact may differ by from its checkpoint, and what is said when it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tolerance:
    """What is put up with; None leaves a measure unjudged.

    Attributes:
        scores, boxes, shown_boxes_px: largest difference. map_50: change of mAP@.5 on test.
        agreement: least share, where mAP cannot be measured.
    """

    scores: float | None
    boxes: float | None
    shown_boxes_px: float | None
    map_50: float
    agreement: float


# fp32: rounding, the bound of the detectnet contract. fp16 has 11 bits, to which every layer
# rounds: boxes of the background, which the exponential makes large, move by more than those of
# objects do. int8 moves single scores by much and is judged by what it detects.
TOLERANCES = {
    "fp32": Tolerance(1e-4, 1e-4, None, 0.001, 0.999),
    "fp16": Tolerance(0.05, None, 2.0, 0.005, 0.98),
    "int8": Tolerance(None, None, None, 0.02, 0.9),
}


def faults(result: dict[str, Any], tolerance: Tolerance) -> list[str]:
    """What is beyond the tolerance, in words; and whether nothing could be judged at all."""
    found = []
    judged = False
    for key in ("scores", "boxes", "shown_boxes_px"):
        limit, value = getattr(tolerance, key), result[key]
        if limit is not None and value is not None:
            judged = True
            # Written so that NaN, which is no number, is a fault too.
            if not value <= limit:
                found.append(f"{key} differ by up to {value:.2g}, {limit:g} is put up with")
    if result["map_50"] is not None and None not in result["map_50"]:
        judged = True
        before, after = result["map_50"]
        if abs(after - before) > tolerance.map_50:
            found.append(
                f"mAP@.5 is {after:.4f} against {before:.4f}, {tolerance.map_50:g} is put up with"
            )
    elif result["agreement"] is not None:
        judged = True
        if result["agreement"] < tolerance.agreement:
            found.append(
                f"it finds {result['agreement']:.1%} of the checkpoint's detections, "
                f"{tolerance.agreement:.1%} is the least"
            )
    if not judged:
        found.append(
            f"nothing was found on {result['of']} to judge it by; name a folder of pictures with "
            "objects in them"
        )
    return found
