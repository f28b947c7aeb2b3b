"""What there is to see on each picture, for every run: the kinds of errors, in plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from tlx.data.duplicates import near_duplicate_groups
from tlx.data.formats.pictures import decode
from tlx.inspect.runs import SeenRun, SeenRuns
from tlx.records.predictions import ImagePredictions, Matching, log_loss, match, unshared

HIT, MISSED, FALSE_ALARM = "hit", "missed", "false alarm"
WRONG_CLASS, LOW_IOU = "wrong class", "low IoU"
IGNORED, WEAK = "ignored", "weak"
ERRORS = (MISSED, FALSE_ALARM, WRONG_CLASS, LOW_IOU)
HASH_SIDE = 640  # px: longer pictures are scaled down before they are hashed


@dataclass(frozen=True, eq=False)
class RunFindings:
    """One run on one picture.

    Attributes:
        image: what it found. found: the kind of each detection (`WEAK` under the least score).
        truth: the kind of each object. loss: `tlx.records.predictions.log_loss`, nats.
        alone: for each detection, how many runs of other policies have no counterpart of it.
    """

    image: ImagePredictions
    found: list[str]
    truth: list[str]
    loss: float
    alone: np.ndarray


@dataclass(frozen=True, eq=False)
class Findings:
    """One picture.

    Attributes:
        path: of the file. areas: (m,) of each object at the network's input, px².
        group: number of its group of near-identical pictures; None where it has no like.
        runs: one a run, in their order.
    """

    path: Path
    areas: np.ndarray
    group: int | None
    runs: list[RunFindings]

    @property
    def image(self) -> ImagePredictions:
        """Name, size and ground truth, which all runs share."""
        return self.runs[0].image

    @property
    def loss(self) -> float:
        """Mean over the runs, nats."""
        return float(np.mean([run.loss for run in self.runs]))

    @property
    def disagreement(self) -> int:
        """Detections without a counterpart, over all pairs of runs of different policies."""
        return int(sum(run.alone.sum() for run in self.runs))


def find(seen: SeenRuns, score: float) -> list[Findings]:
    """Findings on every test picture, for detections of at least `score`.

    Raises:
        DataError: a picture that is missing, or is not the one that was tested.
    """
    images = [run.predictions.images for run in seen.runs]
    paths = [seen.root / image.image for image in images[0]]
    groups = _groups(paths, images[0], seen.bits)
    side = max(run.input_size for run in seen.runs)
    return [
        Findings(path, _areas(row[0], side), group, _of_runs(seen.runs, row, score))
        for path, group, row in zip(paths, groups, zip(*images, strict=True), strict=True)
    ]


def _groups(
    paths: Sequence[Path], images: Sequence[ImagePredictions], bits: int | None
) -> list[int | None]:
    """Numbers from 1 of the groups that have more than one picture."""
    numbers = near_duplicate_groups(
        decode(path, rotate=True, max_side=HASH_SIDE, digest=image.sha256, bits=bits)
        for path, image in zip(paths, images, strict=True)
    )
    shared = [number for number, count in Counter(numbers).items() if count > 1]
    names = {number: name for name, number in enumerate(shared, start=1)}
    return [names.get(number) for number in numbers]


def _areas(image: ImagePredictions, side: int) -> np.ndarray:
    sizes = image.truth.boxes[:, 2:] - image.truth.boxes[:, :2]
    return sizes.prod(axis=1) * side * side / (image.width * image.height)


def _of_runs(
    runs: Sequence[SeenRun], images: Sequence[ImagePredictions], score: float
) -> list[RunFindings]:
    alone = [np.zeros(len(image.found.scores), int) for image in images]
    for (i, one), (j, two) in combinations(enumerate(runs), 2):
        if one.policy != two.policy:
            mine, theirs = unshared(images[i], images[j], score)
            alone[i][mine] += 1
            alone[j][theirs] += 1
    found = []
    for run, image, unlike in zip(runs, images, alone, strict=True):
        kinds = _kinds(match(image, score), image)
        loss = log_loss(image, run.predictions.score_floor)
        found.append(RunFindings(image, *kinds, loss, unlike))
    return found


def _kinds(matching: Matching, image: ImagePredictions) -> tuple[list[str], list[str]]:
    """The kind of each detection and of each object; an object that is found is a hit."""
    found = [WEAK] * len(image.found.scores)
    truth = [IGNORED if ignored else MISSED for ignored in image.truth.ignored]
    for kind, pairs in (
        (LOW_IOU, matching.low_iou),
        (WRONG_CLASS, matching.wrong_class),
        (HIT, matching.hits),
    ):
        for pair in pairs:
            found[pair.found] = truth[pair.truth] = kind
    for i in matching.false_alarms:
        found[i] = FALSE_ALARM
    for i in matching.ignored:
        found[i] = IGNORED
    return found, truth
