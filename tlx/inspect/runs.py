"""The runs to look at: finished, and tested on the very same pictures."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlx.common.errors import DataError
from tlx.data.formats.pictures import recorded_bits
from tlx.records.predictions import ImagePredictions, Predictions, read_predictions
from tlx.records.quality import DETECTION
from tlx.report.comparison.arms import group_arms
from tlx.report.comparison.records import Record, load_records

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SeenRun:
    """One run.

    Attributes:
        label: its name in the record. field: the same as a field's name, letters and digits.
        policy: what its arm is called: runs that differ only in the seed share it.
        input_size: side of the network's input, px.
    """

    folder: Path
    label: str
    field: str
    policy: str
    input_size: int
    predictions: Predictions


@dataclass(frozen=True, eq=False)
class SeenRuns:
    """Runs of one test set.

    Attributes:
        runs: in reading order, at least one. root: of the data they were made on.
        bits: that 16-bit picture files use; None: all.
    """

    runs: list[SeenRun]
    root: Path
    bits: int | None = None

    @property
    def name(self) -> str:
        """The folder that holds the runs, which is the study's."""
        return self.runs[0].folder.absolute().parent.name

    @property
    def classes(self) -> list[str]:
        """Label k is classes[k - 1], in every run."""
        return self.runs[0].predictions.classes


def load_runs(paths: Sequence[Path], root: Path | None = None) -> SeenRuns:
    """Read the finished runs in the given folders, at any depth.

    Args:
        root: where the pictures are now; None: where the record says.

    Raises:
        DataError: no finished run, a run without predictions, or runs of unlike test sets.
    """
    loaded = load_records(paths)
    detectors = [record for record in loaded.records if record.quality is DETECTION]
    finished = [record for record in detectors if record.status == "finished"]
    left_out = [f"{r.folder}: {r.status}; left out" for r in detectors if r.status != "finished"]
    left_out += [
        f"{r.folder}: a run of {r.quality.task}; left out"
        for r in loaded.records
        if r.quality is not DETECTION
    ]
    arms, warnings = group_arms(finished)
    for warning in [*loaded.warnings, *left_out, *warnings]:
        log.warning("%s", warning)
    runs = [_seen(record, arm.label) for arm in arms for record in arm.records]
    if not runs:
        raise DataError(f"no finished run in {', '.join(str(path) for path in paths)}")
    for run in runs[1:]:
        _check_alike(runs[0], run)
    stated = finished[0].text("data_report", "root")
    if root is None and stated is None:
        raise DataError(f"{finished[0].folder}/record.json names no data root: give root=FOLDER")
    found = Path(root or str(stated)).expanduser().absolute()
    if not found.is_dir():
        raise DataError(f"the data folder {found} does not exist: say where it is with root=FOLDER")
    return SeenRuns(runs, found, recorded_bits(finished[0].get("data_report")))


def _seen(record: Record, policy: str) -> SeenRun:
    size = record.number("input_size")
    if size is None:
        raise DataError(f"{record.folder}/record.json has no input_size: run again")
    field = re.sub(r"\W+", "_", record.name).strip("_")
    predictions = read_predictions(record.folder)
    return SeenRun(record.folder, record.name, field, policy, int(size), predictions)


def _check_alike(first: SeenRun, other: SeenRun) -> None:
    one, two = first.predictions, other.predictions
    if one.classes != two.classes:
        what = "have different classes"
    elif [_identity(image) for image in one.images] != [_identity(image) for image in two.images]:
        what = "were tested on different pictures or boxes"
    elif first.field == other.field:
        what = "have the same name"
    else:
        return
    raise DataError(f"{first.folder} and {other.folder} {what}: look at them one at a time")


def _identity(image: ImagePredictions) -> tuple[object, ...]:
    truth = image.truth
    arrays: list[np.ndarray] = [truth.boxes, truth.labels, truth.ignored]
    return image.image, image.sha256, *(array.tobytes() for array in arrays)
