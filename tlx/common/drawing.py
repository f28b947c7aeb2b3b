"""Draw detections on pictures: what was found in colour, what is there in white."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from tlx.common.files import write_picture

# Okabe & Ito's palette, which colour-blind readers can tell apart.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
TRUTH = "#FFFFFF"


def draw(
    pixels: np.ndarray,
    boxes: Tensor,
    labels: Tensor,
    scores: Tensor,
    classes: list[str],
    *,
    truth: Tensor | None = None,
    min_side: int = 480,
    captions: Sequence[str] | None = None,
) -> Image.Image:
    """A picture with labelled boxes.

    Args:
        pixels: uint8 (H, W, 3). boxes (n, 4) and truth (m, 4): corner form, 0..1 of the picture.
        labels (n,): 1-based. scores (n,): 0..1.
        min_side: small pictures are enlarged to this longer side, so that text stays readable.
        captions (n): in place of class and score; an empty one draws the box alone.
    """
    image = Image.fromarray(pixels)
    factor = max(1.0, min_side / max(image.size))
    if factor > 1:
        image = image.resize((round(image.width * factor), round(image.height * factor)))
    canvas = ImageDraw.Draw(image)
    scale = torch.tensor([image.width, image.height] * 2)
    line = max(2, max(image.size) // 250)
    font = font_of(max(12, max(image.size) // 32))
    for box in truth if truth is not None else []:
        canvas.rectangle((box * scale).tolist(), outline=TRUTH, width=line)
    # Weakest first, so that the sure ones lie on top.
    for i in torch.argsort(scores).tolist():
        color = COLORS[(int(labels[i]) - 1) % len(COLORS)]
        corners = (boxes[i] * scale).tolist()
        canvas.rectangle(corners, outline=color, width=line)
        text = f"{classes[int(labels[i]) - 1]} {float(scores[i]):.2f}"
        if captions is not None:
            text = captions[i]
        if not text:
            continue
        _, _, width, height = canvas.textbbox((0, 0), text, font=font)
        x = min(max(0.0, corners[0]), image.width - width - 4)
        y = corners[1] - height - 4 if corners[1] > height + 4 else corners[1]
        canvas.rectangle((x, y, x + width + 4, y + height + 4), fill=color)
        canvas.text((x + 2, y), text, fill="#000000", font=font)
    return image


@cache
def font_of(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The built-in font at a size in px, loaded once."""
    return ImageFont.load_default(size)


def save_picture(image: Image.Image, path: Path) -> None:
    """JPEG or PNG by the path's ending."""
    write_picture(image, path)


def evenly_spaced(total: int, count: int) -> list[int]:
    """Up to `count` positions in 0..total - 1, the same distance apart."""
    return list(range(0, total, max(1, total // max(1, count))))[:count]
