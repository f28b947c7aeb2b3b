"""The saved views: what is worth a look, under the names that the App's list shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from tlx.inspect.backend import import_fiftyone
from tlx.inspect.dataset import TRUE_FIELD
from tlx.inspect.findings import ERRORS, MISSED
from tlx.inspect.runs import SeenRun, SeenRuns

SMALL = 32  # px: side of a square that COCO still calls small
HIGH_LOSS = 0.1  # part of the pictures
TITLES = {MISSED: "missed objects", "false alarm": "false alarms"}


class SavedView(NamedTuple):
    """A view of the dataset, and what it shows in a sentence."""

    name: str
    description: str
    view: Any


def save_views(dataset: Any, seen: SeenRuns) -> None:
    """Save every view that the runs allow."""
    for name, description, view in _views(dataset, seen):
        dataset.save_view(name, view, description=description)


def _views(dataset: Any, seen: SeenRuns) -> Iterator[SavedView]:
    for kind in ERRORS:
        yield _errors(dataset, seen.runs, kind, TITLES.get(kind, kind))
    yield from _others(dataset, seen)
    if len(seen.runs) > 1:
        for run in seen.runs:
            for kind in ERRORS:
                yield _errors(dataset, [run], kind, f"{TITLES.get(kind, kind)}: {run.label}")


def _errors(dataset: Any, runs: Sequence[SeenRun], kind: str, name: str) -> SavedView:
    """Pictures with this kind of error in any of the runs, and only the boxes that are errors.

    The other side stays whole: detections beside a missed object, objects beside a false alarm.
    """
    field = import_fiftyone().ViewField
    whose = runs[0].label if len(runs) == 1 else f"any of {len(runs)} runs"
    if kind == MISSED:
        missed = reduce(or_, [field(run.field) == MISSED for run in runs])
        return SavedView(name, f"{kind} by {whose}", dataset.filter_labels(TRUE_FIELD, missed))
    return SavedView(name, f"{kind} of {whose}", _only(dataset, runs, field("kind") == kind))


def _only(dataset: Any, runs: Sequence[SeenRun], condition: Any) -> Any:
    """Detections that meet the condition, on the pictures that have one in any of the runs."""
    field = import_fiftyone().ViewField
    view = dataset.view()
    for run in runs:
        view = view.filter_labels(run.field, condition, only_matches=False)
    return view.match(reduce(or_, [field(f"{r.field}.detections").length() > 0 for r in runs]))


def _others(dataset: Any, seen: SeenRuns) -> Iterator[SavedView]:
    field = import_fiftyone().ViewField
    side = max(run.input_size for run in seen.runs)
    yield SavedView(
        "small objects",
        f"area under {SMALL} x {SMALL} px at the network's input of {side} x {side} px",
        dataset.filter_labels(TRUE_FIELD, field("area") < SMALL**2),
    )
    count = math.ceil(HIGH_LOSS * len(dataset))
    yield SavedView(
        "high-loss images",
        f"the {count} pictures of the highest log loss, mean over the runs",
        dataset.sort_by("loss", reverse=True).limit(count),
    )
    if len({run.policy for run in seen.runs}) > 1:
        yield SavedView(
            "policies disagree",
            "detections that a run of another policy has no counterpart of",
            _only(dataset, seen.runs, field("alone") > 0).sort_by("disagreement", reverse=True),
        )
    yield SavedView(
        "near duplicates",
        "pictures whose difference hash is that of another, nearly; sorted by group",
        dataset.match(field("near_group") > 0).sort_by("near_group"),
    )
