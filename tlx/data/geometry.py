"""Which part of a picture a training view shows: SSD's zoom-out, IoU-constrained crop and mirror.

Only boxes are computed here. Zooming, cropping and resizing then are one resize of one window, so
that a view costs as much as its own pixels, not as much as the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# torchvision.transforms.v2.RandomIoUCrop's defaults, which are the paper's (sec. 2.2).
MIN_SCALE, MAX_SCALE = 0.3, 1.0
MIN_ASPECT, MAX_ASPECT = 0.5, 2.0
LEAST_OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)  # 1.0: the whole picture
MIRROR = 0.5  # odds
TRIALS = 40


@dataclass(frozen=True)
class Window:
    """A rectangle in pixels of the picture, which it may exceed (zoom-out), and its mirroring."""

    left: int
    top: int
    width: int
    height: int
    mirrored: bool = False

    def place(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 4) in pixels -> those whose centre is inside, in 0..1 of the window; which."""
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        low = np.array([self.left, self.top], np.float64)
        size = np.array([self.width, self.height], np.float64)
        kept = ((centre > low) & (centre < low + size)).all(1)
        corners = (boxes[kept].reshape(-1, 2, 2) - low) / size
        corners = corners.clip(0, 1)
        if self.mirrored:
            corners[:, :, 0] = 1 - corners[:, ::-1, 0]
        return corners.reshape(-1, 4), kept


def whole(width: int, height: int) -> Window:
    """The picture as it is."""
    return Window(0, 0, width, height)


def draw_window(
    rng: np.random.Generator, width: int, height: int, boxes: np.ndarray, zoom_out: float,
    least_side: float | None = None, mirror: float = MIRROR,
) -> Window:  # fmt: skip
    """A random view of a `width` x `height` picture with `boxes` (n, 4) in its pixels.

    Args:
        zoom_out: largest, 1: none. least_side: of a crop, of the picture's; None: as SSD. mirror:
            odds.
    """
    least = MIN_SCALE if least_side is None else least_side
    canvas = whole(width, height)
    if zoom_out > 1 and rng.random() < 0.5:
        canvas = _zoomed_out(rng, canvas, zoom_out)
    view = _cropped(rng, canvas, boxes, least) if len(boxes) else canvas
    return Window(view.left, view.top, view.width, view.height, bool(rng.random() < mirror))


def _zoomed_out(rng: np.random.Generator, w: Window, largest: float) -> Window:
    """The picture somewhere on a canvas of up to `largest` times its sides."""
    ratio = rng.uniform(1.0, largest)
    width, height = int(w.width * ratio), int(w.height * ratio)
    left, top = rng.random(2) * (width - w.width, height - w.height)
    return Window(-int(left), -int(top), width, height)


def _cropped(
    rng: np.random.Generator, canvas: Window, boxes: np.ndarray, least_side: float
) -> Window:
    """A crop that shows some object's centre and overlaps it enough; all trials drawn at once."""
    corner = np.array([canvas.left, canvas.top])
    sides = np.array([canvas.width, canvas.height])
    boxes = boxes - np.tile(corner, 2)
    while True:
        least = LEAST_OVERLAPS[rng.integers(len(LEAST_OVERLAPS))]
        if least >= 1.0:
            return canvas
        size = (sides * rng.uniform(least_side, MAX_SCALE, (TRIALS, 2))).astype(int)
        low = ((sides - size) * rng.random((TRIALS, 2))).astype(int)
        aspect = size[:, 0] / size[:, 1].clip(1)
        legal = (aspect >= MIN_ASPECT) & (aspect <= MAX_ASPECT) & (size > 0).all(1)
        legal &= _overlap(boxes, low, low + size) >= least
        if legal.any():
            first = int(legal.argmax())
            left, top = (corner + low[first]).tolist()
            return Window(left, top, *size[first].tolist())


def _overlap(boxes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Largest IoU of each crop (k, 2) with the boxes whose centre it shows; -1 if it shows none."""
    low, high = low[:, None], high[:, None]  # (k, 1, 2) against (n, 2)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    shown = ((centre > low) & (centre < high)).all(2)
    meet = (np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low)).clip(0).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (high - low).prod(2)
    return np.where(shown, meet / (areas - meet), -1.0).max(1)
