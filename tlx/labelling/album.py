"""A Pascal VOC set that grows picture by picture and can be corrected while it does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlx.common.errors import ConfigError, DataError
from tlx.common.files import write_bytes
from tlx.common.typos import unknown_choice
from tlx.data.formats import stated_classes
from tlx.data.formats.folders import IMAGE_ENDINGS, files_in
from tlx.data.formats.pictures import UnreadablePicture, probe
from tlx.data.formats.voc import parse_xml
from tlx.labelling.boxes import Box, check_boxes, check_classes
from tlx.labelling.voc_file import read_boxes, write_boxes
from tlx.live.collect import unused_name, write_labels
from tlx.live.voc_lists import SPLITS, VocLists, locked


@dataclass(frozen=True)
class Picture:
    """A picture of the set.

    Attributes:
        name: without ending. size: (width, height) that its boxes are of.
        rotate: whether its EXIF orientation is to be applied.
        split: train, val or test; None: no list names it.
        revision: changes with the annotation, so that nobody overwrites what he has not seen.
    """

    name: str
    path: Path
    size: tuple[int, int]
    rotate: bool
    boxes: list[Box]
    split: str | None
    annotated: bool
    revision: str


class Changed(DataError):
    """The annotation is not the one that was edited."""


class Album:
    """Pictures with boxes in `root`: JPEGImages/, Annotations/, ImageSets/Main/, labels.txt.

    A picture is written first, then its line in a list, then its annotation: whatever kills this,
    what has an annotation is complete, and what has none is a picture to be labelled.

    Args:
        classes: names in the order of their labels; those of labels.txt where it is there.

    Raises:
        ConfigError: no class is named, or others than labels.txt has.
    """

    def __init__(self, root: Path, classes: Sequence[str] = ()) -> None:
        self.root = root
        self.pictures, self.annotations = root / "JPEGImages", root / "Annotations"
        self.lists = VocLists(root)
        names = check_classes(classes)
        for folder in (self.pictures, self.annotations, self.lists.folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_labels(root, names)
        self.classes = names or stated_classes(root) or []
        if not self.classes:
            raise ConfigError("labels=… is missing: name the classes, like labels=gun,knife")
        self._lock = threading.RLock()
        self._seen: dict[str, tuple[int, list[str]]] = {}  # annotation: when written, its names

    def names(self) -> list[str]:
        """The pictures, the oldest first."""
        return list(self._files())

    def open(self, name: str) -> Picture:
        """One picture; `DataError` where there is none of that name, or it cannot be read.

        The name is looked up among those of the folder: no text becomes a path.
        """
        path = self._files().get(name)
        if path is None:
            raise DataError(f"{name[:100]!r} is no picture of this set")
        try:
            found = probe(path)
        except UnreadablePicture as error:
            raise DataError(f"{path}: {error}") from error
        xml = self._xml(name)
        stated = parse_xml(xml)[1].size if xml.is_file() else None
        # As the check of a set has it: upright, unless the annotation has the stored size alone.
        kept = found.orientation == 1 or stated == found.size != found.upright_size
        size = found.size if kept else found.upright_size
        split = self.lists.read().get(name)
        return Picture(
            name, path, size, not kept, read_boxes(xml), split, xml.is_file(),
            _revision(xml, split),
        )  # fmt: skip

    def add(
        self, jpeg: bytes, size: tuple[int, int], boxes: Any, split: str, identifier: str
    ) -> Picture:
        """Save a new picture with its boxes (none: it shows no object of any class).

        Args:
            jpeg: the encoded picture. boxes: as `check_boxes` takes them.
            identifier: the beginning of its name, from this program: never what a page sends.
        """
        checked, split = check_boxes(boxes, size, self.classes), check_split(split)
        with self._lock, locked(self.root):
            name = unused_name((self.pictures, self.annotations), identifier)
            path = self.pictures / f"{name}.jpg"
            write_bytes(path, jpeg)
            self.lists.put(path.stem, split)
            write_boxes(self._xml(path.stem), path.name, size, checked)
        return self.open(path.stem)

    def change(self, name: str, boxes: Any, split: str, revision: str) -> Picture:
        """Replace the boxes and the split of a picture.

        Raises:
            Changed: its annotation is not of `revision` any more.
        """
        with self._lock, locked(self.root):
            before = self.open(name)
            if before.revision != revision:
                raise Changed(f"{name} was changed by somebody else meanwhile: open it again")
            checked = check_boxes(boxes, before.size, self.classes, before.boxes)
            self.lists.put(name, check_split(split))
            write_boxes(self._xml(name), before.path.name, before.size, checked)
        return self.open(name)

    def counts(self) -> dict[str, Any]:
        """What the set holds: by split pictures, those without objects and boxes by class.

        `unlabelled`: pictures without annotation; `unlisted`: annotated, in no list;
        `damaged`: annotations that cannot be read.
        """
        splits: dict[str, Any] = {
            split: {"pictures": 0, "empty": 0, "boxes": dict.fromkeys(self.classes, 0)}
            for split in SPLITS
        }
        listed, told = self.lists.read(), {"unlabelled": 0, "unlisted": 0, "damaged": 0}
        for name in self._files():
            try:
                classes = self._classes_of(name)
            except DataError:
                told["damaged"] += 1
                continue
            if classes is None:
                told["unlabelled"] += 1
            elif name not in listed:
                told["unlisted"] += 1
            else:
                count = splits[listed[name]]
                count["pictures"] += 1
                count["empty"] += not classes
                for each in classes:
                    count["boxes"][each] = count["boxes"].get(each, 0) + 1
        return {"splits": splits, **told}

    def _classes_of(self, name: str) -> list[str] | None:
        """Of each box; None without annotation. Files are read again when they have changed."""
        xml = self._xml(name)
        try:
            written = xml.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if self._seen.get(name, (0, []))[0] != written:
            self._seen[name] = (written, [box.name for box in read_boxes(xml)])
        return self._seen[name][1]

    def _files(self) -> dict[str, Path]:
        """{name: file}, the oldest first."""
        files = files_in(self.pictures, IMAGE_ENDINGS)
        files.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        return {path.stem: path for path in files}

    def _xml(self, name: str) -> Path:
        return self.annotations / f"{name}.xml"


def check_split(split: Any) -> str:
    """train, val or test; `DataError` for anything else."""
    if not isinstance(split, str) or split not in SPLITS:
        raise DataError(unknown_choice("split", str(split)[:100], SPLITS))
    return split


def _revision(xml: Path, split: str | None) -> str:
    content = xml.read_bytes() if xml.is_file() else b""
    return hashlib.sha256(f"{split}\n".encode() + content).hexdigest()[:16]
