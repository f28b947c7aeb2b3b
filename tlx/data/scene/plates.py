"""Licence plates: their styles, what one looks like flat, and how it hangs on a vehicle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tlx.data.scene.canvas import PLATE_LAMP, Pen
from tlx.data.scene.colors import BLACK, WHITE, Color, noise, pick, to_image, tone
from tlx.data.scene.geometry import Points, rect, resized
from tlx.data.scene.lettering import write

PATCH_WIDTH = 384  # pixels; plates are drawn flat at this width, then warped
NUMBER_PATTERNS = ("AA 00 AA", "AA 000 AA", "A 0000 A", "0AAA000", "AAA 000", "00-AA-00")
ALPHABETS = {"A": "ABCDEFGHJKLMNPRSTUVWXYZ", "0": "0123456789"}


@dataclass(frozen=True)
class PlateStyle:
    """A family of plates; `width` in metres, somewhat wider than real plates."""

    width: float
    aspect: float
    papers: tuple[Color, ...]
    inks: tuple[Color, ...]
    band: bool = False  # blue country band on the left
    caption: bool = False  # small words above and below the number


STYLES = (
    PlateStyle(0.66, 4.3, ((244, 244, 240), (226, 228, 226)), (BLACK,), band=True),
    PlateStyle(0.66, 4.0, ((246, 204, 48), (238, 190, 70)), (BLACK,), band=True),
    PlateStyle(0.64, 3.8, (BLACK, (40, 42, 46)), (WHITE,)),
    PlateStyle(
        0.54, 2.0, (WHITE, (206, 222, 240), (244, 226, 180)),
        ((24, 40, 110), (130, 24, 30), (20, 70, 50)), caption=True,
    ),
)  # fmt: skip
STYLE_ODDS = (0.36, 0.2, 0.16, 0.28)


def _plate_patch(style: PlateStyle, rng: np.random.Generator) -> Image.Image:
    """A flat plate of the style, PATCH_WIDTH pixels wide, with a random number."""
    w, h = PATCH_WIDTH, round(PATCH_WIDTH / style.aspect)
    paper = tone(pick(rng, style.papers), rng.uniform(0.82, 1.03))
    ink = pick(rng, style.inks)
    patch = Image.new("RGB", (w, h), tone(ink, 0.8) if rng.random() < 0.7 else (52, 52, 54))
    draw = ImageDraw.Draw(patch)
    rim = int(rng.integers(5, 10))
    draw.rounded_rectangle((rim, rim, w - rim - 1, h - rim - 1), 10, paper)
    left, top, bottom = rim + 14.0, h * 0.2, h * 0.8
    if style.band and rng.random() < 0.85:
        draw.rectangle((rim, rim, rim + 34, h - rim - 1), (24, 60, 160))
        country = str(rng.choice(list("DFIEBPL")))
        write(patch, country, (rim + 8, h * 0.58, rim + 27, h * 0.82), WHITE, 1)
        left = rim + 48.0
    if style.caption:
        state = str(rng.choice(["OREGON", "Nevada", "IDAHO", "Maine", "UTAH"]))
        write(patch, state, (w * 0.32, h * 0.09, w * 0.68, h * 0.21), ink, 1)
        write(patch, "the open road", (w * 0.3, h * 0.83, w * 0.7, h * 0.92), ink, 0)
        top, bottom = h * 0.28, h * 0.76
    pattern = str(rng.choice(NUMBER_PATTERNS))
    number = "".join(str(rng.choice(list(ALPHABETS.get(c, c)))) for c in pattern)
    write(patch, number, (left, top, w - rim - 14, bottom), ink, int(rng.integers(1, 4)))
    grime = 1 + rng.uniform(0, 0.12) * noise(rng, (w, h), 24)
    return to_image(np.asarray(patch, np.float32) * grime)


def hang_plate(
    pen: Pen,
    style: PlateStyle,
    height: float,
    paint: Color,
    number: int,
    rng: np.random.Generator,
) -> Points:
    """Hang a plate, its middle `height` metres up, on a face of the colour `paint`.

    Returns its quad (4, 2) and enters it under its number; number 0 leaves the bare holder. The
    same random numbers are used in both cases, so that hiding a plate changes nothing else.
    """
    half, tall = style.width / 2, style.width / style.aspect / 2
    plate = rect(-half, -tall, half, tall)
    tilt, turn = rng.normal(0, 0.1), rng.normal(0, 0.025)
    x, y, _ = plate.T
    up = x * np.sin(turn) + y * np.cos(turn)
    right = x * np.cos(turn) - y * np.sin(turn)
    corners = np.stack([right, height + up * np.cos(tilt), up * np.sin(tilt) - 0.08], axis=1)
    if rng.random() < 0.5:
        recess = resized(plate, 1.15) + np.array([0, height, -0.05])
        pen.fill(recess, tone(paint, rng.uniform(0.3, 0.7)))
    quad, patch = pen.place(corners), _plate_patch(style, rng)
    pen.glow(corners, 0.4, PLATE_LAMP)
    if number:
        pen.canvas.quads[number] = quad
        pen.canvas.warp(patch, quad, number)
    return quad
