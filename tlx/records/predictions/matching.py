"""What went right and wrong on a picture: hits, missed objects, and detections that are errors.

The kinds are those of TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection
Errors", ECCV 2020) with its thresholds; duplicates are counted as false alarms. Every detection and
every object has one kind only, so that no error is counted twice. Matching is COCO's: greedy, best
score first, within a class; overlap with an ignored object is the share of the detection that lies
in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from tlx.records.predictions.file import ImagePredictions

SHOWN = 0.3  # least score of a detection that a person is shown
HIT = 0.5  # least IoU of a hit
NEAR = 0.1  # least IoU that relates a detection to an object at all
SURE = 1 - 1e-4  # scores are stored to four digits: a 1.0 is no certainty


class Pair(NamedTuple):
    """A detection and the object it belongs to, by their positions in the picture, and the IoU."""

    found: int
    truth: int
    iou: float


@dataclass
class Matching:
    """Positions in `found` and `truth` of one picture.

    Attributes:
        hits: right class, IoU >= .5, the best-scored detection of its object.
        wrong_class: IoU >= .5 with an object of another class.
        low_iou: IoU of .1 up to .5 with an object of the right class.
        false_alarms: detections that are none of these, duplicates of a hit among them.
        ignored: detections on ignored objects; they count neither way.
        missed: objects that no hit, `wrong_class` or `low_iou` belongs to.
    """

    hits: list[Pair] = field(default_factory=list)
    wrong_class: list[Pair] = field(default_factory=list)
    low_iou: list[Pair] = field(default_factory=list)
    false_alarms: list[int] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How many things are wrong."""
        kinds = (self.missed, self.false_alarms, self.wrong_class, self.low_iou)
        return sum(len(kind) for kind in kinds)


def match(image: ImagePredictions, score: float = SHOWN) -> Matching:
    """Sort the objects and the detections of at least `score` into their kinds."""
    truth, found = image.truth, image.found
    overlap = overlaps(found.boxes, truth.boxes, truth.ignored)
    same = found.labels[:, None] == truth.labels[None, :]
    real = ~truth.ignored
    kept = np.flatnonzero(found.scores >= score)
    result = Matching(hits=_greedy(overlap, same & real, found.scores, kept))
    hit = {pair.found for pair in result.hits}
    for i in (i for i in kept.tolist() if i not in hit):
        other = _best(i, overlap, ~same & real)
        own = _best(i, overlap, same & real)
        if _best(i, overlap, same & ~real).iou >= HIT:
            result.ignored.append(i)
        elif other.iou >= HIT:
            result.wrong_class.append(other)
        elif NEAR <= own.iou < HIT:
            result.low_iou.append(own)
        else:
            result.false_alarms.append(i)
    explained = {p.truth for p in (*result.hits, *result.wrong_class, *result.low_iou)}
    result.missed = [j for j in np.flatnonzero(real).tolist() if j not in explained]
    return result


def log_loss(image: ImagePredictions, floor: float) -> float:
    """How surprised the detector is by the truth: the cross-entropy of its detections, in nats.

    -ln(score) for each hit, -ln(floor) for each object without one (its best score is below that),
    -ln(1 - score) for each detection that is an error. Unlike the training loss it follows from the
    stored detections, so runs with other priors or another loss compare; how exactly the boxes of
    hits lie is not in it.

    Args:
        floor: the least stored score, `Predictions.score_floor`.
    """
    matching, scores = match(image, 0.0), image.found.scores
    hits = [float(scores[pair.found]) for pair in matching.hits]
    errors = [
        *matching.false_alarms,
        *(pair.found for pair in (*matching.wrong_class, *matching.low_iou)),
    ]
    unfound = int((~image.truth.ignored).sum()) - len(hits)
    loss = -sum(math.log(min(score, SURE)) for score in hits) - unfound * math.log(floor)
    return loss - sum(math.log1p(-min(float(scores[i]), SURE)) for i in errors)


def unshared(
    first: ImagePredictions, second: ImagePredictions, score: float = SHOWN
) -> tuple[list[int], list[int]]:
    """The detections of two runs on one picture that the other run does not have.

    A detection of at least `score` has a counterpart of at least `score` in the other run when both
    have the same class and an IoU >= .5. The truth has no say.
    """
    one, two = first.found, second.found
    kept, others = (np.flatnonzero(found.scores >= score) for found in (one, two))
    overlap = overlaps(one.boxes, two.boxes, np.zeros(len(two.boxes), bool))
    allowed = (one.labels[:, None] == two.labels[None, :]) & (two.scores >= score)
    pairs = _greedy(overlap, allowed, one.scores, kept)
    mine, theirs = {pair.found for pair in pairs}, {pair.truth for pair in pairs}
    return (
        [i for i in kept.tolist() if i not in mine],
        [j for j in others.tolist() if j not in theirs],
    )


def overlaps(boxes: np.ndarray, targets: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """IoU (n, m) of corner-form boxes; of the box's own area where the target is ignored."""
    if not len(boxes) or not len(targets):
        return np.zeros((len(boxes), len(targets)))
    corner_size = [np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]) for b in (boxes, targets)]
    return np.asarray(coco_mask.iou(*corner_size, ignored.astype(np.uint8)))


def _greedy(
    overlap: np.ndarray, allowed: np.ndarray, scores: np.ndarray, rows: np.ndarray
) -> list[Pair]:
    """Pairs of IoU >= .5: the best-scored row takes the column it overlaps most, then the next."""
    free, pairs = allowed.copy(), []
    for i in rows[np.argsort(-scores[rows], kind="stable")].tolist():
        best = _best(i, overlap, free)
        if best.iou >= HIT:
            pairs.append(best)
            free[:, best.truth] = False
    return pairs


def _best(row: int, overlap: np.ndarray, allowed: np.ndarray) -> Pair:
    """The allowed column with the largest overlap; IoU -1 where there is none."""
    values = np.where(allowed[row], overlap[row], -1.0)
    if not len(values):
        return Pair(row, -1, -1.0)
    column = int(values.argmax())
    return Pair(row, column, float(values[column]))
