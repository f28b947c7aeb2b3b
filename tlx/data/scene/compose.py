"""One scene: draw its plan back to front, and say exactly where its plates are."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
from PIL import Image

from tlx.data.scene.canvas import SUPERSAMPLE, Canvas, Pen
from tlx.data.scene.effects import add_effects
from tlx.data.scene.geometry import Place, Points
from tlx.data.scene.obstacles import cover_plate, draw_passer_by
from tlx.data.scene.plan import choose_vehicle, park
from tlx.data.scene.plates import hang_plate
from tlx.data.scene.street import draw_background
from tlx.data.scene.vehicles import draw_vehicle

NEGATIVE_SHARE = 0.125  # pictures planned without a plate; hidden plates add about one in a hundred
MIN_VISIBLE = 0.4  # a plate of which less than this can be seen is not drawn at all


def render_scene(
    rng: np.random.Generator, size: tuple[int, int] = (320, 240)
) -> tuple[Image.Image, Points]:
    """Draw one picture of `size` (width, height).

    Returns the RGB picture and float64 boxes (n, 4), xyxy in pixels of the picture: the bounds of
    what can be seen of each plate, n = 0 for a street without plates.
    """
    seed = int(rng.integers(2**62))
    canvas = draw_street(seed, size)
    seen = canvas.plates()
    hidden = {number for number, (share, _) in seen.items() if share < MIN_VISIBLE}
    if hidden:  # all random choices come from the seed: the rest of the street stays as it was
        canvas = draw_street(seed, size, hidden)
        seen = canvas.plates()
    boxes = np.array([box for _, box in seen.values()], np.float64).reshape(-1, 4)
    return add_effects(canvas.image.reduce(SUPERSAMPLE), canvas.shining(), rng), boxes


def draw_street(seed: int, size: tuple[int, int], hidden: Set[int] = frozenset()) -> Canvas:
    """Draw the clean street of this seed, without the plates numbered in `hidden`.

    Leaving plates out changes no other pixel of the street.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(size)
    count = int(rng.choice([1, 2, 3], p=[0.64, 0.28, 0.08]))
    vehicles = [choose_vehicle(rng) for _ in range(count)]
    camera, places = park(vehicles, canvas.size, rng)
    plated = bool(rng.random() >= NEGATIVE_SHARE)
    if not plated and rng.random() < 0.6:  # seen from the side, or nothing near at all
        side = rng.choice([-1.0, 1.0]) * rng.uniform(1.4, 1.7)
        places = [Place(camera, p.x - side * 1.3, p.z * 1.5, side) for p in places]
        vehicles = vehicles if rng.random() < 0.6 else []
    draw_background(Pen(canvas, Place(camera)), rng)
    far_to_near = sorted(zip(vehicles, places, strict=False), key=lambda pair: -pair[1].z)
    for number, (vehicle, place) in enumerate(far_to_near, start=1):
        pen = Pen(canvas, place)
        draw_vehicle(pen, vehicle, rng)
        has_plate = plated and (count == 1 or rng.random() < 0.93)
        shown = number if has_plate and number not in hidden else 0
        quad = hang_plate(pen, vehicle.style, vehicle.plate_height, vehicle.paint, shown, rng)
        if rng.random() < 0.3:
            cover_plate(canvas, quad, vehicle.rear, rng)
    if rng.random() < 0.25:
        draw_passer_by(canvas, camera, rng)
    return canvas
