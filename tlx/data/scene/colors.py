"""Colours: those that several things share, and how one or a whole array of them is varied."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Color = tuple[int, int, int]
Pixels = NDArray[np.float32]  # (height, width, 3) or a single channel, 0..255

# Of vehicles and of coats.
PAINTS: tuple[Color, ...] = (
    (236, 236, 232), (205, 208, 210), (150, 154, 158), (92, 96, 102), (38, 40, 44), (22, 24, 28),
    (34, 58, 112), (60, 104, 160), (150, 28, 30), (196, 60, 40), (38, 74, 56), (190, 176, 146),
    (232, 190, 52), (98, 62, 46), (120, 140, 120),
)  # fmt: skip
WHITE, BLACK = (240, 240, 236), (22, 22, 24)


def _color(channels: Iterable[float]) -> Color:
    """Three numbers as a colour, clipped to 0..255."""
    r, g, b = (int(min(max(c, 0), 255)) for c in channels)
    return r, g, b


def tone(color: Color, factor: float) -> Color:
    """The colour made darker (factor < 1) or lighter."""
    r, g, b = color
    return min(int(r * factor), 255), min(int(g * factor), 255), min(int(b * factor), 255)


def jitter(color: Color, rng: np.random.Generator, spread: float) -> Color:
    """The colour moved by `spread` levels in brightness and a third of that in hue."""
    return _color(np.array(color) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3))


def pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    """One of the colours."""
    return colors[int(rng.integers(len(colors)))]


def noise(rng: np.random.Generator, size: tuple[int, int], cell: int) -> Pixels:
    """Smooth noise (height, width, 1), mean 0, spread about 1; bumps `cell` pixels across."""
    coarse = rng.standard_normal((size[1] // cell + 3, size[0] // cell + 3), np.float32)
    smooth = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(smooth)[..., None]


def to_image(pixels: Pixels) -> Image.Image:
    """(height, width, 3) floats -> RGB picture, clipped to 0..255."""
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
