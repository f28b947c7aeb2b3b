"""What a run is judged by: the figures of its task, as records and as people call them.

Detectors are judged by mAP@.5 and mAP@[.5:.95], classifiers by accuracy and by macro F1, the mean
of F1 over the classes that have pictures, which a frequent class cannot carry alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LARGEST = 1e30  # no figure of a run comes near; powers and sums of larger ones overflow


@dataclass(frozen=True)
class Figure:
    """`key` in a record, `name` in sentences."""

    key: str
    name: str


@dataclass(frozen=True)
class Quality:
    """The figures of one task, all in 0..1, more being better.

    Attributes:
        task: as a record has it.
        model: what is trained.
        main: what arms are ranked, timed and recommended by; also a course on val.
        second: shown beside it.
        learning: by which it is told whether a run has learned anything at all.
        pilot: of the best epoch, by which a pilot ranks depths.
        word: what a level of the main figure is called.
        short: the same in keys and names of files.
        test, best, courses: every figure of `test` and of `best`; the series on val.
        per_class: the figures of each class, the one that is drawn first named `class_main`.
        unit, count: what the test set is counted in, and where `test` has the number.
        grain: what one unit moves, in words.
        accept, level: keys of `python -m tlx.report`.
        remedy: what to try where nothing has learned.
    """

    task: str
    model: str
    main: Figure
    second: Figure
    learning: Figure
    pilot: Figure
    word: str
    short: str
    test: tuple[str, ...]
    best: tuple[str, ...]
    courses: tuple[str, ...]
    per_class: tuple[Figure, ...]
    class_main: Figure
    unit: str
    count: str
    grain: str
    accept: str
    level: str
    remedy: str

    def tested(self, record: Mapping[str, Any], key: str) -> float | None:
        """A figure of the test set; None where the record has no finite number of it."""
        part = record.get("test")
        found = number(part, key)
        if found is None and (self.task, key) == ("classification", "macro_f1"):
            return _mean_f1(part)  # records of before version 0.4.0
        return found

    @property
    def title(self) -> str:
        """The word at the beginning of a sentence."""
        return self.word[:1].upper() + self.word[1:] if self.word.islower() else self.word


DETECTION = Quality(
    task="detection",
    model="detector",
    main=Figure("map_50", "mAP@.5"),
    second=Figure("map", "mAP@[.5:.95]"),
    learning=Figure("map_50", "mAP@.5"),
    pilot=Figure("map", "mAP"),
    word="mAP",
    short="map",
    test=("map", "map_50", "map_75", "voc07_ap50", "images", "boxes"),
    best=("map", "map_50"),
    courses=("map", "map_50"),
    per_class=(
        Figure("ap", "AP@[.5:.95]"), Figure("ap_50", "AP@.5"), Figure("voc07_ap50", "AP@.5 (VOC07)")
    ),
    class_main=Figure("ap_50", "AP@.5"),
    unit="box",
    count="boxes",
    grain="one box found or missed moves recall by",
    accept="accept_map_loss",
    level="map_level",
    remedy="train longer (trainer.epochs), look at the boxes and classes of the data, "
    "or change trainer.base_lr",
)  # fmt: skip
CLASSIFICATION = Quality(
    task="classification",
    model="classifier",
    main=Figure("accuracy", "accuracy"),
    second=Figure("macro_f1", "macro F1"),
    learning=Figure("macro_accuracy", "mean accuracy of the classes"),
    pilot=Figure("macro_accuracy", "mean accuracy of the classes"),
    word="accuracy",
    short="accuracy",
    test=("accuracy", "macro_f1", "macro_accuracy", "cross_entropy", "pictures"),
    best=("accuracy", "macro_accuracy"),
    courses=("accuracy", "macro_accuracy"),
    per_class=(Figure("recall", "recall"), Figure("precision", "precision"), Figure("f1", "F1")),
    class_main=Figure("f1", "F1"),
    unit="picture",
    count="pictures",
    grain="one picture more or less that is right moves accuracy by",
    accept="accept_loss",
    level="level",
    remedy="train longer (trainer.epochs), look at the pictures and classes of the data, "
    "or change trainer.base_lr",
)
QUALITIES = {quality.task: quality for quality in (DETECTION, CLASSIFICATION)}


def quality_of(record: Mapping[str, Any]) -> Quality:
    """Of the task of a record; a record that names none that is known is of detection."""
    task = record.get("task")
    return QUALITIES.get(task, DETECTION) if isinstance(task, str) else DETECTION


def finite(value: object) -> float | None:
    """`value` as a float; None where it is no number that can be a figure (null, NaN, text,
    true/false, 1e308)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= _LARGEST else None  # of NaN that is not so


def number(part: object, key: str) -> float | None:
    """A number of an object, None where there is none."""
    return finite(part.get(key)) if isinstance(part, Mapping) else None


def _mean_f1(part: object) -> float | None:
    """Mean F1 of the classes that have pictures."""
    classes = part.get("per_class") if isinstance(part, Mapping) else None
    if not isinstance(classes, Mapping):
        return None
    held = [row for row in classes.values() if number(row, "pictures")]
    known = [found for row in held if (found := number(row, "f1")) is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(held) else None
