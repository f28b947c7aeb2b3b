"""What stands in front of a plate or of the whole street: posts, towballs, leaves and people.

Plates that are partly hidden are common on real streets, and their boxes must end where the
obstacle begins.
"""

from __future__ import annotations

import numpy as np

from tlx.data.scene.canvas import Canvas
from tlx.data.scene.colors import PAINTS, jitter, pick, tone
from tlx.data.scene.geometry import Camera, Place, Points


def cover_plate(canvas: Canvas, quad: Points, rear: bool, rng: np.random.Generator) -> None:
    """Put something in front of up to about a third of the plate on `quad` (4, 2)."""
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    w, h = x1 - x0, y1 - y0
    kind = rng.choice(["pole", "ball", "walker", "leaves"])
    if kind == "pole":
        x, half = rng.uniform(x0, x1), rng.uniform(0.04, 0.13) * w
        color = jitter((120, 122, 120), rng, 30)
        for right, light in ((x + half, 0.8), (x, 1.1)):
            pole = [[x - half, 0], [right, 0], [right, canvas.size[1]], [x - half, canvas.size[1]]]
            canvas.polygon(np.array(pole), tone(color, light))
    elif kind == "ball" and rear:
        x, y, r = (x0 + x1) / 2 + rng.uniform(-0.1, 0.1) * w, y1 - 0.3 * h, 0.05 * w
        stem = [[x - r / 2, y], [x + r / 2, y], [x + r, y1 + h], [x - r, y1 + h]]
        canvas.polygon(np.array(stem), (40, 40, 42))
        canvas.oval(x, y, r, r, (96, 98, 102))
    elif kind == "walker":
        overlap, half = rng.uniform(0.1, 0.33) * w, rng.uniform(0.22, 0.4) * w
        x = x0 + overlap - half if rng.random() < 0.5 else x1 - overlap + half
        _draw_walker(canvas, x, y1 - rng.uniform(0.2, 0.9) * half, half, rng)
    else:
        x, green = rng.choice([x0, x1]), jitter((52, 92, 44), rng, 14)
        for _ in range(40):
            dx, dy = rng.normal(0, 0.16) * w, abs(rng.normal(0, 0.9)) * h
            rx, ry = rng.uniform(0.02, 0.06, 2) * w
            leaf = tone(green, rng.uniform(0.6, 1.4))
            canvas.oval(x + dx, y1 + dy - 0.3 * h, rx, ry, leaf)


def draw_passer_by(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """A person at mid distance, anywhere on the road."""
    place = Place(camera, float(rng.uniform(-4, 4)), float(rng.uniform(6, 14)))
    x, y = place(np.array([[0.0, 0.85, 0.0]]))[0]
    _draw_walker(canvas, x, y, 0.25 * camera.focal / place.z, rng)


def _draw_walker(
    canvas: Canvas, x: float, hip: float, half: float, rng: np.random.Generator
) -> None:
    """A standing person: hip height and half the shoulder width in canvas pixels."""
    coat, legs = jitter(pick(rng, PAINTS), rng, 20), jitter((50, 54, 70), rng, 20)
    for middle in (-0.45, 0.45):
        leg = [[middle - 0.4, 0], [middle + 0.4, 0], [middle + 0.3, 3.4], [middle - 0.3, 3.4]]
        canvas.polygon(np.array(leg) * half + [x, hip], legs)
    torso = [[-0.7, -2.7], [0.7, -2.7], [1, -2.2], [0.85, 0.2], [-0.85, 0.2], [-1, -2.2]]
    canvas.polygon(np.array(torso) * half + [x, hip], coat)
    canvas.oval(x, hip - 3.2 * half, 0.42 * half, 0.55 * half, jitter((190, 150, 124), rng, 20))
