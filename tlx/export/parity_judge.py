"""What an artefact may differ by from its checkpoint, and what is said when it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tlx.export.parity_choice import Slack


@dataclass(frozen=True)
class Tolerance:
    """What is put up with; None leaves a measure unjudged.

    Attributes:
        scores, boxes, shown_boxes_px: largest difference.
        map_50: change of mAP@.5 on test. objects: the same as a number of objects, where that is
            more; None judges gains too.
        agreement: least share, where mAP cannot be measured.
    """

    scores: float | None
    boxes: float | None
    shown_boxes_px: float | None
    map_50: float | None
    objects: int | None
    agreement: float | None


# fp32: rounding, the bound of the detectnet contract. Tensors that agree to that are the same
# network; what NMS makes of them must be explained by them, but one flip of nearly equal scores
# moves mAP on a small split by more than any bound worth having, so mAP is stated and not judged.
# fp16 has 11 bits, to which every layer rounds: boxes of the background, which the exponential
# makes large, move by more than those of objects do; single scores do where a runtime computes in
# float16 too. int8 moves single scores by much and is judged by what it detects: a split of 50
# objects cannot tell a loss of .02, which is one of them.
TOLERANCES = {
    "fp32": Tolerance(1e-4, 1e-4, None, None, None, None),
    "fp16": Tolerance(0.1, None, 2.0, 0.005, None, None),
    "int8": Tolerance(None, None, None, 0.02, 2, 0.9),
}


def slack_of(tolerance: Tolerance, side: int) -> Slack | None:
    """What detections may differ by from the checkpoint's tensors; None: they are not held to them.

    Args:
        side: of the input, in pixels.
    """
    if tolerance.scores is None:
        return None
    if tolerance.boxes is not None:
        return Slack(tolerance.scores, tolerance.boxes)
    assert tolerance.shown_boxes_px is not None
    return Slack(tolerance.scores, tolerance.shown_boxes_px / side)


def faults(result: dict[str, Any], tolerance: Tolerance) -> list[str]:
    """What is beyond the tolerance, in words; and whether nothing could be judged at all."""
    judged = {**_tensors(result, tolerance), **_detections(result, tolerance)}
    if judged:
        return [text for text in judged.values() if text]
    return [
        f"nothing was found on {result['of']} to judge it by; name a folder of pictures with "
        "objects in them"
    ]


def _tensors(result: dict[str, Any], tolerance: Tolerance) -> dict[str, str | None]:
    """Judged measure -> what is wrong with it, or None."""
    judged: dict[str, str | None] = {}
    for key in ("scores", "boxes", "shown_boxes_px"):
        limit, value = getattr(tolerance, key), result[key]
        if limit is not None and value is not None:
            # Written so that NaN, which is no number, is a fault too.
            within = value <= limit
            text = f"{key} differ by up to {value:.2g}, {limit:g} is put up with"
            judged[key] = None if within else text
    return judged


def _detections(result: dict[str, Any], tolerance: Tolerance) -> dict[str, str | None]:
    """`_tensors` for what is detected."""
    judged: dict[str, str | None] = {}
    if (wrong := result["unexplained"]) is not None:
        text = f"{wrong} of its detections, or of those it lacks, contradict the checkpoint's"
        judged["unexplained"] = f"{text} scores and boxes" if wrong else None
    limit, pair = tolerance.map_50, result["map_50"]
    if limit is not None and pair is not None and None not in pair:
        change = abs(pair[1] - pair[0])
        if tolerance.objects is not None:
            limit = max(limit, tolerance.objects / max(1, result["objects"]))
            change = pair[0] - pair[1]
        text = f"mAP@.5 is {pair[1]:.4f} against {pair[0]:.4f}, {limit:.2g} is put up with"
        judged["map_50"] = text if change > limit else None
    elif (least := tolerance.agreement) is not None and (share := result["agreement"]) is not None:
        text = f"it finds {share:.1%} of the checkpoint's detections, {least:.1%} is the least"
        judged["agreement"] = text if share < least else None
    return judged
