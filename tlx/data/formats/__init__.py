"""Annotation formats: one module each, all giving the same `Annotation` list."""

from __future__ import annotations

from pathlib import Path

from tlx.data.annotations import Annotation
from tlx.data.formats import coco, txt, voc  # noqa: F401  (importing a module registers its reader)
from tlx.data.formats.folders import read_lines
from tlx.data.formats.registry import READERS, Reader, reader
from tlx.errors import ConfigError, DataError

__all__ = ["READERS", "Reader", "read_annotations", "reader", "stated_classes"]


def read_annotations(format: str, root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read the data set in `root`, sorted by image.

    Args:
        format: a key of `READERS`.
        root: the data folder.
        classes: the configured class names; None takes what the files name.

    Raises:
        ConfigError: unknown format.
        DataError: `root` is missing, holds no such annotations, or one of them is malformed.
    """
    if format not in READERS:
        raise ConfigError(
            f"unknown data format {format!r}: use one of {', '.join(sorted(READERS))}"
        )
    root = Path(root).expanduser().absolute()
    if not root.is_dir():
        raise DataError(f"the data folder {root} does not exist: set data.root=FOLDER")
    annotations = READERS[format](root, classes)
    if all(annotation.unused for annotation in annotations):
        raise DataError(f"{root} holds no {format} annotations: set data.root or data.format")
    return annotations


def stated_classes(root: Path) -> list[str] | None:
    """Class names in the order of `labels.txt` in the data folder; None where there is none.

    A leading BACKGROUND line, which jetson-inference's own outputs carry, is left out.
    """
    path = Path(root).expanduser() / "labels.txt"
    if not path.is_file():
        return None
    names = [line for _, line in read_lines(path)]
    return names[1:] if names and names[0].upper() == "BACKGROUND" else names
