"""Annotation formats: one module each, all giving the same `Annotation` list.

A new one is a module here whose reader is registered; nothing else needs to know of it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import point_to_unread, read_lines, set_folder
from tlx.data.formats.registry import READERS, Reader, reader
from tlx.data.formats.sniff import detect_format, seen

AUTO = "auto"
for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "AUTO",
    "READERS",
    "Reader",
    "find_format",
    "read_annotations",
    "reader",
    "stated_classes",
]


def find_format(format: str, root: Path) -> str:
    """`format`, or where it is `AUTO` the one that the folder's files speak for.

    Raises:
        DataError: there is no such folder, or its files speak for none or for several.
    """
    return detect_format(set_folder(root)) if format == AUTO else format


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
    read = READERS.find(format, beside=(AUTO,))
    root = set_folder(root)
    annotations = point_to_unread(read(root, classes))
    if all(annotation.unused for annotation in annotations):
        lines = [each for each in annotations if each.unused == "unknown-line"]
        if lines:
            raise DataError(
                f"{lines[0].source}: {lines[0].remarks[0][1]}, and so with all {len(lines)} lines "
                "of the lists: correct the lists, or have all pictures divided anew with "
                "data.splits=cut"
            )
        named = [a for a in annotations if a.unused == "unlabelled" and not Path(a.source).is_dir()]
        if named:
            raise DataError(
                f"{root} holds no {format} annotations: nobody has annotated the {len(named)} "
                f"pictures that its files name (the first: {named[0].source}), and what a model "
                "found does not count: annotate them and export again"
            )
        raise DataError(
            f"{root} holds no {format} annotations: {seen(root)}; set data.root or data.format"
        )
    return annotations


def stated_classes(root: Path) -> list[str] | None:
    """Class names in the order of `labels.txt` in the data folder; None where there is none.

    A leading BACKGROUND line, which jetson-inference's own outputs carry, is left out; names on
    one line may be separated by commas.

    Raises:
        DataError: no class at all, a class that is named twice, or the background elsewhere, with
            file and line.
    """
    path = Path(root).expanduser() / "labels.txt"
    if not path.is_file():
        return None
    lines = list(read_lines(path))
    if len(lines) == 1 and "," in lines[0][1]:  # as pytorch-ssd's trainer writes it
        lines = [(lines[0][0], name.strip()) for name in lines[0][1].split(",") if name.strip()]
    if lines and lines[0][1].upper() == "BACKGROUND":
        lines = lines[1:]
    if not lines:
        raise DataError(f"{path}: it names no class: write one a line, or remove the file")
    again: dict[str, int] = {}
    for number, name in lines:
        if name.upper() == "BACKGROUND":
            raise DataError(f"{path}:{number}: {name} is always label 0: remove the line")
        if name in again:
            raise DataError(f"{path}:{number}: {name} stands in line {again[name]} already")
        again[name] = number
    return list(again)
