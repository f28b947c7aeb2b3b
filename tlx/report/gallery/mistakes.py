"""What classifiers get wrong on test: counts by arm, and the pictures that most have wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tlx.common.errors import DataError
from tlx.data.formats.pictures import UnreadablePicture, decode, recorded_bits
from tlx.records.predictions.classified import Classified, classified_path, read_classified
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.records import Record
from tlx.report.gallery.detections import Case
from tlx.report.gallery.pictures import WHOLE_SIDE, View, whole

MOST = 18


@dataclass(frozen=True)
class Answers:
    """How many test pictures the runs of an arm have right and wrong, as means over them."""

    arm: str
    runs: int
    pictures: float
    right: float
    wrong: float

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        return asdict(self)


@dataclass(frozen=True)
class Mistakes:
    """Counts and the pictures that are hardest; all empty where no run kept its predictions."""

    runs: int = 0
    counts: list[Answers] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The counts for `report.json`."""
        return {"counts": [counts.as_dict() for counts in self.counts]}


@dataclass(frozen=True)
class _Run:
    """One run and what it found."""

    arm: str
    record: Record
    found: Classified


def make_mistakes(comparison: Comparison) -> Mistakes:
    """Read the predictions of the runs, and the pictures that most of them have wrong."""
    runs, notes = _read(comparison)
    if not runs:
        return Mistakes(notes=notes)
    counts = []
    for arm in dict.fromkeys(run.arm for run in runs):
        right = [int(run.found.right.sum()) for run in runs if run.arm == arm]
        total, mean = len(runs[0].found.pictures), float(np.mean(right))
        counts.append(Answers(arm, len(right), total, mean, total - mean))
    places = _hardest(runs)
    cases = [case for place in places if (case := _case(runs, place)) is not None]
    if places and not cases:
        root = runs[0].record.text("data_report", "root")
        notes.append(f"The test pictures cannot be shown: they are no longer below {root}.")
    return Mistakes(len(runs), counts, cases, notes)


def _read(comparison: Comparison) -> tuple[list[_Run], list[str]]:
    """The runs with predictions on the test pictures that most share, and what is amiss."""
    runs, notes = [], []
    for row in comparison.rows:
        for record in row.arm.records:
            if not classified_path(record.folder).is_file():
                continue
            try:
                found = read_classified(record.folder)
            except DataError as error:
                notes.append(f"{record.name}: {error}.")
                continue
            if found.pictures:
                runs.append(_Run(row.arm.label, record, found))
    if not runs:
        return [], notes
    commonest = Counter(run.found.pictures for run in runs).most_common(1)[0][0]
    kept = [run for run in runs if run.found.pictures == commonest]
    if others := len(runs) - len(kept):
        notes.append(f"{others} runs with other test pictures are left out.")
    return kept, notes


def _hardest(runs: list[_Run]) -> list[int]:
    """Places of the pictures that most runs have wrong; of equals those they are surest of."""
    wrong = np.array([~run.found.right for run in runs])  # [R, P]
    sure = (wrong * np.array([run.found.probability for run in runs])).sum(0)
    order = np.lexsort((-sure, -wrong.sum(0)))
    return [int(place) for place in order[:MOST] if wrong[:, place].any()]


def _case(runs: list[_Run], place: int) -> Case | None:
    first = runs[0]
    picture = PurePosixPath(first.found.pictures[place])
    root = first.record.text("data_report", "root")
    # A file that strangers wrote names pictures of the data set only.
    if root is None or picture.is_absolute() or ".." in picture.parts:
        return None
    try:
        bits = recorded_bits(first.record.get("data_report"))
        pixels = decode(Path(root) / picture, rotate=True, max_side=WHOLE_SIDE, bits=bits)
    except (DataError, UnreadablePicture):
        return None
    taken = Counter(
        run.found.classes[run.found.found[place]] for run in runs if not run.found.right[place]
    )
    truth = first.found.classes[first.found.truth[place]]
    title = f"{truth}, taken for {' or '.join(name for name, _ in taken.most_common(2))}"
    note = f"by {sum(taken.values())} of {len(runs)} runs, {picture}"
    return Case(whole(pixels), View(title, note, f"{title} {note}", []))
