"""How well a test set can measure: the interval of a mAP of .5, before there is any figure.

An average precision is treated as the share of a class's objects that are found. Objects of one
picture are found or missed together to an unknown degree, so two intervals are given, which the
true one lies between: all objects by themselves, and all objects of a picture (of a group of
near-identical pictures) together. The latter is the largest error to expect. Objects, or pictures,
of weights `w` in the mean over classes count as `n = 1 / sum(w²)` independent ones (Kish, "Survey
Sampling", 1965); the interval is Wilson's ("Probable inference", J. Am. Stat. Assoc. 22, 1927),
which at .5 is .5 ± z / (2 sqrt(n + z²)). False alarms, and what another seed or another training
set would change, come on top.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlx.data.formats.annotations import Item

Z = 1.959964  # of a 95 % interval
LEVEL = 0.5  # the mAP that is asked about: the interval is widest there


@dataclass(frozen=True)
class TestError:
    """Attributes:
    pictures, boxes: of the test set, difficult boxes left out. classes: that have a box.
    units: groups of near-identical pictures with a box, a picture alone being one.
    apart, together: half of the 95 % interval of a mAP of .5, of objects found each by itself,
        and of those of a picture found or missed together.
    """

    __test__ = False  # no test, whatever its name

    pictures: int
    boxes: int
    classes: int
    units: int
    apart: float
    together: float


def largest_error(items: Sequence[Item], groups: Mapping[str, int]) -> TestError | None:
    """Of these test pictures; None where no box counts.

    Args:
        groups: the number of its group of near-identical pictures, by digest; pictures of no
            group stand alone.
    """
    labels = [(item, int(k)) for item in items for k in item.labels[~item.difficult]]
    if not labels:
        return None
    of_class = Counter(label for _, label in labels)
    weights: dict[object, float] = defaultdict(float)
    for item, label in labels:
        weights[groups.get(item.digest, item.digest)] += 1 / (len(of_class) * of_class[label])
    apart = 1 / sum(1 / (len(of_class) ** 2 * count) for count in of_class.values())
    together = 1 / sum(weight**2 for weight in weights.values())
    return TestError(
        pictures=len(items),
        boxes=len(labels),
        classes=len(of_class),
        units=len(weights),
        apart=half_interval(apart),
        together=half_interval(min(apart, together)),
    )


def half_interval(count: float) -> float:
    """Half of Wilson's 95 % interval of a share of .5 of `count` independent objects."""
    return Z / (2 * math.sqrt(count + Z**2))
