"""Are detections a choice that the checkpoint's own tensors allow, within what is put up with?

Non-maximum suppression turns differences of rounding into other detections: of two boxes of nearly
the same score the other one stays, and with it what it suppresses. So detections are not compared
one with one. A set of detections is right for the tensors that it was chosen from when

- each is a pair of prior and class of those tensors,
- no two of a class overlap by more than `nms_iou`,
- every other pair is suppressed by one of its class that is no worse, or is no better than the
  last of a full list.

Here the detections are those of an artefact and the tensors those of its checkpoint. Scores may
differ by a slack, corners by another; an overlap is only beyond `nms_iou` where no shift of the
corners within the slack makes it less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlx.models.postprocess import CANDIDATES
from tlx.runtime.postprocess import Found


@dataclass(frozen=True)
class Slack:
    """What is put up with: of scores, and of corners of boxes in 0..1."""

    score: float
    corner: float


def unexplained(
    found: Found,
    scores: np.ndarray,
    boxes: np.ndarray,
    options: Mapping[str, Any],
    slack: Slack,
    least: float,
) -> tuple[int, int]:
    """How many detections and pairs contradict the tensors, and how many were judged.

    Args:
        found: what the artefact detects on a picture.
        scores: (P, C) of the checkpoint, background first; boxes: (P, 4), corner form.
        options: `nms_iou`, `score_threshold` and `max_detections` of the choice.
        least: score from which detections and pairs are judged.
    """
    pairs = _pairs(scores, boxes, least - slack.score)
    judged, wrong = 0, 0
    # What is not among the candidates is not asked for: a crowd on many priors may be.
    limit = CANDIDATES * (scores.shape[1] - 1)
    ranked = np.sort(scores[:, 1:], axis=None)
    last = float(ranked[-limit]) if limit < len(ranked) else -np.inf
    for label in np.unique([*found.labels, *pairs.labels]):
        own, rivals = _of(found, label), _of(pairs, label)
        shown = own.scores >= least
        wrong += int((shown & ~_stem_from(own, rivals, slack)).sum())
        wrong += int((shown & _doubled(own, options["nms_iou"], slack)).sum())
        due = rivals.scores >= max(least, options["score_threshold"] + slack.score)
        due &= rivals.scores > last + slack.score
        if len(found.scores) >= options["max_detections"]:
            due &= rivals.scores > found.scores.min() + slack.score
        answered = _same(rivals, own, slack) | _suppressed(rivals, own, options["nms_iou"], slack)
        wrong += int((due & ~answered.any(1)).sum())
        judged += int(shown.sum() + due.sum())
    return wrong, judged


def _pairs(scores: np.ndarray, boxes: np.ndarray, least: float) -> Found:
    prior, label = np.nonzero(scores[:, 1:] >= least)
    return Found(np.clip(boxes[prior], 0, 1), scores[prior, label + 1], label + 1)


def _of(found: Found, label: int) -> Found:
    rows = found.labels == label
    return Found(found.boxes[rows], found.scores[rows], found.labels[rows])


def _stem_from(own: Found, pairs: Found, slack: Slack) -> np.ndarray:
    """Which detections are a pair of the checkpoint."""
    return np.asarray(_same(own, pairs, slack).any(1))


def _doubled(own: Found, nms_iou: float, slack: Slack) -> np.ndarray:
    """Which detections a better one should have suppressed."""
    least = _overlaps(own.boxes, own.boxes, -slack.corner)
    return np.asarray(np.tril(least > nms_iou, -1).any(1))


def _same(one: Found, other: Found, slack: Slack) -> np.ndarray:
    """(n, m): whether score and corners differ by no more than the slack."""
    corners = np.abs(one.boxes[:, None] - other.boxes[None]).max(-1, initial=0)
    return (corners <= slack.corner) & (_apart(one, other) <= slack.score)


def _suppressed(pairs: Found, own: Found, nms_iou: float, slack: Slack) -> np.ndarray:
    """(n, m): whether a detection that is no worse may overlap a pair by too much."""
    no_worse = pairs.scores[:, None] - own.scores[None] <= slack.score
    return no_worse & (_overlaps(pairs.boxes, own.boxes, slack.corner) > nms_iou)


def _apart(one: Found, other: Found) -> np.ndarray:
    return np.abs(one.scores[:, None] - other.scores[None])


def _overlaps(one: np.ndarray, other: np.ndarray, slack: float) -> np.ndarray:
    """(n, m): the largest IoU when each corner may move by `slack`; the least, by a negative one.

    A bound: the corners that make the intersection largest are not those that make the union least.
    """
    a, b = one[:, None].astype(np.float64), other[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 2 * slack
    shared = np.maximum(sides, 0).prod(-1)
    areas = sum(np.maximum(c[..., 2:] - c[..., :2] - 2 * slack, 0).prod(-1) for c in (a, b))
    union = areas - shared
    # No union left: both lie within the slack.
    return np.divide(shared, union, out=np.ones_like(shared), where=union > 0) * (shared > 0)
