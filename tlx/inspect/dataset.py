"""Findings as a FiftyOne dataset: a sample a picture, a field for the truth and for each run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlx.common.drawing import COLORS, TRUTH
from tlx.inspect.backend import import_fiftyone
from tlx.inspect.findings import IGNORED, MISSED, Findings, RunFindings
from tlx.inspect.runs import SeenRun, SeenRuns
from tlx.records.predictions import predictions_path

TRUE_FIELD = "ground_truth"
EVALUATED = "eval_"  # and a run's field: FiftyOne's own evaluation of it
INPUTS = "tlx_inputs"


def dataset_name(seen: SeenRuns) -> str:
    """Name of the dataset of a study: that of its folder, and digits of where it lies."""
    folder = seen.runs[0].folder.absolute().parent
    digits = hashlib.sha256(str(folder).encode()).hexdigest()[:6]
    return f"tlx-{re.sub(r'[^0-9A-Za-z]+', '-', seen.name).strip('-')}-{digits}"


def inputs_digest(seen: SeenRuns, score: float) -> str:
    """A hash of all that a dataset is made of: where it is the same, the dataset is up to date."""
    files = {run.label: predictions_path(run.folder).read_bytes() for run in seen.runs}
    hashes = {label: hashlib.sha256(data).hexdigest() for label, data in files.items()}
    text = json.dumps([str(seen.root), score, hashes])
    return hashlib.sha256(text.encode()).hexdigest()


def build_dataset(name: str, seen: SeenRuns, findings: Sequence[Findings], score: float) -> Any:
    """Make the dataset, and let FiftyOne evaluate it."""
    fo = import_fiftyone()
    dataset = fo.Dataset(name, persistent=True, overwrite=True)
    dataset.add_samples([_sample(fo, seen, picture) for picture in findings], dynamic=True)
    dataset.default_classes = seen.classes
    dataset.info = {INPUTS: inputs_digest(seen, score)}
    dataset.description = f"test pictures of {seen.name}, detections of score {score:g} and more"
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_pool=list(COLORS), fields=[{"path": TRUE_FIELD, "fieldColor": TRUTH}]
    )
    dataset.save()
    for run in seen.runs:
        _evaluate(fo, dataset, run, score)
    return dataset


def _evaluate(fo: Any, dataset: Any, run: SeenRun, score: float) -> None:
    """FiftyOne's evaluation (COCO's matching at IoU .5): true and false positives of each run.

    Ignored objects and detections on them are kept out of it: FiftyOne would count them as hits.
    """
    counted = fo.ViewField("kind") != IGNORED
    view = dataset.filter_labels(
        TRUE_FIELD,
        ~fo.ViewField("ignored"),
        only_matches=False,
    ).filter_labels(run.field, counted & (fo.ViewField("confidence") >= score), only_matches=False)
    view.evaluate_detections(
        run.field, gt_field=TRUE_FIELD, eval_key=EVALUATED + run.field, method="coco", iou=0.5,
        classwise=True, compute_mAP=False,
    )  # fmt: skip


def _sample(fo: Any, seen: SeenRuns, picture: Findings) -> Any:
    image = picture.image
    sample = fo.Sample(
        filepath=str(picture.path),
        metadata=fo.ImageMetadata(width=image.width, height=image.height, num_channels=3),
        image=image.image,
        sha256=image.sha256,
        near_group=picture.group,
        loss=picture.loss,
        disagreement=picture.disagreement,
    )
    sample[TRUE_FIELD] = fo.Detections(detections=_truth(fo, seen, picture))
    for run, found in zip(seen.runs, picture.runs, strict=True):
        sample[run.field] = fo.Detections(detections=_found(fo, seen.classes, found))
        sample[f"{run.field}_loss"] = found.loss
    return sample


def _truth(fo: Any, seen: SeenRuns, picture: Findings) -> list[Any]:
    truth, image = picture.image.truth, picture.image
    return [
        fo.Detection(
            label=seen.classes[truth.labels[j] - 1],
            bounding_box=_relative(box, image.width, image.height),
            px=box.tolist(),
            ignored=bool(truth.ignored[j]),
            area=float(picture.areas[j]),
            missed_by=sum(run.truth[j] == MISSED for run in picture.runs),
            **{run.field: f.truth[j] for run, f in zip(seen.runs, picture.runs, strict=True)},
        )
        for j, box in enumerate(truth.boxes)
    ]


def _found(fo: Any, classes: list[str], run: RunFindings) -> list[Any]:
    found, image = run.image.found, run.image
    return [
        fo.Detection(
            label=classes[found.labels[i] - 1],
            bounding_box=_relative(box, image.width, image.height),
            confidence=float(found.scores[i]),
            px=box.tolist(),
            kind=run.found[i],
            alone=int(run.alone[i]),
        )
        for i, box in enumerate(found.boxes)
    ]


def _relative(box: np.ndarray, width: int, height: int) -> list[float]:
    """FiftyOne's form: left, top, width, height in 0..1."""
    x1, y1, x2, y2 = box.tolist()
    return [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
