"""YOLO text with a data.yaml, as Ultralytics reads it; see `tlx.data.formats.yolo`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tlx.common.files import write_text
from tlx.data.writers.base import WRITERS, Labelled, Writer, by_split, in_images


def write_yolo(folder: Path, pictures: Sequence[Labelled], classes: list[str]) -> None:
    """`labels/SPLIT/N.txt` for each picture `images/SPLIT/N.*`, and `data.yaml`."""
    labels = {name: number for number, name in enumerate(classes)}
    for picture in pictures:
        width, height = picture.size
        lines = []
        for name, (xmin, ymin, xmax, ymax) in zip(picture.names, picture.corners, strict=True):
            centre = (xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height
            sides = (xmax - xmin) / width, (ymax - ymin) / height
            numbers = " ".join(f"{value:.10f}" for value in (*centre, *sides))
            lines.append(f"{labels[name]} {numbers}\n")
        place = Path(in_images(picture).replace("images", "labels", 1)).with_suffix(".txt")
        write_text(folder / place, "".join(lines))
    settings: dict[str, Any] = {
        split: f"images/{split}" for split in by_split(pictures) if split is not None
    }
    content = {**settings, "nc": len(classes), "names": classes}
    write_text(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


WRITERS.add("yolo", Writer(write_yolo, in_images, frozenset({"splits"})), __name__)
