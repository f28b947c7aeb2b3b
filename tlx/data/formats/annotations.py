"""One picture and its boxes: as a file states them, and after the check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np


@dataclass(eq=False, slots=True)  # there may be 100,000 of them
class Annotation:
    """One image and its boxes as an annotation file states them, before any check.

    Coordinates are kept as written: no clipping, no shift of the 1-based pixels of Pascal VOC.

    Attributes:
        image: absolute path of the picture; the file may not exist.
        boxes: float64 (n, 4), xmin ymin xmax ymax in pixels; may be outside, inverted or NaN.
        names: n class names.
        difficult: bool (n,); VOC's `difficult`, COCO's `iscrowd`.
        source: the annotation file (and the image's id or line in it), for messages.
        split: "train", "val" or "test" where the set itself says so.
        size: (width, height) that the annotation claims; None where it says nothing or 0x0.
        unused: why the reader found this picture but does not use it, a key of
            `tlx.data.faults.RULES` ("unlabelled" or "unlisted"); None for an annotated picture.
        remarks: (kind, detail) of the faults that the reader itself found.
    """

    image: Path
    boxes: np.ndarray
    names: list[str]
    difficult: np.ndarray
    source: str
    split: str | None = None
    size: tuple[int, int] | None = None
    unused: str | None = None
    remarks: tuple[tuple[str, str], ...] = ()

    @classmethod
    def without_boxes(
        cls,
        image: Path,
        source: str,
        *,
        split: str | None = None,
        unused: str | None = None,
        remarks: tuple[tuple[str, str], ...] = (),
    ) -> Annotation:
        """A picture that has no boxes, or (`unused` given) of which nothing is known."""
        return cls(
            image, np.zeros((0, 4)), [], np.zeros(0, bool), source, split, None, unused, remarks
        )


class Part(NamedTuple):
    """A rectangle of a picture, inside it, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """A view of its pixels in a picture (H, W, 3)."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(eq=False, slots=True)  # there may be 100,000 of them
class Item:
    """A checked image: it decodes, and each of its boxes lies inside it.

    Attributes:
        image: absolute path of the picture.
        boxes: float32 (n, 4), xmin ymin xmax ymax in pixels of the upright picture, clipped to it,
            each of positive area; n = 0 is a negative.
        labels: int64 (n,), 1-based: 0 is the background.
        difficult: bool (n,).
        size: (width, height) of the upright picture.
        digest: SHA-256 of the file's bytes, in hex.
        rotate: whether the file's EXIF orientation is to be applied when it is decoded.
        split: "train", "val" or "test" where the set itself says so.
        bits: that a file of 16 uses, 8..16; None: all.
        part: of the picture that this is, where it is a tile: boxes and size are the tile's.
    """

    image: Path
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    size: tuple[int, int]
    digest: str
    rotate: bool = False
    split: str | None = None
    bits: int | None = None
    part: Part | None = None
