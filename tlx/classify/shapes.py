"""The embedded set `shapes`: four shapes of random colour, size, place and angle on noise.

Only the shape tells the class. Picture i of a class and split depends on these three alone.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tlx.common.errors import DataError, first_line, remedy

CORNERS = {"circle": 60, "square": 4, "star": 5, "triangle": 3}  # class: corners
COUNTS = {"train": 40, "val": 12, "test": 12}  # a class
SIDE = 96  # pixels
VERSION = 1  # raise it with every change that alters a pixel
_DONE = "complete"


def ensure_shapes(cache_dir: Path) -> Path:
    """Render the set if it is not there yet; return its root folder."""
    root = cache_dir / f"shapes-{VERSION}"
    if (root / _DONE).is_file():
        return root
    draft = cache_dir / f".shapes-{secrets.token_hex(8)}"
    try:
        for split, count in COUNTS.items():
            for name in CORNERS:
                (draft / split / name).mkdir(parents=True)
                for i in range(count):
                    picture(split, name, i).save(draft / split / name / f"{i:03d}.png")
        (draft / _DONE).touch()
        try:
            os.replace(draft, root)
        except OSError:  # another process was faster, or a damaged folder is in the way
            if not (root / _DONE).is_file():
                raise
    except OSError as error:
        raise DataError(f"cannot write {root}: {first_line(error)}: {remedy(error)}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def picture(split: str, name: str, index: int) -> Image.Image:
    """One picture, RGB, SIDE x SIDE."""
    place = [list(COUNTS).index(split), list(CORNERS).index(name), index]
    rng = np.random.default_rng([VERSION, *place])
    ground = rng.integers(0, 256, 3)
    noise = rng.normal(0, 18, (SIDE, SIDE, 3)) + ground
    image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    colour = (ground + rng.integers(70, 186, 3)) % 256  # far from the ground in every channel
    points = outline(rng, CORNERS[name], name == "star")
    ImageDraw.Draw(image).polygon(points, tuple(colour.tolist()))
    return image


def outline(rng: np.random.Generator, corners: int, star: bool) -> Sequence[tuple[float, float]]:
    """A regular polygon or star, somewhere inside the picture."""
    radius = rng.uniform(0.22, 0.42) * SIDE
    x, y = rng.uniform(radius, SIDE - radius, 2)
    turn = rng.uniform(0, 2 * math.pi)
    steps = 2 * corners if star else corners
    points = []
    for k in range(steps):
        length = radius * (0.4 if star and k % 2 else 1.0)
        angle = turn + 2 * math.pi * k / steps
        points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
    return points
