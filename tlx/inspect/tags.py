"""Tags set in the App, as data fixes, and back again when the dataset is made anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tlx.data.fixes import FOUND, PICTURE, SAME, TRUTH, Fix
from tlx.inspect.dataset import TRUE_FIELD


def read_tags(dataset: Any) -> list[Fix]:
    """Every tag of a picture, an object or a detection; the same one from two runs once."""
    fixes: dict[Fix, None] = {}
    for sample in dataset:
        for tag in sample.tags:
            fixes[Fix(sample["image"], tag)] = None
        for field, label in _labels(sample):
            kind = TRUTH if field == TRUE_FIELD else FOUND
            for tag in label.tags:
                box = tuple(float(value) for value in label["px"])
                fixes[Fix(sample["image"], tag, kind, label.label, box)] = None  # type: ignore[arg-type]
    return list(fixes)


def set_tags(dataset: Any, fixes: Sequence[Fix]) -> list[Fix]:
    """Tag what the fixes name; returns those whose picture or box the dataset does not have."""
    left = []
    samples = {sample["image"]: sample for sample in dataset}
    for fix in fixes:
        sample = samples.get(fix.image)
        targets = [] if sample is None else _targets(sample, fix)
        for target in targets:
            target.tags = sorted({*target.tags, fix.tag})
        if not targets:
            left.append(fix)
    for image in {fix.image for fix in fixes} & samples.keys():
        samples[image].save()
    return left


def _targets(sample: Any, fix: Fix) -> list[Any]:
    if fix.object == PICTURE or fix.box is None:
        return [sample]
    return [
        label
        for field, label in _labels(sample)
        if (field == TRUE_FIELD) == (fix.object == TRUTH)
        and label.label == fix.name
        and np.abs(np.subtract(label["px"], fix.box)).max() <= SAME
    ]


def _labels(sample: Any) -> Iterator[tuple[str, Any]]:
    """(name of the field, detection) of the truth and of every run."""
    for field in sample.field_names:
        value = sample[field]
        for label in getattr(value, "detections", None) or []:
            yield field, label
