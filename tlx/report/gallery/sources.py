"""The predictions of the runs of a comparison, as far as they are there and of one test set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tlx.common.errors import DataError
from tlx.data.formats.pictures import recorded_bits
from tlx.records.predictions import (
    ImagePredictions,
    Predictions,
    predictions_path,
    read_predictions,
)
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.records import Record
from tlx.report.gallery.windows import picture_path, read_pixels


@dataclass(frozen=True)
class Source:
    """One run and what it predicted."""

    arm: str
    record: Record
    predictions: Predictions

    def pixels(self, image: ImagePredictions) -> np.ndarray | None:
        """The picture in full size, None unless the file is the one that was tested."""
        path = picture_path(self.record.text("data_report", "root"), image)
        return read_pixels(path, image, recorded_bits(self.record.get("data_report")))


def read_sources(comparison: Comparison) -> tuple[list[Source], list[str]]:
    """The runs with predictions on the test pictures that most of them share, and what is amiss."""
    sources: list[Source] = []
    notes: list[str] = []
    for row in comparison.rows:
        for record in row.arm.records:
            if not predictions_path(record.folder).is_file():
                continue
            try:
                predictions = read_predictions(record.folder)
            except DataError as error:
                notes.append(f"{record.name}: {error}.")
                continue
            sources.append(Source(row.arm.label, record, predictions))
    if not sources:
        return [], notes
    sets = [tuple(image.sha256 for image in s.predictions.images) for s in sources]
    commonest = Counter(sets).most_common(1)[0][0]
    kept = [source for source, own in zip(sources, sets, strict=True) if own == commonest]
    if others := len(sources) - len(kept):
        notes.append(f"{others} runs with other test pictures are left out.")
    return kept, notes
