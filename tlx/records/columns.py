"""What is noted at each step and validation: columns of `metrics.csv`, series of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tlx.records.quality import CLASSIFICATION, DETECTION

AXES = ("step", "epoch", "seconds")
RATES = ("lr_base", "lr_neck", "lr_head")
GRADIENT = "gradient_norm"  # before clipping


@dataclass(frozen=True)
class Columns:
    """Those of a task.

    Attributes:
        losses: what a step returns. val: figures of a validation.
        curves: those of them that the record holds as series.
        shown: those of the log line, by heading.
    """

    losses: tuple[str, ...]
    val: tuple[str, ...]
    curves: tuple[str, ...]
    shown: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the CSV, in order."""
        return (*AXES, *self.losses, GRADIENT, *RATES, *(f"val_{name}" for name in self.val))


DETECT = Columns(
    losses=("loss", "classification", "localization"),
    val=("map", "map_50", "map_75"),
    curves=DETECTION.courses,
    shown=MappingProxyType({"mAP@.5": "map_50", "mAP": "map"}),
)
CLASSIFY = Columns(
    losses=("loss",),
    val=("accuracy", "macro_accuracy", "macro_f1", "cross_entropy"),
    curves=CLASSIFICATION.courses,
    shown=MappingProxyType({"accuracy": "accuracy", "cross entropy": "cross_entropy"}),
)
BY_TASK = {"detect": DETECT, "classify": CLASSIFY}
