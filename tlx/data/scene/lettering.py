"""Words: stretched onto plates, and hung on boards that look like plates and are none."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tlx.data.scene.canvas import Pen
from tlx.data.scene.colors import BLACK, WHITE, Color, jitter, pick
from tlx.data.scene.geometry import Points, signed_area

SIGN_PAINTS: tuple[Color, ...] = (
    WHITE, (244, 206, 60), (30, 70, 150), (180, 30, 36), (24, 24, 28), (30, 110, 70),
)  # fmt: skip
WORDS = (
    "CAFE", "Bakery", "PHARMACY", "HOTEL", "SALE 50%", "OPEN 24H", "Pizza", "BANK", "Parking",
    "GARAGE", "Flowers", "555 0142", "MARKET", "Books", "to let", "WASH", "EXIT 12", "A 40",
)  # fmt: skip


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(64)


@lru_cache(maxsize=256)  # the same few words hang on every street
def _lettering(text: str, bold: int) -> Image.Image:
    """Mask of the text at full size, cropped to its ink; never to be written to."""
    font = _font()
    x0, y0, x1, y1 = font.getbbox(text, stroke_width=bold)
    mask = Image.new("L", (int(x1 - x0) + 1, int(y1 - y0) + 1))
    ImageDraw.Draw(mask).text((-x0, -y0), text, 255, font, stroke_width=bold)
    return mask


def write(
    patch: Image.Image, text: str, box: tuple[float, float, float, float], ink: Color, bold: int
) -> None:
    """Stretch the text, its strokes `bold` pixels thicker, to fill box (x0, y0, x1, y1)."""
    left, top, right, bottom = (round(v) for v in box)
    mask = _lettering(text, bold).resize((max(right - left, 1), max(bottom - top, 1)))
    patch.paste(ink, (left, top), mask)


def hang_board(pen: Pen, corners: Points, text: str, paper: Color, ink: Color) -> None:
    """Hang a framed text on the quad (4, 3); far away it is a bare patch of paper."""
    flat = pen.place(corners)
    outside = (flat.max(axis=0) < 0).any() or (flat.min(axis=0) > pen.canvas.size).any()
    if outside or signed_area(flat) <= 0:
        return
    wide, tall = np.hypot(*(flat[1] - flat[0])), np.hypot(*(flat[3] - flat[0]))
    if min(wide, 2 * tall) < 14:  # too far away to read
        pen.canvas.polygon(flat, paper)
        return
    w, h = 192, int(np.clip(192 * tall / wide, 24, 384))
    patch = Image.new("RGB", (w, h), paper)
    ImageDraw.Draw(patch).rectangle((4, 4, w - 5, h - 5), None, ink, 2)
    write(patch, text, (w * 0.1, h * 0.22, w * 0.9, h * 0.78), ink, 1)
    pen.canvas.warp(patch, flat)


def hang_sign(pen: Pen, corners: Points, rng: np.random.Generator, text: str = "") -> None:
    """Hang a sign in a random colour, with a random word unless `text` is given."""
    paper = jitter(pick(rng, SIGN_PAINTS), rng, 8)
    ink = BLACK if sum(paper) > 380 else WHITE
    hang_board(pen, corners, text or str(rng.choice(WORDS)), paper, ink)
