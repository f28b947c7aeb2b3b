"""The data-fix list: what a person who looked at the pictures says is wrong, and what follows.

A CSV file with one tag a line (docs/inspect.md). `python -m tlx.inspect RUN fixes=FILE` writes it
and `data.fixes=FILE` applies it, after the split: a fix never moves another picture to another
split, so that figures before and after are those of the same test pictures.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlx.common.errors import DataError
from tlx.common.files import path_below, write_text
from tlx.data.faults import FaultReport
from tlx.data.formats.annotations import Item
from tlx.data.membership import UNSEEN

COLUMNS = ("image", "tag", "object", "class", "xmin", "ymin", "xmax", "ymax")
PICTURE, TRUTH, FOUND = OBJECTS = ("picture", "truth", "found")
REMOVE, WRONG_BOX = "remove", "wrong box"
SAME = 1.0  # px: a corner this near is that of the same box (predictions are rounded to 0.1)


@dataclass(frozen=True)
class Fix:
    """One tag.

    Attributes:
        image: POSIX path relative to the data root; absolute for a picture outside of it.
        tag: what is wrong, as it was typed.
        object: what has the tag: the "picture", a "truth" box, or a detection ("found").
        name: class of the box; "" for a picture.
        box: xmin ymin xmax ymax in px; None for a picture.
        where: file and line that it was read from, for messages.
    """

    image: str
    tag: str
    object: str = PICTURE
    name: str = ""
    box: tuple[float, float, float, float] | None = None
    where: str = field(default="", compare=False)

    @property
    def action(self) -> str:
        """The tag as one of those that are acted on, however it was written: `Wrong_box`."""
        return " ".join(self.tag.lower().replace("_", " ").replace("-", " ").split())


def write_fixes(path: Path, fixes: Iterable[Fix]) -> None:
    """Write the list, sorted by picture, in one piece."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for fix in sorted(fixes, key=lambda f: (f.image, f.object, f.tag, f.box or ())):
        corners = [f"{value:g}" for value in fix.box] if fix.box else [""] * 4
        writer.writerow([fix.image, fix.tag, fix.object, fix.name, *corners])
    write_text(path, text.getvalue())


def read_fixes(path: Path) -> list[Fix]:
    """Read a list.

    Raises:
        DataError: the file cannot be read, or a line of it means nothing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}:1: no column {missing[0]}; it needs {','.join(COLUMNS)}")
            return [_read_fix(row, f"{path}:{reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the data-fix list {path} cannot be read: {error}") from error


def _read_fix(row: Mapping[str, str | None], where: str) -> Fix:
    image, tag, kind = ((row[name] or "").strip() for name in COLUMNS[:3])
    if not image or not tag:
        raise DataError(f"{where}: no {'tag' if image else 'image'}")
    if kind not in OBJECTS:
        raise DataError(f"{where}: object {kind!r} is none of {', '.join(OBJECTS)}")
    if kind == PICTURE:
        return Fix(image, tag, where=where)
    try:
        xmin, ymin, xmax, ymax = (float(row[name] or "") for name in COLUMNS[4:])
    except ValueError:
        raise DataError(f"{where}: a box of four numbers is needed for object {kind}") from None
    return Fix(image, tag, kind, (row["class"] or "").strip(), (xmin, ymin, xmax, ymax), where)


def apply_fixes(
    fixes: Sequence[Fix],
    parts: dict[str, list[Item]],
    known: Iterable[Path],
    root: Path,
    classes: list[str],
    faults: FaultReport,
) -> None:
    """Change the items of the splits in place, and report every fix.

    A picture tagged `remove` leaves its split; a box tagged `remove` is dropped. A box tagged
    `wrong box` is ignored in val and test, and dropped in train, with its picture where no other
    box is left. Every other tag is noted only.

    Args:
        parts: "train", "val" and "test". known: every picture that the set names.
        classes: label k is classes[k - 1].

    Raises:
        DataError: a fix of a picture or a box that the set does not have.
    """
    if not fixes:
        return
    of_image: dict[str, list[Fix]] = defaultdict(list)
    for fix in fixes:
        of_image[fix.image].append(fix)
    names = {path_below(image, root) for image in known}
    for fix in fixes:
        if fix.image not in names:
            raise DataError(
                f"{fix.where}: {root} has no picture {fix.image}: was it removed or renamed? "
                "Correct or delete the line"
            )
    for split, items in parts.items():
        parts[split] = [
            item
            for item in items
            if _stays(item, of_image[path_below(item.image, root)], split, classes, faults)
        ]
        if items and not parts[split] and split != UNSEEN:
            raise DataError(f"the data-fix list leaves no picture in {split}")


def _stays(
    item: Item, fixes: list[Fix], split: str, classes: list[str], faults: FaultReport
) -> bool:
    """Apply the fixes of one picture; whether it stays in its split."""

    def report(kind: str, fix: Fix) -> None:
        box = " ".join(f"{value:g}" for value in fix.box or ())
        faults.add(kind, item.image, fix.where, f"{fix.tag}: {fix.object} {fix.name} {box}".strip())

    keep = np.ones(len(item.boxes), bool)
    for fix in fixes:
        if (fix.action, fix.object) == (REMOVE, PICTURE):
            report("fix-image", fix)
            return False
        if fix.object != TRUTH or fix.action not in (REMOVE, WRONG_BOX):
            report("fix-noted", fix)
            continue
        box = _find_box(item, fix, classes)
        if fix.action == WRONG_BOX and split != "train":
            item.difficult = item.difficult.copy()  # the annotation's, as it was written
            item.difficult[box] = True
            report("fix-ignored", fix)
        else:
            keep[box] = False
            report("fix-box", fix)
    unsure = not keep.all() and any(fix.action == WRONG_BOX for fix in fixes)
    item.boxes, item.labels = item.boxes[keep], item.labels[keep]
    item.difficult = item.difficult[keep]
    if unsure and not len(item.boxes):
        faults.add("no-box-left", item.image, fixes[0].where, f"{len(keep)} boxes")
        return False
    return True


def _find_box(item: Item, fix: Fix, classes: list[str]) -> int:
    """The position in the item of the box that a fix names."""
    for i, (box, label) in enumerate(zip(item.boxes, item.labels, strict=True)):
        near = np.abs(box - np.array(fix.box, np.float32)).max() <= SAME
        if near and classes[label - 1] == fix.name:
            return i
    raise DataError(
        f"{fix.where}: {item.image} has no box of {fix.name} at {fix.box}: was it corrected? "
        "Delete the line"
    )
