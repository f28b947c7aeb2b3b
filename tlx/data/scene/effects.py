"""Light, weather and sensor: what happens to the clean picture between the street and the file.

Nothing here moves an edge, so the boxes of the clean street stay true.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tlx.data.scene.canvas import PLATE_LAMP, SUPERSAMPLE, Glow
from tlx.data.scene.colors import Pixels, noise, to_image

NIGHT_SHARE = 0.2


def add_effects(picture: Image.Image, glows: list[Glow], rng: np.random.Generator) -> Image.Image:
    """Texture, night or day light, weather, blur, exposure and noise; moves no edge."""
    pixels, size = np.asarray(picture, np.float32), picture.size
    pixels = pixels * (1 + 0.04 * noise(rng, size, 34) + 0.05 * noise(rng, size, 5))
    night, weather = bool(rng.random() < NIGHT_SHARE), rng.random()
    if night:
        pixels = _light_night(pixels, glows, rng)
    elif rng.random() < 0.2:  # shade of leaves, on the lower part only
        rows = np.linspace(-0.5, 1.5, size[1], dtype=np.float32)[:, None, None]
        shade = np.clip(2 * noise(rng, size, 26), 0, 1) * np.clip(rows, 0, 1)
        pixels = pixels * (1 - 0.4 * shade)
    if weather < 0.15:
        pixels = _add_rain(pixels, rng)
    elif weather < 0.28:
        pixels = _add_haze(pixels, rng)
    pixels = _blur(pixels, rng)
    gains = rng.normal(1, 0.05, 3) * rng.uniform(0.78, 1.2)
    exposed = to_image(pixels * gains.astype(np.float32))
    gamma = np.linspace(0, 1, 256) ** rng.uniform(0.8, 1.25) * 255
    pixels = np.asarray(exposed.point(gamma.astype(int).tolist() * 3), np.float32)
    spread = np.float32(rng.uniform(2, 9) + (4 if night else 0))
    grain = rng.standard_normal((*pixels.shape[:2], 1), np.float32)
    tint = np.float32(rng.uniform(0.5, 1, 3))
    return to_image(pixels + spread * grain * tint)


def _light_night(pixels: Pixels, glows: list[Glow], rng: np.random.Generator) -> Pixels:
    """Dim the picture to blue and light it, and dazzle a little, around every lamp."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    light = np.ones_like(pixels) * rng.uniform(0.22, 0.45) * np.array([0.88, 0.94, 1.1])
    glare = np.zeros_like(pixels)
    strength = rng.uniform(0.4, 0.8)
    for glow in glows:
        square = (columns - glow.x / SUPERSAMPLE) ** 2 + (rows - glow.y / SUPERSAMPLE) ** 2
        radius = max(glow.reach / SUPERSAMPLE, 2.0)
        hue = strength * np.array(glow.color, np.float32) / 255
        light += np.exp(-square / (2 * radius**2))[..., None] * hue
        if glow.color != PLATE_LAMP:
            glare += 90 * np.exp(-square / (0.3 * radius**2))[..., None] * hue
    return np.asarray(pixels * light + glare, np.float32)


def _add_rain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Grey the picture and draw slanted streaks."""
    h, w = pixels.shape[:2]
    streaks = Image.new("L", (w, h))
    draw, slant = ImageDraw.Draw(streaks), rng.uniform(-0.3, 0.3)
    for x, y, run in rng.uniform((0, -10, 6), (w, h, 20), (int(rng.integers(60, 200)), 3)):
        draw.line((x, y, x + slant * run, y + run), int(rng.integers(50, 130)))
    soft = np.asarray(streaks.filter(ImageFilter.GaussianBlur(0.6)), np.float32)[..., None]
    grey = pixels.mean(axis=2, keepdims=True)
    return np.asarray(pixels * 0.6 + grey * 0.3 + 0.6 * soft, np.float32)


def _add_haze(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Blend with pale grey, most near the top where the far street is."""
    depth = np.linspace(1, 0.35, pixels.shape[0], dtype=np.float32)[:, None, None]
    veil = rng.uniform(0.25, 0.65) * depth
    level = min(rng.uniform(150, 215), 60 + 1.2 * float(pixels.mean()))  # no bright fog by night
    return np.asarray(pixels * (1 - veil) + level * veil, np.float32)


def _blur(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Defocus a third of the pictures, shake a fifth of them; both keep centres in place."""
    chance = rng.random()
    if chance < 0.35:
        soft = to_image(pixels).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.5))))
        return np.asarray(soft, np.float32)
    if chance > 0.55:
        return pixels
    reach, angle = int(rng.integers(1, 4)), rng.uniform(-0.5, 0.5)
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    h, w = pixels.shape[:2]
    total = np.zeros_like(pixels)
    for k in range(-reach, reach + 1):
        x, y = reach + round(k * np.cos(angle)), reach + round(k * np.sin(angle))
        total += padded[y : y + h, x : x + w]
    return np.asarray(total / (2 * reach + 1), np.float32)
