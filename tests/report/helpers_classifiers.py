"""Runs of classifiers that never ran: records, and what they found on ten test pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.report.helpers_report import make_record

CLASSES = ["cat", "dog", "owl"]
TRUTH = ["cat"] * 5 + ["dog"] * 3 + ["owl"] * 2
PICTURES = [f"test/{name}/{number}.png" for number, name in enumerate(TRUTH)]
# Confusions (rows are true): [[4, 1, 0], [1, 2, 0], [0, 0, 2]]. F1 of cat is 2 * 4 / (5 + 5), of
# dog 2 * 2 / (3 + 3), of owl 1: macro F1 (.8 + .667 + 1) / 3.
GOOD = ["cat", "cat", "cat", "cat", "dog", "dog", "dog", "cat", "owl", "owl"]
# [[5, 0, 0], [3, 0, 0], [0, 1, 1]]: F1 10/13, 0, 2/3.
POOR = ["cat", "cat", "cat", "cat", "cat", "cat", "cat", "cat", "owl", "dog"]
# [[5, 0, 0], [0, 3, 0], [0, 0, 2]]
BEST = TRUTH
BLIND = ["cat"] * 10  # accuracy .5, mean of the classes 1/3


def confusion(found: Sequence[str]) -> list[list[int]]:
    pairs = list(zip(TRUTH, found, strict=True))
    return [[pairs.count((true, other)) for other in CLASSES] for true in CLASSES]


def figures(found: Sequence[str]) -> dict[str, Any]:
    """`test` of a record of before macro F1 was in it."""
    matrix, per_class = confusion(found), {}
    for k, name in enumerate(CLASSES):
        held, taken = sum(matrix[k]), sum(row[k] for row in matrix)
        per_class[name] = {
            "pictures": held, "found": taken, "recall": matrix[k][k] / held,
            "precision": matrix[k][k] / taken if taken else None,
            "f1": 2 * matrix[k][k] / (held + taken),
            "reason": None if taken else "no picture was taken for this class",
        }  # fmt: skip
    right = sum(matrix[k][k] for k in range(3))
    return {
        "pictures": len(TRUTH),
        "accuracy": right / len(TRUTH),
        "macro_accuracy": sum(row["recall"] for row in per_class.values()) / 3,
        "cross_entropy": 0.5,
        "per_class": per_class,
        "confusion": {"classes": CLASSES, "pictures": matrix},
    }


def make_classifier(
    freeze: str, seed: int, found: Sequence[str], root: Path | None = None, **changes: Any
) -> dict[str, Any]:
    val = changes.pop("val", [0.5, 0.7, 0.8])
    base = make_record(freeze, seed, step=changes.pop("step", 0.2))
    for key in ("map", "map_50", "detector"):
        base.pop(key, None)
    course = [[0.2 * 5 * (e + 1), 5 * (e + 1), v] for e, v in enumerate(val)]
    return base | {
        "task": "classification",
        "classes": CLASSES,
        "accuracy": course,
        "macro_accuracy": course,
        "best": {"epoch": 2, "step": 15, "accuracy": val[-1], "macro_accuracy": val[-1]},
        "test": figures(found),
        "data_report": {
            "root": None if root is None else str(root), "faults": {}, "warnings": [],
            "pictures": {
                "train": {"cat": 9, "dog": 8, "owl": 7}, "test": {"cat": 5, "dog": 3, "owl": 2},
            },
        },
    } | changes  # fmt: skip


def write_classifiers(folder: Path, *runs: tuple[dict[str, Any], Sequence[str]]) -> Path:
    """Run folders with `record.json` and `predictions.csv`."""
    for record, found in runs:
        run = folder / f"{record['name']}-{record['status']}"
        run.mkdir(parents=True)
        (run / "record.json").write_text(json.dumps(record))
        with (run / "predictions.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["picture", "class", "found", "probability"])
            rows = enumerate(zip(PICTURES, TRUTH, found, strict=True))
            writer.writerows([*row, f"0.{50 + k}"] for k, row in rows)
    return folder


def study(folder: Path, root: Path | None = None) -> Path:
    """Two seeds of three arms: what `none` finds is good, 4 is best, all is poor."""
    arms = {"none": (GOOD, GOOD), "4": (BEST, GOOD), "all": (POOR, POOR)}
    return write_classifiers(
        folder,
        *(
            (make_classifier(freeze, seed, found, root), found)
            for freeze, seeds in arms.items()
            for seed, found in enumerate(seeds)
        ),
    )
