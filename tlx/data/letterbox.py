"""Where a picture lies in the square input when its aspect ratio is kept, there and back.

The longer side fills the input, the shorter one is centred between bars of gray (`FILL` of
`tlx.data.augment`). The area is whole pixels of the input, so that boxes and pixels agree to the
last bit; `tools/jetson_benchmark.py` has the same arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Area(NamedTuple):
    """A rectangle of the square input, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    def mirrored(self, side: int) -> Area:
        """The area after the input of `side` px was turned left to right."""
        return self._replace(left=side - self.left - self.width)

    def into(self, boxes: np.ndarray, side: int) -> np.ndarray:
        """Boxes (n, 4) in 0..1 of what the area shows -> in 0..1 of the input."""
        low = np.array([self.left, self.top] * 2)
        return (low + boxes * np.array([self.width, self.height] * 2)) / side

    def out_of(self, boxes: np.ndarray, side: int) -> np.ndarray:
        """Boxes (n, 4) in 0..1 of the input -> of what the area shows; not clipped."""
        low = np.array([self.left, self.top] * 2)
        return (boxes.astype(np.float64) * side - low) / np.array([self.width, self.height] * 2)


def content(width: int, height: int, side: int) -> Area:
    """Where a picture of `width` x `height` lies in an input of `side` px; at least 1 px wide."""
    longest = max(width, height)
    # Halves up, in whole numbers: no rounding that differs between machines.
    w, h = (max(1, (2 * side * length + longest) // (2 * longest)) for length in (width, height))
    return Area((side - w) // 2, (side - h) // 2, w, h)
