"""Pictures of a report: the same test pictures by arm, and what goes wrong on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tlx.records.predictions import SHOWN
from tlx.records.quality import CLASSIFICATION
from tlx.report.comparison.compare import Comparison
from tlx.report.gallery.detections import (
    Case,
    Counts,
    Sample,
    count_kinds,
    make_samples,
    match_all,
    most_missed,
    read_sources,
    surest_false,
)
from tlx.report.gallery.mistakes import Answers, Mistakes, make_mistakes

__all__ = ["Answers", "Case", "Counts", "Gallery", "Mistakes", "Sample", "make_gallery"]


@dataclass(frozen=True)
class Gallery:
    """Samples, counts and failure cases; all empty where no run kept its predictions."""

    runs: int = 0
    samples: list[Sample] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)
    missed: list[Case] = field(default_factory=list)
    false_alarms: list[Case] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The counts for `report.json`, with the least score that counts."""
        return {"score": SHOWN, "counts": [counts.as_dict() for counts in self.counts]}


def make_gallery(comparison: Comparison) -> Gallery | Mistakes:
    """Read the predictions of the runs and the test pictures they are about."""
    if comparison.quality is CLASSIFICATION:
        return make_mistakes(comparison)
    sources, notes = read_sources(comparison)
    if not sources or not sources[0].predictions.images:
        return Gallery(notes=notes)
    runs = match_all(sources)
    samples = make_samples(sources)
    if not samples:
        root = sources[0].record.text("data_report", "root")
        notes.append(f"The test pictures cannot be shown: they are no longer below {root}.")
    return Gallery(
        len(sources), samples, count_kinds(runs), most_missed(runs), surest_false(runs), notes
    )
