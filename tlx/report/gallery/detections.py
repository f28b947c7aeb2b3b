"""What detectors found on test: the same pictures by arm, and what goes wrong on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tlx.common.errors import DataError
from tlx.data.formats.pictures import recorded_bits
from tlx.records.predictions import (
    ImagePredictions,
    Matching,
    Predictions,
    match,
    predictions_path,
    read_predictions,
)
from tlx.records.predictions.matching import HIT, overlaps
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.records import Record
from tlx.report.gallery.pictures import (
    View,
    Window,
    around,
    box_of,
    found_box,
    picture_path,
    read_pixels,
    run_view,
    truth_view,
    whole,
)


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
        fold = kept[0].record.fold
        notes.append(
            f"{others} runs with other test pictures are left out."
            if fold is None
            else f"These are the test pictures of fold {fold}; {others} runs of other folds are "
            "left out here."
        )
    return kept, notes


MOST_SAMPLES, LEAST, MOST_VIEWS = 6, 2, 48


@dataclass(frozen=True)
class Sample:
    """A test picture and its views: the truth, then every arm's first run."""

    name: str
    window: Window
    views: list[View]


def make_samples(sources: list[Source]) -> list[Sample]:
    """Evenly spaced test pictures that hold an object; chosen by place, not by result."""
    arms = {source.arm: source for source in reversed(sources)}
    shown = [source for source in sources if arms[source.arm] is source]
    images = sources[0].predictions.images
    held = [i for i, image in enumerate(images) if not image.truth.ignored.all()]
    wanted = max(LEAST, min(MOST_SAMPLES, MOST_VIEWS // (len(shown) + 1)))
    chosen = np.linspace(0, len(held) - 1, min(wanted, len(held))).round().astype(int).tolist()
    samples = []
    for index in (held[place] for place in chosen):
        image, classes = images[index], sources[0].predictions.classes
        if (pixels := sources[0].pixels(image)) is None:
            continue
        views = [truth_view(image, classes)]
        for source in shown:
            found = source.predictions
            views.append(run_view(source.arm, found.images[index], found.classes))
        samples.append(Sample(image.image, whole(pixels), views))
    return samples


MOST_MISSED, MOST_FALSE, MOST_FALSE_OF_ALL = 6, 3, 24


@dataclass(frozen=True)
class Counts:
    """How often each kind occurs on the test set, as means over an arm's runs."""

    arm: str
    runs: int
    objects: float
    hits: float
    missed: float
    wrong_class: float
    low_iou: float
    false_alarms: float

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        return asdict(self)


@dataclass(frozen=True)
class Case:
    """One failure: the part of the picture around it, and the boxes there."""

    window: Window
    view: View


@dataclass(frozen=True)
class Matched:
    """A run with its matching of every test picture, in the order of the pictures."""

    source: Source
    matchings: list[Matching]

    @property
    def images(self) -> list[ImagePredictions]:
        """The pictures with what the run found."""
        return self.source.predictions.images


def match_all(sources: list[Source]) -> list[Matched]:
    """Match every picture of every run."""
    return [Matched(s, [match(image) for image in s.predictions.images]) for s in sources]


def count_kinds(runs: list[Matched]) -> list[Counts]:
    """The counts of every arm, in the order of the arms."""
    counts = []
    for arm in dict.fromkeys(run.source.arm for run in runs):
        own = [_kinds(run) for run in runs if run.source.arm == arm]
        counts.append(Counts(arm, len(own), *np.mean(own, axis=0).tolist()))
    return counts


def _kinds(run: Matched) -> list[int]:
    matchings = run.matchings
    return [
        sum(int((~image.truth.ignored).sum()) for image in run.images),
        *(
            sum(len(getattr(matching, kind)) for matching in matchings)
            for kind in ("hits", "missed", "wrong_class", "low_iou", "false_alarms")
        ),
    ]


def most_missed(runs: list[Matched]) -> list[Case]:
    """The objects that most runs miss; of equally missed ones the largest, the least excusable."""
    missed: dict[tuple[int, int], int] = {}
    for run in runs:
        for place, matching in enumerate(run.matchings):
            for index in matching.missed:
                missed[place, index] = missed.get((place, index), 0) + 1
    images = runs[0].images

    def rank(key: tuple[int, int]) -> tuple[float, float]:
        x1, y1, x2, y2 = images[key[0]].truth.boxes[key[1]].tolist()
        return -missed[key], -(x2 - x1) * (y2 - y1)

    cases = []
    for key in sorted(missed, key=rank)[:MOST_MISSED]:
        image, index = images[key[0]], key[1]
        title = f"missed by {missed[key]} of {len(runs)} runs"
        box = image.truth.boxes[index]
        name = runs[0].source.predictions.classes[int(image.truth.labels[index]) - 1]
        view = View(title, f"{name}, {image.image}", f"{name} in {image.image}, {title}",
                    [box_of("missed", box)])  # fmt: skip
        cases += _case(runs[0].source, image, box, view)
    return cases


def surest_false(runs: list[Matched]) -> list[Case]:
    """The false alarms of the highest scores of each arm, one a place in a picture."""
    arms = list(dict.fromkeys(run.source.arm for run in runs))
    each = max(1, min(MOST_FALSE, MOST_FALSE_OF_ALL // len(arms)))
    cases = []
    for arm in arms:
        ranked = sorted(
            (
                (-float(run.images[place].found.scores[index]), number, place, index)
                for number, run in enumerate(runs)
                if run.source.arm == arm
                for place, matching in enumerate(run.matchings)
                for index in matching.false_alarms
            )
        )
        taken: list[tuple[int, np.ndarray]] = []
        for _, number, place, index in ranked:
            box = runs[number].images[place].found.boxes[index]
            if len(taken) < each and not _known(taken, place, box):
                taken.append((place, box))
                cases += _false_case(runs[number].source, arm, place, index)
    return cases


def _known(taken: list[tuple[int, np.ndarray]], place: int, box: np.ndarray) -> bool:
    """Whether the arm has a false alarm there already, of another seed perhaps."""
    near = [other for where, other in taken if where == place]
    return any(overlaps(box[None], other[None], np.zeros(1, bool))[0, 0] >= HIT for other in near)


def _false_case(source: Source, arm: str, place: int, index: int) -> list[Case]:
    image, classes = source.predictions.images[place], source.predictions.classes
    name, score = classes[int(image.found.labels[index]) - 1], image.found.scores[index]
    boxes = [box_of("truth", box) for box in image.truth.boxes]
    boxes.append(found_box("false", image, index, classes))
    note = f"{name} {score:.2f}, {image.image}"
    view = View(arm, note, f"false alarm of {arm}: {note}", boxes)
    return _case(source, image, image.found.boxes[index], view)


def _case(source: Source, image: ImagePredictions, box: np.ndarray, view: View) -> list[Case]:
    pixels = source.pixels(image)
    return [] if pixels is None else [Case(around(pixels, box), view)]
