"""What lies behind the vehicles: sky, ground and road, houses, trees, signs and far traffic."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image

from tlx.data.scene.canvas import Canvas, Pen
from tlx.data.scene.colors import BLACK, WHITE, Color, jitter, noise, pick, to_image, tone
from tlx.data.scene.geometry import NEAR, Camera, Place, disc, level_rect, rect, side_rect
from tlx.data.scene.lettering import hang_board, hang_sign
from tlx.data.scene.plan import choose_vehicle
from tlx.data.scene.vehicles import draw_car

WALLS: tuple[Color, ...] = (
    (168, 120, 96), (188, 176, 156), (140, 138, 136), (206, 196, 178), (122, 96, 84),
    (164, 172, 180), (196, 164, 120),
)  # fmt: skip
SKIES: tuple[tuple[Color, Color], ...] = (  # colours at the top and at the horizon
    ((92, 140, 200), (200, 216, 230)), ((150, 160, 172), (206, 208, 210)),
    ((112, 120, 150), (236, 190, 150)), ((176, 184, 192), (224, 226, 226)),
)  # fmt: skip


def draw_background(pen: Pen, rng: np.random.Generator) -> None:
    """Sky, ground, road with markings, two rows of houses, trees, signs and far traffic."""
    camera, road = pen.place.camera, float(rng.uniform(3.5, 6.0))
    _draw_sky(pen.canvas, camera, rng)
    pen.fill(level_rect(-90, 90, NEAR, 90), jitter((132, 130, 124), rng, 14))
    pen.fill(level_rect(-road, road, NEAR, 90), jitter((86, 86, 90), rng, 12))
    for z in np.arange(rng.uniform(0.5, 3), 60, 5.0):
        pen.fill(level_rect(-0.07, 0.07, z, z + 2.2), (204, 204, 196))
    for x in (-road, road):
        pen.fill(level_rect(x - 0.12, x + 0.12, NEAR, 80), (168, 166, 160))
        _draw_houses(pen, x + np.sign(x) * rng.uniform(2, 4), rng)
    trees, cars, signs = (int(n) for n in rng.integers((1, 0, 0), (5, 4, 4)))
    for side in rng.choice([-1, 1], trees):
        place = Place(camera, side * (road + 1.2), float(rng.uniform(9, 30)))
        _draw_tree(Pen(pen.canvas, place), rng)
    for x in rng.uniform(-road, road, cars):
        place = Place(camera, float(x), float(rng.uniform(26, 50)))
        draw_car(Pen(pen.canvas, place), choose_vehicle(rng), rng)
    for side in rng.choice([-1, 1], signs):
        place = Place(camera, side * (road + 0.6), float(rng.uniform(7, 18)), rng.normal(0, 0.2))
        _draw_sign(Pen(pen.canvas, place), rng)


def _draw_sky(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """Gradient with clouds; the ground and the houses are drawn over it."""
    top, low = (np.array(c, np.float32) for c in SKIES[int(rng.integers(len(SKIES)))])
    size = (canvas.size[0] // 4, canvas.size[1] // 4)  # it is smooth: no need for every pixel
    down = np.linspace(0, canvas.size[1] / camera.centre[1], size[1], dtype=np.float32)
    sky = top + (low - top) * np.minimum(down, 1)[:, None, None]
    clouded = to_image(sky + 14 * noise(rng, size, 22))
    canvas.image.paste(clouded.resize(canvas.size, Image.Resampling.BILINEAR))


def _draw_houses(pen: Pen, x: float, rng: np.random.Generator) -> None:
    """A row of houses along the street in the plane x, far to near, with shop signs."""
    edges = np.cumsum([2.0, *rng.uniform(6, 13, 8)])[::-1]
    for z1, z0 in pairwise(edges):
        height, wall = rng.uniform(5, 15), jitter(pick(rng, WALLS), rng, 10)
        left, right = sorted((x, x + np.sign(x) * 8))
        pen.fill(rect(left, 0, right, height, z0), tone(wall, 0.75))
        pen.fill(side_rect(x, 0, height, z0, z1), wall)
        glass = jitter((70, 80, 92), rng, 16)
        rows, columns = np.arange(3.6, height - 1.2, 2.9), np.arange(z0 + 0.8, z1 - 1.3, 2.4)
        windows = [side_rect(x, y, y + 1.5, z, z + 1.1) for y in rows for z in columns]
        for corners in pen.place(np.concatenate(windows)).reshape(-1, 4, 2) if windows else ():
            pen.canvas.polygon(corners, glass)
        pen.fill(side_rect(x, 0.4, 2.4, z0 + 0.6, z1 - 0.6), tone(glass, 0.8))
        if rng.random() < 0.7:
            near, far = z0 + 1, z0 + rng.uniform(3, 5)
            ends = (near, far) if x < 0 else (far, near)
            hang_sign(pen, side_rect(x * 0.995, 2.5, 3.3, *ends), rng)


def _draw_tree(pen: Pen, rng: np.random.Generator) -> None:
    """A trunk under a cloud of leaf clumps."""
    pen.fill(rect(-0.12, 0, 0.12, 2.6), (78, 62, 50))
    scale, green = pen.place.camera.focal / pen.place.z, jitter((66, 104, 52), rng, 16)
    middles = rng.normal((0, 3.4, 0), (0.8, 0.8, 0), (45, 3))
    for x, y in pen.place(middles).tolist():
        r = rng.uniform(0.12, 0.4) * scale
        pen.canvas.oval(x, y, r, r * 0.8, tone(green, rng.uniform(0.55, 1.35)))


def _draw_sign(pen: Pen, rng: np.random.Generator) -> None:
    """A road sign on a pole: a disc with a limit, or a board with a word on it."""
    y = rng.uniform(1.2, 2.4)
    pen.fill(rect(-0.04, 0, 0.04, y + 0.3), (120, 122, 124))
    if rng.random() < 0.4:
        pen.fill(disc(0, y, 0.4, 0.4, -0.02), (190, 30, 34))
        pen.fill(disc(0, y, 0.31, 0.31, -0.03), WHITE)
        limit = rect(-0.2, y - 0.15, 0.2, y + 0.15, -0.04)
        hang_board(pen, limit, str(rng.choice(["30", "50", "70"])), WHITE, BLACK)
    else:
        wide, tall = rng.uniform(0.4, 0.9), rng.uniform(0.15, 0.35)
        hang_sign(pen, rect(-wide, y - tall, wide, y + tall, -0.02), rng)
