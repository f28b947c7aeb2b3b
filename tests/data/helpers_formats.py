"""Pictures and look-ups for the tests of the annotation readers."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tlx.data.formats.annotations import Annotation


def picture(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 40)).save(path, format="PNG")
    return path


def by_stem(annotations: list[Annotation]) -> dict[str, Annotation]:
    return {annotation.image.stem: annotation for annotation in annotations}
