"""What is drawn over a frame: boxes with captions, and a strip with rate and times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tlx.common.drawing import draw, font_of
from tlx.common.errors import ConfigError
from tlx.live.meter import Meter
from tlx.models.postprocess import Detections

PARTS = ("boxes", "labels", "confidence", "tracks", "fps", "times")
OF_PICTURES = PARTS[:4]
INK, GROUND = "#FFFFFF", "#000000"
MARGIN = 4  # px


def parse_parts(text: str | None, default: Sequence[str]) -> tuple[str, ...]:
    """Parts from `a,b,c`; `none` is nothing, and no text the default. `ConfigError` for others."""
    if text is None:
        return tuple(default)
    parts = tuple(part.strip() for part in text.split(",") if part.strip() not in ("", "none"))
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"overlay={text}: {part!r} is none of {', '.join(PARTS)}, none")
    return parts


class Overlay:
    """Draws the chosen parts; captions belong to boxes and are not drawn without them."""

    def __init__(self, parts: Sequence[str], classes: list[str]) -> None:
        self.parts, self.classes = frozenset(parts), classes

    def draw(
        self, pixels: np.ndarray, found: Detections, tracks: Sequence[int | None], meter: Meter
    ) -> Image.Image:
        """uint8 (H, W, 3) with its detections -> the picture, which shares no memory with it."""
        if "boxes" in self.parts:
            boxes, labels, scores = found.boxes.cpu(), found.labels.cpu(), found.scores.cpu()
            captions = self._captions(labels.tolist(), scores.tolist(), tracks)
            image = draw(pixels, boxes, labels, scores, self.classes, min_side=0, captions=captions)
        else:
            image = Image.fromarray(pixels).copy()
        words = self._words(meter)
        if words:
            draw_strip(image, words)
        return image

    def _captions(
        self, labels: list[int], scores: list[float], tracks: Sequence[int | None]
    ) -> list[str]:
        captions = []
        for label, score, track in zip(labels, scores, tracks, strict=True):
            words = [self.classes[label - 1]] if "labels" in self.parts else []
            if "tracks" in self.parts and track is not None:
                words.append(f"#{track}")
            if "confidence" in self.parts:
                words.append(f"{score:.2f}")
            captions.append(" ".join(words))
        return captions

    def _words(self, meter: Meter) -> list[str]:
        """Figures of the last frames; none before there are any."""
        words = []
        if "fps" in self.parts and meter.fps is not None:
            words.append(f"{meter.fps:.1f} FPS")
        if "times" in self.parts:
            times = [f"{name} {ms:.1f}" for name, ms in meter.recent_ms().items()]
            words += ["ms:", *times] if times else []
        return words


def draw_strip(image: Image.Image, words: Sequence[str]) -> None:
    """Words at the lower edge, in as many lines as they need."""
    canvas = ImageDraw.Draw(image)
    font = font_of(max(10, max(image.size) // 48))
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}  {word}" if lines else word
        if lines and canvas.textlength(longer, font=font) <= image.width - 2 * MARGIN:
            lines[-1] = longer
        else:
            lines.append(word)
    text = "\n".join(lines)
    _, top, right, bottom = canvas.multiline_textbbox((0, 0), text, font=font)
    y = image.height - bottom - 2 * MARGIN
    canvas.rectangle((0, y + top, right + 2 * MARGIN, image.height), fill=GROUND)
    canvas.multiline_text((MARGIN, y + MARGIN), text, fill=INK, font=font)
