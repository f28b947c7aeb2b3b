"""Annotation formats: one module each, all giving the same `Annotation` list."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from tlx.data.annotations import Annotation
from tlx.data.formats import coco, txt, voc, yolo  # noqa: F401  (importing a module registers its reader)
from tlx.data.formats.folders import read_lines
from tlx.data.formats.registry import READERS, Reader, reader
from tlx.errors import ConfigError, DataError

MOST_SEEN = 10_000  # files that a message about a folder looks at

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
        raise DataError(
            f"{root} holds no {format} annotations: {seen(root)}; set data.root or data.format"
        )
    return annotations


def seen(root: Path) -> str:
    """What a folder holds, for the message that the format looked for is not there."""
    kinds: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(islice(root.rglob("*"), MOST_SEEN)):
        if path.is_file() and not path.name.startswith("."):
            kinds.setdefault((path.suffix.lower(), str(path.parent)), []).append(path)
    found = sorted(kinds.items(), key=lambda item: -len(item[1]))[:4]
    parts = [
        f"{len(files)} {ending or 'files without ending'} in {Path(folder).relative_to(root)}/"
        f"{_looks_like(files[0])}"
        for (ending, folder), files in found
    ]
    return f"it has {', '.join(parts)}" if parts else "it is empty"


def _looks_like(path: Path) -> str:
    """Which format the first bytes of an annotation file speak for."""
    with path.open("rb") as file:
        start = file.read(2000)
    words = start.split(b"\n")[0].split()
    if path.suffix.lower() == ".xml" and b"<annotation" in start:
        return " (data.format=voc)"
    if path.suffix.lower() == ".json" and b'"images"' in start:
        return " (data.format=coco)"
    if path.suffix.lower() == ".txt" and len(words) == 5 and words[0].isdigit():
        return " (five numbers a line: data.format=yolo)"
    if path.suffix.lower() == ".txt" and len(words) == 1 and words[0].isdigit():
        return " (a count, then corners: data.format=txt)"
    return ""


def stated_classes(root: Path) -> list[str] | None:
    """Class names in the order of `labels.txt` in the data folder; None where there is none.

    A leading BACKGROUND line, which jetson-inference's own outputs carry, is left out; names on
    one line may be separated by commas.

    Raises:
        DataError: a class that is named twice, or the background elsewhere, with file and line.
    """
    path = Path(root).expanduser() / "labels.txt"
    if not path.is_file():
        return None
    lines = list(read_lines(path))
    if len(lines) == 1 and "," in lines[0][1]:  # as pytorch-ssd's trainer writes it
        lines = [(lines[0][0], name.strip()) for name in lines[0][1].split(",") if name.strip()]
    if lines and lines[0][1].upper() == "BACKGROUND":
        lines = lines[1:]
    again: dict[str, int] = {}
    for number, name in lines:
        if name.upper() == "BACKGROUND":
            raise DataError(f"{path}:{number}: {name} is always label 0: remove the line")
        if name in again:
            raise DataError(f"{path}:{number}: {name} stands in line {again[name]} already")
        again[name] = number
    return list(again)
