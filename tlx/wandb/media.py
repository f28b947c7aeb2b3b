"""What W&B shows of a finished run beside curves: pictures with boxes, a table, the checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tlx.records.columns import DETECT
from tlx.records.predictions import SHOWN, ImagePredictions, Predictions

if TYPE_CHECKING:
    import wandb

PICTURES, CLASSES = "predictions", "per_class"  # keys in W&B
TABLE_COLUMNS = ("class", "boxes", "ap", "ap_50", "voc07_ap50", "reason")
CLASSIFIER_COLUMNS = ("class", "pictures", "found", "recall", "precision", "f1", "reason")
MOST_PICTURES = 100  # in one call: W&B cuts a list at 108
_GREY = 114


class Pixels(Protocol):
    """Upright uint8 RGB pictures (H, W, 3) by the sha256 of their files."""

    def __getitem__(self, digest: str, /) -> np.ndarray: ...


def pictures(predictions: Predictions, pixels: Pixels, count: int) -> list[wandb.Image]:
    """Evenly spaced pictures with two sets of boxes, `truth` and `found` (score >= 0.3).

    W&B shows a list of pictures at the size of the first: they all get the size of the largest,
    filled up with grey at the right and below.
    """
    import wandb

    from tlx.common.drawing import evenly_spaced  # it imports torch

    chosen = [predictions.images[i] for i in evenly_spaced(len(predictions.images), count)]
    arrays = [pixels[image.sha256] for image in chosen]
    if not chosen:
        return []
    height, width = (max(array.shape[axis] for array in arrays) for axis in (0, 1))
    shown = []
    for image, array in zip(chosen, arrays, strict=True):
        canvas = _filled_up(array, height, width)
        share = (array.shape[1] / width, array.shape[0] / height)
        boxes = _boxes(image, predictions.classes, share)
        shown.append(wandb.Image(canvas, caption=image.image, boxes=boxes, file_type="jpg"))
    return shown


def captioned(rows: Sequence[tuple[np.ndarray, str]]) -> list[wandb.Image]:
    """Pictures (H, W, 3) with a line of text each, all at the size of the largest."""
    import wandb

    if not rows:
        return []
    height, width = (max(array.shape[axis] for array, _ in rows) for axis in (0, 1))
    return [
        wandb.Image(_filled_up(array, height, width), caption=text, file_type="jpg")
        for array, text in rows
    ]


def _filled_up(array: np.ndarray, height: int, width: int) -> np.ndarray:
    canvas = np.full((height, width, 3), _GREY, np.uint8)
    canvas[: array.shape[0], : array.shape[1]] = array
    return canvas


def _boxes(
    image: ImagePredictions, classes: Sequence[str], share: tuple[float, float]
) -> dict[str, dict[str, Any]]:
    """Both sets in W&B's form; coordinates are fractions of the canvas."""
    scale = np.array([share[0] / image.width, share[1] / image.height] * 2)
    labels = dict(enumerate(classes, start=1))
    truth = [
        _box(box * scale, label, labels[label] + (" (ignored)" if ignored else ""))
        for box, label, ignored in zip(
            image.truth.boxes, image.truth.labels.tolist(), image.truth.ignored, strict=True
        )
    ]
    found = [
        _box(box * scale, label, f"{labels[label]} {score:.2f}") | {"scores": {"score": score}}
        for box, label, score in zip(
            image.found.boxes, image.found.labels.tolist(), image.found.scores.tolist(), strict=True
        )
        if score >= SHOWN
    ]
    return {
        "truth": {"box_data": truth, "class_labels": labels},
        "found": {"box_data": found, "class_labels": labels},
    }


def _box(corners: np.ndarray, label: int, caption: str) -> dict[str, Any]:
    position = dict(zip(("minX", "minY", "maxX", "maxY"), corners.tolist(), strict=True))
    return {"position": position, "class_id": label, "box_caption": caption}


def class_rows(test: Mapping[str, Any]) -> list[list[Any]]:
    """`per_class` of a record's `test` as the rows of a table, columns as `class_columns`."""
    return [
        [name, *(figures.get(column) for column in class_columns(test)[1:])]
        for name, figures in (test.get("per_class") or {}).items()
    ]


def class_columns(test: Mapping[str, Any]) -> tuple[str, ...]:
    """`TABLE_COLUMNS`, or those of a classifier."""
    return CLASSIFIER_COLUMNS if "accuracy" in test else TABLE_COLUMNS


def class_table(test: Mapping[str, Any]) -> wandb.Table:
    """The figures of every class on test."""
    import wandb

    return wandb.Table(
        columns=list(class_columns(test)), data=class_rows(test), allow_mixed_types=True
    )


def model_artifact(record: Mapping[str, Any], study: str, run_dir: Path) -> wandb.Artifact | None:
    """The best checkpoint, with the ONNX files beside it; None where there is no checkpoint.

    The files are not copied: an offline run finds them where they are when it is uploaded.
    """
    import wandb

    best = run_dir / "checkpoints" / "best.ckpt"
    if not best.is_file():
        return None
    about = {key: record.get(key) for key in ("fingerprint", "backbone", "freeze", "seed", "best")}
    test = record.get("test") or {}
    figures = ("accuracy", "macro_accuracy", "macro_f1") if record.get("task") else DETECT.val
    about["test"] = {key: test.get(key) for key in figures}
    artifact = wandb.Artifact(artifact_name(f"{study}-{record['name']}"), "model", metadata=about)
    exported = [p for p in run_dir.rglob("*.onnx") if p.relative_to(run_dir).parts[0] != "wandb"]
    for path in (best, *sorted(exported)):
        artifact.add_file(str(path), path.name, policy="immutable", skip_cache=True)
    return artifact


def artifact_name(text: str) -> str:
    """The text with what W&B allows in a name: letters, digits, `-`, `_` and `.`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:128]
