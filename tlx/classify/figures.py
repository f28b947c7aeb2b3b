"""Figures of a classification: accuracy, per class, confusion matrix (torchmetrics)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
)

Figures = dict[str, Any]


class Tally:
    """Collects the probabilities of a split and computes its figures at once."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self._rows: list[tuple[Tensor, Tensor]] = []

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Add a batch: (N, classes) and class numbers (N,), 0-based."""
        self._rows.append((probabilities.float().cpu(), targets.cpu()))

    @property
    def probabilities(self) -> Tensor:
        """All so far, in the order they came."""
        return torch.cat([row[0] for row in self._rows])

    @property
    def targets(self) -> Tensor:
        """All so far, in the order they came."""
        return torch.cat([row[1] for row in self._rows])

    def brief(self) -> Figures:
        """What a validation needs.

        accuracy: top-1. macro_accuracy: mean over the classes that have pictures, so that a rare
        class counts as much as a frequent one. macro_f1: the same mean of F1. cross_entropy: in
        nats.
        """
        found, targets = self.probabilities, self.targets
        count = len(self.classes)
        recalls = multiclass_accuracy(found, targets, count, average="none")
        f1 = multiclass_f1_score(found, targets, count, average="none")
        present = torch.bincount(targets, minlength=count) > 0
        return {
            "accuracy": float(multiclass_accuracy(found, targets, count, average="micro")),
            "macro_accuracy": float(recalls[present].mean()),
            "macro_f1": float(f1[present].mean()),
            "cross_entropy": float(F.nll_loss(found.clamp_min(1e-12).log(), targets)),
        }

    def full(self) -> Figures:
        """All figures; a class without pictures has null and a reason."""
        found, targets = self.probabilities, self.targets
        count = len(self.classes)
        matrix = multiclass_confusion_matrix(found, targets, count)
        measures = {
            "recall": multiclass_accuracy(found, targets, count, average="none"),
            "precision": multiclass_precision(found, targets, count, average="none"),
            "f1": multiclass_f1_score(found, targets, count, average="none"),
        }
        per_class: dict[str, Any] = {}
        for number, name in enumerate(self.classes):
            pictures, named = int(matrix[number].sum()), int(matrix[:, number].sum())
            row: dict[str, Any] = {"pictures": pictures, "found": named, "reason": None}
            row |= {key: float(values[number]) for key, values in measures.items()}
            if not pictures:
                row |= {"recall": None, "f1": None, "reason": "no picture of this class"}
            if not named:
                row["precision"] = None
                row["reason"] = row["reason"] or "no picture was taken for this class"
            per_class[name] = row
        return {
            "pictures": len(targets),
            **self.brief(),
            "per_class": per_class,
            "confusion": {
                "rows": "true class", "columns": "found class", "classes": list(self.classes),
                "pictures": matrix.tolist(),
            },
        }  # fmt: skip
