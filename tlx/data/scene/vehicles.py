"""Cars and trucks as the viewer meets them, from the front or the rear; without their plates."""

from __future__ import annotations

import numpy as np

from tlx.data.scene.canvas import Pen
from tlx.data.scene.colors import jitter, tone
from tlx.data.scene.geometry import Points, disc, level_rect, rect, resized
from tlx.data.scene.lettering import hang_sign
from tlx.data.scene.plan import Vehicle
from tlx.data.scene.vehicle_parts import (
    SCREEN_LEAN,
    draw_body,
    draw_extras,
    draw_grille,
    draw_lamps,
)


def draw_vehicle(pen: Pen, v: Vehicle, rng: np.random.Generator) -> None:
    """The car or the truck that `v` is."""
    (_draw_truck if v.truck else draw_car)(pen, v, rng)


def draw_car(pen: Pen, v: Vehicle, rng: np.random.Generator) -> None:
    """A car from the front or the rear, with its sides where they can be seen."""
    half = v.width / 2
    foot, ridge = v.foot, v.foot + SCREEN_LEAN
    draw_body(pen, v)
    pen.fill(level_rect(-half * 0.8, half * 0.8, ridge, v.length - 1.2, v.roof), v.paint)
    pen.fill(level_rect(-half, half, 0, foot + 0.1, v.belt), tone(v.paint, 1.12))
    if not pen.faces_viewer(rect(-half, 0, half, 1)):
        return
    cabin = np.array([[-half * 0.8, v.roof, ridge], [half * 0.8, v.roof, ridge],
                      [half * 0.97, v.belt, foot], [-half * 0.97, v.belt, foot]])  # fmt: skip
    pen.panel(cabin, tone(v.paint, 0.92), 0.2, 0.05)
    _draw_screen(pen, v, resized(cabin, 0.86), rng)
    pen.panel(rect(-half, 0.3, half, v.belt), v.paint, rng.uniform(0.15, 0.5), 0.05)
    bumper = v.paint if rng.random() < 0.6 else (44, 44, 46)
    pen.panel(rect(-half, 0.2, half, rng.uniform(0.5, 0.58), -0.04), tone(bumper, 0.95), 0.3)
    pen.fill(rect(-half * 0.85, 0.16, half * 0.85, 0.26, -0.05), (26, 26, 28))
    if v.rear:
        seam = rng.uniform(0.62, 0.8)
        pen.fill(rect(-half, seam, half, seam + 0.015, -0.01), tone(v.paint, 0.5))
    else:
        wide = rng.uniform(0.35, 0.62)
        draw_grille(pen, rect(-wide, 0.56, wide, v.belt - 0.1, -0.02), rng)
    pen.fill(disc(0, v.belt - 0.07, 0.06, 0.045, -0.03), (196, 198, 202))
    draw_lamps(pen, v, v.belt - 0.2, rng)
    draw_extras(pen, v, rng)


def _draw_screen(pen: Pen, v: Vehicle, glass: Points, rng: np.random.Generator) -> None:
    """The nearer screen of a car (4, 3), with the headrests and the sky in it."""
    sky = jitter((84, 98, 112), rng, 16)
    pen.panel(glass, sky, rng.uniform(0.2, 0.8), 0.04)
    for x in (-0.36, 0.36):
        pen.fill(disc(x, v.belt + 0.18, 0.12, 0.13, v.foot + 0.1), tone(sky, 0.45))
    shine, slope = rng.uniform(0.1, 0.7), glass[3] - glass[0]
    top = glass[0] + (glass[1] - glass[0]) * shine
    across = np.array([0.18, 0.0, 0.0])
    streak = np.stack([top, top + across, top + slope, top + slope - across])
    pen.fill(streak, tone(sky, 1.25))


def _draw_truck(pen: Pen, v: Vehicle, rng: np.random.Generator) -> None:
    """A lorry: the doors of its box from the rear, or its cab from the front."""
    half = v.width / 2
    draw_body(pen, v)
    face = rect(-half, 0.75, half, v.roof)
    if not pen.faces_viewer(face):
        return
    pen.panel(face, v.paint, rng.uniform(0.1, 0.3))
    if v.rear:
        for x in (-half + 0.06, -0.02, half - 0.1):
            pen.fill(rect(x, 0.8, x + 0.035, v.roof, -0.01), tone(v.paint, 0.55))
        if rng.random() < 0.7:
            y, wide = rng.uniform(1.0, 1.6), rng.uniform(0.3, 0.9)
            sign = rect(-wide, y, wide, y + rng.uniform(0.16, 0.4), -0.02)
            hang_sign(pen, sign, rng)
    else:
        screen = rect(-half * 0.9, 1.5, half * 0.9, 2.4, -0.01)
        pen.panel(screen, jitter((80, 94, 108), rng, 14), 0.6)
        draw_grille(pen, rect(-half * 0.6, 0.85, half * 0.6, 1.35, -0.02), rng)
    bar = tone((70, 70, 74), rng.uniform(0.5, 1.8))
    pen.panel(rect(-half, 0.42, half, 0.8, -0.04), bar, 0.4)
    draw_lamps(pen, v, 0.6, rng)
    draw_extras(pen, v, rng)
