"""Pictures of a set with their boxes: through all of it, the worst of each fault, near copies."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlx.common.drawing import evenly_spaced
from tlx.common.errors import DataError
from tlx.common.windows import Box, View, Window, box_of, whole
from tlx.data.cache import ImageCache
from tlx.data.faults import Fault
from tlx.data.formats.annotations import Annotation, Item
from tlx.data.formats.pictures import decode
from tlx.data.found import Found
from tlx.data.page.near import NearGroup

THROUGH = 12  # pictures of the whole set
GROUPS, MEMBERS = 8, 4  # groups of near copies, and pictures of each
COLOURS = 7  # of boxes: classes of that many have one each, and names stand where there are more
NAMED = 12  # boxes of a picture: with more the names would hide it
DRAWN = 200  # boxes of a picture
SIDE = 320  # px of a picture's longer side on the page
_STATED_SIZE = ("scaled-boxes", "size-mismatch")  # boxes are of the size that is stated


@dataclass(frozen=True)
class Shown:
    """A picture on the page."""

    window: Window
    view: View


def through_the_set(
    splits: Mapping[str, Sequence[Item]], cache: ImageCache, classes: Sequence[str], root: Path
) -> list[Shown]:
    """Evenly spaced pictures, split by split."""
    placed = [(item, split) for split, items in splits.items() for item in items]
    chosen = (placed[i] for i in evenly_spaced(len(placed), THROUGH))
    shown = (_item(item, split, cache, classes, root) for item, split in chosen)
    return [each for each in shown if each]


def near_copies(
    groups: Sequence[NearGroup], cache: ImageCache, classes: Sequence[str], root: Path
) -> list[tuple[str, list[Shown]]]:
    """(what they are, pictures side by side) of the first groups."""
    rows = []
    for group in groups[:GROUPS]:
        chosen, seen = [], set()
        for item, split in group.members:  # one of each split first
            if split not in seen:
                seen.add(split)
                chosen.append((item, split))
        chosen += [member for member in group.members if member not in chosen]
        shown = (
            _item(item, split or "dropped copy", cache, classes, root)
            for item, split in chosen[:MEMBERS]
        )
        kind = "some byte-identical" if group.identical else "near-identical"
        told = f"{len(group.members)} files, {kind}, in {', '.join(group.splits) or 'no split'}"
        rows.append((told, [each for each in shown if each]))
    return rows


def _item(
    item: Item, split: str, cache: ImageCache, classes: Sequence[str], root: Path
) -> Shown | None:
    try:
        pixels = cache[item.digest]
    except DataError:  # it went while the check ran
        return None
    names = [classes[label - 1] for label in item.labels.tolist()]
    kinds = [
        f"{'ignored' if difficult else 'truth'} {colour(label)}"
        for difficult, label in zip(item.difficult, item.labels.tolist(), strict=True)
    ]
    texts = names if len(classes) > COLOURS and len(names) <= NAMED else [""] * len(names)
    boxes = [box_of(*row) for row in zip(kinds, item.boxes, texts, strict=True)][:DRAWN]
    held = ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names)) or "no box"
    name = below(item.image, root)
    note = f"{split}: {held}"
    return Shown(whole(pixels, item.size, SIDE), View(name, note, f"{name}, {note}", boxes))


def colour(label: int) -> str:
    """The style of a class's boxes."""
    return f"class-{(label - 1) % COLOURS}"


def legend(classes: Sequence[str]) -> list[tuple[str, str]]:
    """(style, class) of each; empty where there are more classes than colours."""
    if len(classes) > COLOURS:
        return []
    return [(colour(label), name) for label, name in enumerate(classes, start=1)]


def worst_of_each(found: Found, root: Path) -> dict[str, Shown]:
    """{kind of fault: the picture that has it worst}, of kinds with a picture that can be read."""
    annotations: dict[str, list[Annotation]] = defaultdict(list)
    for annotation in found.annotations:
        annotations[str(annotation.image)].append(annotation)
    items = {str(item.image): item for item in found.items}
    faults: dict[str, dict[str, list[Fault]]] = defaultdict(lambda: defaultdict(list))
    for fault in found.faults.faults:
        faults[fault.kind][fault.image].append(fault)
    worst = {}
    for kind, of_images in faults.items():
        for image in sorted(of_images, key=lambda image: -_severity(of_images[image]))[:3]:
            shown = _faulty(
                kind, of_images[image], annotations[image], items.get(image), root, found.max_side
            )
            if shown:
                worst[kind] = shown
                break
    return worst


def _severity(faults: Sequence[Fault]) -> float:
    """How bad the faults of one kind of a picture are: the farthest overhang, else their number."""
    if faults[0].kind != "clipped-box":
        return float(len(faults))
    return max(_overhang(fault.detail) for fault in faults)


def _overhang(detail: str) -> float:
    """The share of a box that lies outside, by `box xmin ymin xmax ymax, picture WxH`."""
    found = re.fullmatch(r"box (\S+) (\S+) (\S+) (\S+), picture (\d+)x(\d+)", detail)
    if not found:
        return 0.0
    x1, y1, x2, y2, width, height = (float(value) for value in found.groups())
    inside = max(0.0, min(x2, width) - max(x1, 0)) * max(0.0, min(y2, height) - max(y1, 0))
    area = (x2 - x1) * (y2 - y1)
    return 1 - inside / area if area > 0 else 0.0


def _faulty(
    kind: str, faults: Sequence[Fault], annotations: Sequence[Annotation], item: Item | None,
    root: Path, max_side: int,
) -> Shown | None:  # fmt: skip
    """The boxes as written; those with the fault stand out."""
    path = Path(faults[0].image)
    try:
        pixels = decode(
            path, rotate=bool(item and item.rotate), max_side=max_side,
            bits=item.bits if item else None,
        )  # fmt: skip
    except DataError:  # no picture to show
        return None
    size = item.size if item else (pixels.shape[1], pixels.shape[0])
    stated = next((a.size for a in annotations if a.size), None)
    if stated and (kind in _STATED_SIZE or not item):
        size = stated
    wrong = {fault.where for fault in faults}
    boxes = [*_written(annotations, wrong)]
    name, count = below(path, root), len(faults)
    detail = faults[0].detail
    note = f"{count} {kind}" + (f", the first: {detail}" if detail else "")
    return Shown(whole(pixels, size, SIDE), View(name, note, f"{name}: {note}", boxes))


def _written(annotations: Sequence[Annotation], wrong: set[str]) -> Iterator[Box]:
    """The finite boxes as they are written, min before max; what is wrong comes last."""
    rows = []
    for annotation in annotations:
        for number, (box, name) in enumerate(
            zip(annotation.boxes, annotation.names, strict=True), start=1
        ):
            if np.isfinite(box).all() and np.abs(box).max() < 1e6:
                bad = f"{annotation.source} box {number}" in wrong
                corners = np.concatenate([np.minimum(box[:2], box[2:]), box.reshape(2, 2).max(0)])
                rows.append((bad, corners, name))
    rows.sort(key=lambda row: row[0])
    for bad, corners, name in rows[-DRAWN:]:
        yield box_of("false" if bad else "truth", corners, f"✗ {name}" if bad else "")


def below(path: Path, root: Path) -> str:
    """A path as a reader of the page knows it: below the root of the set."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
