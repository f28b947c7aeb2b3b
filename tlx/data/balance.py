"""Class-balanced sampling: pictures of rare classes come up more often.

Repeat-factor sampling of Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation"
(CVPR 2019, arXiv:1908.03195, appendix B.1): of a class in a share f of the training pictures the
factor is max(1, sqrt(t / f)), and a picture has the largest of its classes' factors. LVIS lengthens
the epoch by them; here an epoch keeps its number of pictures, so that it costs what a uniform one
costs, and the factors say how often a picture comes up beside others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlx.data.formats.annotations import Item


def repeat_factors(
    items: Sequence[Item], classes: Sequence[str], threshold: float
) -> tuple[np.ndarray, dict[str, Any]]:
    """The factor of each picture, float64 (n,), at least 1; and what they follow from.

    Args:
        threshold: t, the share of pictures below which a class counts as rare, 0..1.
    """
    held = [set(item.labels.tolist()) for item in items]
    counts = {k: sum(k in labels for labels in held) for k in range(1, len(classes) + 1)}
    of_class = {
        k: max(1.0, math.sqrt(threshold * len(items) / count)) if count else 1.0
        for k, count in counts.items()
    }
    factors = np.array([max((of_class[k] for k in labels), default=1.0) for labels in held])
    told = {
        "rule": "repeat factor",
        "threshold": threshold,
        "classes": {
            name: {"pictures": counts[k], "factor": of_class[k]}
            for k, name in enumerate(classes, start=1)
        },
        "times_an_epoch": [float(len(items) * f / factors.sum()) for f in _ends(factors)],
    }
    return factors, told


def _ends(factors: np.ndarray) -> tuple[float, float]:
    return float(factors.min()), float(factors.max())


def draw(rng: np.random.Generator, factors: np.ndarray) -> list[int]:
    """An epoch's pictures in order, as many as there are factors.

    A picture comes up `n * factor / sum(factors)` times on average and never a whole time more or
    less (systematic sampling). Its copies are told apart: copy k of picture i is `i + k * n`.
    """
    count = len(factors)
    order = rng.permutation(count)
    ends = np.cumsum(factors[order]) * (count / factors.sum())
    ends[-1] = count  # to the last bit, so that exactly `count` are drawn
    marks = np.floor(ends + rng.random()).astype(int)
    times = np.diff(marks, prepend=0)
    chosen = [
        int(i + k * count) for i, n in zip(order.tolist(), times.tolist(), strict=True)
        for k in range(n)
    ]  # fmt: skip
    return [chosen[place] for place in rng.permutation(count).tolist()]
