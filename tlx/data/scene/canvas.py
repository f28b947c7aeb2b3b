"""A canvas that knows which plate each of its pixels shows, and the pen that draws on it.

Everything is painted back to front. An "owner" picture beside the visible one remembers what lies
on top, so that a box covers what can really be seen of its plate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tlx.data.scene.colors import Color, tone
from tlx.data.scene.geometry import NEAR, Place, Points, homography, signed_area

SUPERSAMPLE = 2  # canvas pixels a picture pixel, each way
LAMP = 255  # owner of the pixels of head and tail lamps; plates count from 1
PLATE_LAMP: Color = (200, 196, 180)  # light on a plate: shines from elsewhere, dazzles nobody


class Glow(NamedTuple):
    """A lamp that lights its surroundings at night; lengths in canvas pixels."""

    x: float
    y: float
    reach: float
    color: Color


class Canvas:
    """Supersampled picture, the plate each of its pixels shows, and the lamps in it."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
        self.image = Image.new("RGB", self.size)
        self.owner = Image.new("L", self.size)
        self.quads: dict[int, Points] = {}  # plate number (from 1) -> (4, 2) corners
        self.glows: list[Glow] = []
        self._paint = ImageDraw.Draw(self.image)
        self._own = ImageDraw.Draw(self.owner)
        self._owned = False  # while nothing is, the far street need not be drawn there too

    def polygon(self, points: Points, fill: Color, owner: int = 0) -> None:
        """Fill the polygon (n, 2); it hides whatever plate lay under it."""
        flat = points.ravel().tolist()
        self._paint.polygon(flat, fill)
        self._owned = self._owned or owner > 0
        if self._owned:
            self._own.polygon(flat, owner)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """Fill an upright ellipse around (x, y); all in canvas pixels."""
        box = (x - rx, y - ry, x + rx, y + ry)
        self._paint.ellipse(box, fill)
        if self._owned:
            self._own.ellipse(box, 0)

    def warp(self, patch: Image.Image, quad: Points, owner: int = 0) -> None:
        """Lay the RGB patch on the quad (4, 2: top-left, then clockwise)."""
        shrink = patch.width / max(float(np.ptp(quad[:, 0])), 8.0)
        if shrink > 1.3:  # the transform does not filter: small text would turn to gravel
            patch = patch.resize(
                (round(patch.width / shrink), max(round(patch.height / shrink), 4))
            )
        low = np.clip(np.floor(quad.min(axis=0)), 0, self.size)
        width, height = np.clip(np.ceil(quad.max(axis=0)), 0, self.size) - low
        if min(width, height) < 2:
            return
        window = (int(width), int(height))
        matrix = homography(quad - low, patch.size)
        perspective = Image.Transform.PERSPECTIVE
        cover = Image.new("L", patch.size, 255).transform(window, perspective, matrix)
        warped = patch.transform(window, perspective, matrix, Image.Resampling.BILINEAR)
        corner = (int(low[0]), int(low[1]))
        self.image.paste(warped, corner, cover)
        self._owned = self._owned or owner > 0
        self.owner.paste(owner, corner, cover)

    def shining(self) -> list[Glow]:
        """The lamps that nothing hides; those outside the picture still light what is inside."""
        (width, height), shown = self.size, []
        for glow in self.glows:
            inside = 0 <= glow.x < width and 0 <= glow.y < height
            hidden = inside and self.owner.getpixel((int(glow.x), int(glow.y))) != LAMP
            if glow.color == PLATE_LAMP or not hidden:
                shown.append(glow)
        return shown

    def plates(self) -> dict[int, tuple[float, Points]]:
        """Plate number -> (share of it that can be seen, its box (4,) xyxy in picture pixels)."""
        owner = np.asarray(self.owner)
        found = {}
        for number, quad in self.quads.items():
            rows, columns = np.nonzero(owner == number)
            if not len(rows):
                found[number] = (0.0, np.zeros(4))
                continue
            # A pixel is owned when its centre is, so the true edge may lie a pixel further out.
            seen_low = np.array([columns.min() - 1, rows.min() - 1])
            seen_high = np.array([columns.max() + 2, rows.max() + 2])
            low = np.maximum(np.maximum(quad.min(axis=0), seen_low), 0)
            high = np.minimum(np.minimum(quad.max(axis=0), seen_high), self.size)
            share = len(rows) / abs(signed_area(quad))
            found[number] = (share, np.concatenate([low, high]) / SUPERSAMPLE)
        return found


@dataclass(frozen=True)
class Pen:
    """Draws on the canvas in the metres of one object's frame."""

    canvas: Canvas
    place: Place

    def fill(self, points: Points, color: Color, owner: int = 0) -> None:
        """Fill the polygon (n, 3)."""
        self.canvas.polygon(self.place(points), color, owner)

    def faces_viewer(self, corners: Points) -> bool:
        """Whether the front of the polygon (n, 3), its clockwise side, can be seen."""
        return signed_area(self.place(corners)) > 0

    def panel(self, corners: Points, color: Color, fall: float, taper: float = 0.0) -> None:
        """Fill a quad (4, 3) with bands darker by `fall` (0..1) downwards: sheet metal.

        Its upper corners are rounded inwards by `taper`, a share of its width.
        """
        t = np.linspace(0, 1, 9)[:, None]
        left = corners[0] + t * (corners[3] - corners[0])
        right = corners[1] + t * (corners[2] - corners[1])
        inset = taper * (1 - t) ** 3 * (right - left)
        flat = self.place(np.concatenate([left + inset, right - inset]))
        for k in range(8):
            self.canvas.polygon(flat[[k, 9 + k, 10 + k, k + 1]], tone(color, 1.1 - fall * k / 7))

    def glow(self, points: Points, metres: float, color: Color) -> None:
        """Enter a lamp around the middle of the polygon (n, 3)."""
        x, y = self.place(points).mean(axis=0)
        reach = metres * self.place.camera.focal / max(self.place.z, NEAR)
        self.canvas.glows.append(Glow(float(x), float(y), float(reach), color))
