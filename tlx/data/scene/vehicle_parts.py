"""Parts that cars and trucks share: sides and wheels, grilles, lamps, and things stuck on them."""

from __future__ import annotations

import numpy as np

from tlx.data.scene.canvas import LAMP, Pen
from tlx.data.scene.colors import WHITE, pick, tone
from tlx.data.scene.geometry import Points, disc, level_rect, rect, resized, side_rect
from tlx.data.scene.lettering import hang_board, hang_sign
from tlx.data.scene.plan import Vehicle

SCREEN_LEAN = 0.5  # metres from the foot of a screen back to its upper edge
HEADLAMP, TAIL_LAMP = (236, 236, 228), (190, 24, 28)


def draw_body(pen: Pen, v: Vehicle) -> None:
    """Shadow, wheels and the sides that can be seen."""
    half, top = v.width / 2, v.roof if v.truck else v.belt
    pen.fill(level_rect(-half - 0.1, half + 0.1, -0.15, v.length), (34, 34, 36))
    for x in (-half + 0.17, half - 0.17):
        pen.fill(rect(x - 0.12, 0, x + 0.12, 0.4, 0.1), (20, 20, 22))
    for x in (-half, half):
        near, far = (0.0, v.length) if x > 0 else (v.length, 0.0)
        side = side_rect(x, 0.25, top, near, far)
        if not pen.faces_viewer(side):
            continue
        pen.panel(side, tone(v.paint, 0.8), 0.35)
        if not v.truck:
            glass = side_rect(x, v.belt, v.roof, v.foot, v.length - 0.6)
            glass[:2, 0] *= 0.8  # the roof is narrower than the doors, and shorter
            glass[:2, 2] = v.foot + SCREEN_LEAN, v.length - 1.2
            pen.fill(glass, tone(v.paint, 0.7))
            pen.fill(resized(glass, 0.84), (46, 54, 62))
        for z in (0.8, v.length - 0.85):
            pen.fill(disc(x * 1.005, 0.32, 0.34, 0.33, z, wall=True), (18, 18, 20))
            pen.fill(disc(x * 1.01, 0.32, 0.2, 0.19, z, wall=True), (150, 152, 156))
        seam = side_rect(x, 0.35, v.belt, v.length / 2 - 0.02, v.length / 2 + 0.02)
        pen.fill(seam, tone(v.paint, 0.5))


def draw_grille(pen: Pen, corners: Points, rng: np.random.Generator) -> None:
    """A dark opening with slats."""
    pen.fill(corners, (24, 24, 26))
    (x0, y1, z), (x1, y0, _) = corners[0], corners[2]
    slat = tone((150, 152, 156), rng.uniform(0.3, 1.2))
    for y in np.linspace(y0, y1, int(rng.integers(3, 7)))[1:-1]:
        pen.fill(rect(x0, y - 0.012, x1, y + 0.012, z - 0.01), slat)


def draw_lamps(pen: Pen, v: Vehicle, height: float, rng: np.random.Generator) -> None:
    """Head or tail lamps at both ends of the face."""
    rx, ry, z = rng.uniform(0.12, 0.22), rng.uniform(0.06, 0.12), -0.05
    is_round = rng.random() < 0.45
    outer, inner = (TAIL_LAMP, (240, 170, 60)) if v.rear else (HEADLAMP, (255, 255, 250))
    for side in (-1, 1):
        x = side * (v.width / 2 - rx - 0.03)
        box = rect(x - rx, height - ry, x + rx, height + ry, z)
        shape = disc(x, height, rx, ry, z) if is_round else box
        pen.fill(shape, (60, 60, 64))
        pen.fill(resized(shape, 0.86), outer)
        pen.fill(resized(box, 0.35), inner, LAMP)
        pen.glow(shape, 0.5, outer)


def draw_extras(pen: Pen, v: Vehicle, rng: np.random.Generator) -> None:
    """Stickers, taxi boards, papers behind the glass and vents: rectangles that are no plates."""
    sticker, taxi, ticket, vents = rng.random(4) < (0.35, 0.18, 0.2, 0.3)
    if sticker:
        x, y = rng.uniform(-0.6, 0.35), rng.uniform(0.62, v.belt - 0.12)
        hang_sign(pen, rect(x, y, x + rng.uniform(0.15, 0.36), y + 0.1, -0.03), rng)
    if taxi and not v.truck:
        wide = rng.uniform(0.22, 0.36)
        hang_sign(pen, rect(-wide, v.roof, wide, v.roof + 0.2, 1.2), rng, "TAXI")
    if ticket and not v.truck:
        x, y = rng.uniform(-0.5, 0.3), v.belt + 0.1
        hang_board(pen, rect(x, y, x + 0.16, y + 0.12, 0.45), "== ---", WHITE, (110, 110, 116))
    if vents:
        color = pick(rng, ((238, 238, 230), (240, 190, 50), (30, 30, 32), (170, 172, 176)))
        wide, middle = rng.uniform(0.1, 0.2), v.width * 0.33
        for x in (-middle, middle):
            pen.fill(rect(x - wide, 0.32, x + wide, 0.41, -0.06), color)
