"""Collected frames as the beginning of a data set, in the layouts that `data.format` reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from tlx.common.errors import ConfigError
from tlx.common.files import write_picture, write_text
from tlx.common.typos import unknown_choice
from tlx.live.voc_lists import SPLITS, VocLists, locked

QUALITY = 95  # of the JPEGs: what a detector learns should not be the compression
FORMATS = ("voc", "txt")


class Collection:
    """A data set that grows by one picture at a time.

    voc: JPEGImages/ID.jpg, ImageSets/Main/SPLIT.txt (and trainval.txt), Annotations/ for the
    annotator. txt: SPLIT/ID.jpg. Both: labels.txt. Pictures are unlabelled until somebody
    annotates them, unless they are known to show nothing.

    Args:
        labels: names of the classes, in the order of their labels; kept when labels.txt is there.
        negatives: annotate each picture as one without objects.
    """

    def __init__(
        self,
        root: Path,
        *,
        layout: str = "voc",
        split: str = "train",
        labels: Sequence[str] = (),
        negatives: bool = False,
    ) -> None:
        if layout not in FORMATS:
            raise ConfigError(unknown_choice("format", layout, FORMATS))
        if split not in SPLITS:
            raise ConfigError(unknown_choice("split", split, SPLITS))
        self.root, self.layout, self.split, self.negatives = root, layout, split, negatives
        self.pictures = root / ("JPEGImages" if layout == "voc" else split)
        self.lists = VocLists(root) if layout == "voc" else None
        self._folders = [self.pictures, *([root / "Annotations"] if layout == "voc" else [])]
        for folder in [*self._folders, *([self.lists.folder] if self.lists else [])]:
            folder.mkdir(parents=True, exist_ok=True)
        write_labels(root, labels)

    def add(self, pixels: np.ndarray, identifier: str) -> Path:
        """Save uint8 RGB (H, W, 3) under a name that is new; the picture's path."""
        image = Image.fromarray(pixels)
        with locked(self.root):  # from the choice of the name on: another program chooses too
            name = unused_name(self._folders, identifier)
            path = self.pictures / f"{name}.jpg"
            write_picture(image, path, quality=QUALITY)
            if self.lists:
                self.lists.put(name, self.split)
            if self.negatives:
                self._annotate_empty(path, image)
        return path

    def _annotate_empty(self, path: Path, image: Image.Image) -> None:
        if self.layout == "txt":
            write_text(path.with_suffix(".txt"), "0\n")
            return
        top = ElementTree.Element("annotation")
        ElementTree.SubElement(top, "filename").text = path.name
        size = ElementTree.SubElement(top, "size")
        for tag, value in (("width", image.width), ("height", image.height), ("depth", 3)):
            ElementTree.SubElement(size, tag).text = str(value)
        text = ElementTree.tostring(top, encoding="unicode")
        write_text(self.root / "Annotations" / f"{path.stem}.xml", text + "\n")


def unused_name(folders: Iterable[Path], identifier: str) -> str:
    """A name that no picture and no annotation has, whatever its case or ending.

    What is there already is never overwritten, and no picture gets another one's annotation.
    Hold the set (`locked`) until it is written.
    """
    taken = {path.stem.casefold() for folder in folders for path in folder.iterdir()}
    name, count = identifier, 1
    while name.casefold() in taken:
        count += 1
        name = f"{identifier}-{count}"
    return name


def write_labels(root: Path, labels: Sequence[str]) -> None:
    """Write labels.txt, one name a line; `ConfigError` where it names other classes already."""
    path = root / "labels.txt"
    text = "".join(f"{label}\n" for label in labels)
    if not path.is_file():
        if labels:
            write_text(path, text)
    elif labels and path.read_bytes().replace(b"\r\n", b"\n") != text.encode():
        raise ConfigError(
            f"{path} names other classes than labels=…: leave labels out, or correct it"
        )


def moment() -> str:
    """The time in ms as a name that sorts, like 20240131-235959-123."""
    return f"{datetime.now():%Y%m%d-%H%M%S-%f}"[:-3]
