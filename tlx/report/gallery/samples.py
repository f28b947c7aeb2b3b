"""The same test pictures side by side: what is there, and what each arm found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlx.report.gallery.sources import Source
from tlx.report.gallery.views import View, run_view, truth_view
from tlx.report.gallery.windows import Window, whole

MOST, LEAST, MOST_VIEWS = 6, 2, 48


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
    wanted = max(LEAST, min(MOST, MOST_VIEWS // (len(shown) + 1)))
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
