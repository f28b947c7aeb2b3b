"""Is the artefact the checkpoint? Both run on real pictures, and what differs is measured.

The result goes into `model.json` under `parity`, whether it is within the tolerance or not:

    {"passed": true, "backend": "onnxruntime", "pictures": 50, "of": "test of guns",
     "scores": 2e-6, "boxes": 1e-6, "shown_boxes_px": 4e-4, "unexplained": 0,
     "agreement": 1.0, "differing": 0, "objects": 56, "map_50": [0.871, 0.871],
     "map": [0.522, 0.522], "tolerance": {...}, "faults": []}

`scores` and `boxes` are the largest differences over all priors and pictures (boxes in 0..1; of one
beyond the picture relative to its largest coordinate); `shown_boxes_px` is that of boxes with an
object's score of at least `SHOWN`, in pixels of the input; `unexplained` counts detections that the
checkpoint's tensors do not allow (`tlx.export.parity_choice`); `agreement` is the share of the
checkpoint's detections of at least `SHOWN` that the artefact finds too (same class, IoU at least
.5), `differing` how many it does not; `objects` is how many the pictures have, difficult ones left
out; mAP is of checkpoint and artefact. None: not measurable, or not held to.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError, ExportError
from tlx.common.files import read_json, write_json
from tlx.evaluation.evaluator import Evaluator
from tlx.evaluation.gather import Gather
from tlx.export.parity_choice import Slack, unexplained
from tlx.export.parity_judge import TOLERANCES, faults, slack_of
from tlx.export.parity_pictures import Pictures, parity_pictures
from tlx.runtime.base import Raw, Runtime
from tlx.runtime.description import postprocess_options
from tlx.runtime.meta import MODEL_JSON
from tlx.runtime.opening import default_backend, open_model
from tlx.runtime.postprocess import Found, select_all
from tlx.runtime.preprocess import normalize
from tlx.runtime.tensors import as_tensors

log = logging.getLogger(__name__)
SHOWN = 0.3  # least score of what a user would be shown


def check(
    checkpoint: Path,
    artefact: Path,
    *,
    cache_dir: Path,
    pictures: Path | None = None,
    backend: str | None = None,
) -> dict[str, Any]:
    """Compare, write the result into the artefact's `model.json`, and return it.

    Args:
        pictures: a folder, for a checkpoint whose data set is not known; else `test` of the run.
        backend: that runs the artefact; None takes the first that reads it.

    Raises:
        ExportError: the artefact is of another checkpoint, or differs beyond the tolerance.
        ToolError: what runs the artefact is not installed.
    """
    try:
        backend = backend or default_backend(artefact)
    except ConfigError:
        reason = f"no backend runs {artefact.suffix} files on a desk"
        log.warning("parity of %s is not checked: %s", artefact, reason)
        return _stored(artefact, {"passed": None, "reason": reason})
    with open_model(checkpoint) as reference, open_model(artefact, backend) as candidate:
        made_from = candidate.meta.checkpoint_sha256
        if made_from != reference.meta.checkpoint_sha256:
            raise ExportError(f"{artefact} was made from another checkpoint than {checkpoint}")
        shown = parity_pictures(reference.meta, cache_dir, pictures)
        result = compare(reference, candidate, shown)
    tolerance = TOLERANCES[candidate.meta.precision]
    result["faults"] = faults(result, tolerance)
    result |= {"passed": not result["faults"], "backend": backend, "tolerance": asdict(tolerance)}
    _stored(artefact, result)
    if result["faults"]:
        raise ExportError(
            f"{artefact} is not the checkpoint under {backend}: {'; '.join(result['faults'])}. "
            f"It must not be deployed; the figures are in {artefact.parent / MODEL_JSON}"
        )
    return result


def compare(reference: Runtime, candidate: Runtime, shown: Pictures) -> dict[str, Any]:
    """All measures of two runtimes on the same pictures."""
    options = {**postprocess_options({}), **candidate.meta.postprocess}
    largest = {"scores": 0.0, "boxes": 0.0, "shown_boxes_px": 0.0}
    agreed, contradicting = np.zeros(2, int), np.zeros(2, int)
    slack = slack_of(TOLERANCES[candidate.meta.precision], reference.meta.input_size)
    evaluators = [Evaluator(list(candidate.meta.classes)) for _ in range(2)]
    side = reference.meta.input_size
    rules = options["nms_iou"], options["max_detections"]
    gathers = [Gather(shown.items, shown.framing, side, *rules) for _ in range(2)]
    for images in shown.batches(side):
        raw = reference.raw(_normalised(images, reference))
        inputs = _normalised(images, candidate)
        if candidate.nms_inside:
            other = candidate.detect(inputs)
        else:
            _widen(largest, raw, candidate_raw := candidate.raw(inputs))
            other = select_all(*candidate_raw, **options)
        found = [select_all(*raw, **options), other]
        for pair in zip(*found, strict=True):
            agreed += agreement(*pair)
        if slack:
            contradicting += _contradicting(other, raw, options, slack)
        if shown.labelled:
            for evaluator, gather, detections in zip(evaluators, gathers, found, strict=True):
                evaluator.update(*gather.add([as_tensors(one) for one in detections]))
    largest["shown_boxes_px"] *= reference.meta.input_size
    figures = [evaluator.compute_coco() for evaluator in evaluators] if shown.labelled else []
    return {
        "pictures": shown.count,
        "of": shown.name,
        **({key: None for key in largest} if candidate.nms_inside else largest),
        "unexplained": int(contradicting[0]) if contradicting[1] else None,
        "agreement": float(agreed[0] / agreed[1]) if agreed[1] else None,
        "differing": int(agreed[1] - agreed[0]),
        "objects": sum(int((~item.difficult).sum()) for item in shown.items),
        **{key: [f[key] for f in figures] or None for key in ("map_50", "map")},
    }


def _contradicting(
    found: list[Found], raw: Raw, options: dict[str, Any], slack: Slack
) -> tuple[int, int]:
    """`unexplained` of a batch; scores within the slack of `SHOWN` are left out."""
    least = SHOWN + 2 * slack.score
    counts = [unexplained(*parts, options, slack, least) for parts in zip(found, *raw, strict=True)]
    return sum(wrong for wrong, _ in counts), sum(judged for _, judged in counts)


def agreement(reference: Found, other: Found) -> tuple[int, int]:
    """How many of the shown detections of one the other has too, and how many there are."""
    shown = np.flatnonzero(reference.scores >= SHOWN)
    hits = 0
    for place in shown:
        boxes = other.boxes[other.labels == reference.labels[place]]
        hits += bool((_iou(boxes, reference.boxes[place]) >= 0.5).any())
    return hits, len(shown)


def _iou(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.maximum(sides, 0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / np.maximum(areas - shared, 1e-12)


def _widen(largest: dict[str, float], one: Raw, other: Raw) -> None:
    """Take the differences of a batch into the largest so far; NaN wins.

    Of boxes beyond the picture, which the exponential makes many sides wide for the background, the
    difference is relative: rounding is.
    """
    scores, boxes = (np.abs(a.astype(np.float64) - b) for a, b in zip(one, other, strict=True))
    shown = boxes[one[0][..., 1:].max(-1) >= SHOWN]
    boxes = boxes / np.maximum(1.0, np.abs(one[1]).max(-1, keepdims=True))
    for key, values in (("scores", scores), ("boxes", boxes), ("shown_boxes_px", shown)):
        if values.size:
            largest[key] = float(np.maximum(largest[key], values.max()))


def _normalised(images: np.ndarray, runtime: Runtime) -> np.ndarray:
    meta = runtime.meta
    return np.stack([normalize(image, meta.mean, meta.std) for image in images])


def _stored(artefact: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Put the result into `model.json`."""
    path = artefact.parent / MODEL_JSON
    description = read_json(path)
    plain = {key: _finite(value) for key, value in result.items()}
    write_json(path, {**description, "parity": plain})
    return result


def _finite(value: Any) -> Any:
    """NaN and infinity, which JSON has no word for, as text."""
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
