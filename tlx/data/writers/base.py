"""What the writers share: a picture with its boxes, the table of formats, numbers and names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from tlx.common.errors import DataError
from tlx.common.registry import Registry

# What no file system, list or address holds as it is.
_AWKWARD = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|\ud800-\udfff]')
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture and what is to be written of it.

    Attributes:
        image: the picture file.
        name: of the copy, with its ending; no other picture of the set has its stem.
        size: (width, height) of the upright picture.
        boxes: float (n, 4), xmin ymin xmax ymax in px of the upright picture.
        names: n class names. difficult: bool (n,).
        split: "train", "val" or "test"; None where the set names none.
        scores: n confidences, 0..1, of detections; None for what people have annotated.
    """

    image: Path
    name: str
    size: tuple[int, int]
    boxes: np.ndarray
    names: list[str]
    difficult: np.ndarray
    split: str | None = None
    scores: list[float] | None = None

    @property
    def corners(self) -> list[list[float]]:
        """The boxes with as many digits as they have as float32 and no more."""
        return [[float(str(v)) for v in box] for box in self.boxes.astype(np.float32)]


@dataclass(frozen=True)
class Writer:
    """A format.

    Attributes:
        write: puts the annotation files of the pictures into a folder; gets the class names in
            order of their labels, too.
        place: where the copy of a picture lies below the folder, POSIX.
        keeps: what the format has a place for, of "difficult", "scores" and "splits".
    """

    write: Callable[[Path, Sequence[Labelled], list[str]], None]
    place: Callable[[Labelled], str]
    keeps: frozenset[str] = frozenset({"difficult", "splits"})


WRITERS: Registry[Writer] = Registry("to")


def in_images(picture: Labelled) -> str:
    """`images/SPLIT/NAME`, the place of most formats."""
    return "/".join(part for part in ("images", picture.split, picture.name) if part)


def by_split(pictures: Iterable[Labelled]) -> dict[str | None, list[Labelled]]:
    """The pictures of each split, in the usual order of splits."""
    found: dict[str | None, list[Labelled]] = defaultdict(list)
    for picture in pictures:
        found[picture.split].append(picture)
    return {split: found[split] for split in ("train", "val", "test", None) if split in found}


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A file name for each picture whose stem no other has, in any case of its letters."""
    taken: set[str] = set()
    names = []
    for path in paths:
        stem = _AWKWARD.sub("_", path.stem).strip(" .") or "picture"
        count, free = 1, stem
        while free.casefold() in taken:
            count += 1
            free = f"{stem}_{count}"
        taken.add(free.casefold())
        names.append(free + _AWKWARD.sub("_", path.suffix))
    return names


def xml_text(value: str) -> str:
    """A name as XML can hold it.

    Raises:
        DataError: it has characters that XML has none for.
    """
    if _NO_XML.search(value):
        raise DataError(f"{value!r} cannot be written in XML: give it another name")
    return value


def child(parent: Element, tag: str, text: object = None, **attributes: object) -> Element:
    """A new element in `parent`."""
    values = {key: xml_text(str(value)) for key, value in attributes.items()}
    element = SubElement(parent, tag, values)
    if text is not None:
        element.text = xml_text(str(text))
    return element


def xml_bytes(top: Element) -> bytes:
    """The document, indented."""
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="utf-8", xml_declaration=True) + b"\n"
