"""Pictures and annotations for the tests of the check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tlx.data.faults import FaultReport
from tlx.data.formats.annotations import Annotation


def picture(path: Path, size: tuple[int, int] = (40, 30), orientation: int | None = None) -> Path:
    """A JPEG of random pixels, so that no two are byte-identical."""
    pixels = np.random.default_rng(len(str(path))).integers(0, 255, (*size[::-1], 3), np.uint8)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, format="JPEG", exif=exif)
    return path


def annotated(
    image: Path,
    *boxes: tuple[float, ...],
    names: list[str] | None = None,
    size: tuple[int, int] | None = None,
    split: str | None = None,
) -> Annotation:
    array = np.array(boxes, float).reshape(-1, 4)
    names = names or ["gun"] * len(array)
    difficult = np.arange(len(array)) % 2 == 1
    return Annotation(image, array, names, difficult, f"{image.stem}.xml", split, size)


def kinds(report: FaultReport) -> list[str]:
    return [fault.kind for fault in report.faults]
