"""Turn annotations as written into items that training can trust, and report every difference."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from tlx.common.errors import ConfigError, DataError
from tlx.data.augment import input_size_for
from tlx.data.doubts import (
    EdgeTally,
    refuse_fractions,
    refuse_losses,
    refuse_overhang,
    refuse_percent,
    refuse_spellings,
)
from tlx.data.duplicates import packed_hash
from tlx.data.faults import Fault, FaultReport
from tlx.data.formats.annotations import Annotation, Item
from tlx.data.formats.pictures import Probe, UnreadablePicture, probe, probe_pixels, turned
from tlx.data.found import Found
from tlx.data.framing import WHOLE, Framing

MIN_SIDE = 16  # px
SAME_BOX = 1.0  # px, and
SAME_SHARE = 0.05  # of the shorter side: corners this near are those of one box
# Of objects that a reader found and could not take: without another, a picture is not empty.
NO_BOX = ("empty-box", "no-box-shape", "unannotated-region")
MANY = 500  # boxes of a picture, which are compared one by one
LISTED = 20  # faults that a strict check names


@dataclass
class CheckResult:
    """Attributes: the usable `items`, the `classes` (label k is classes[k - 1]), the `faults`."""

    items: list[Item]
    classes: list[str]
    faults: FaultReport


def check(
    annotations: Sequence[Annotation],
    classes: list[str] | None,
    *,
    strict: bool = False,
    input_size: int | None = None,
    bits: int | None = None,
    framing: Framing = WHOLE,
    max_side: int = 640,
    found: Found | None = None,
) -> CheckResult:
    """Read each picture once and apply `tlx.data.faults.RULES`.

    Args:
        annotations: of all splits, so that they share one mapping of labels.
        classes: the class names in order of their labels; None takes the sorted names found.
        strict: refuse a set with faults instead of mending it.
        input_size: of the network, px; boxes that would be under a pixel there are a fault.
        bits: that 16-bit files use, 8..16; None: all.
        framing: how the network sees the pictures.
        max_side: of the decoded pictures, px, whose hashes `found` gets.
        found: gets what is found, and the pictures' hashes.

    Raises:
        ConfigError: `classes` is empty, has repetitions or names the background.
        DataError: a class that is not in `classes`, boxes or names that cannot be meant
            (`tlx.data.doubts`), no usable image, or (strict) any fault.
    """
    annotations = _joined(annotations)
    if found is not None:
        found.annotations = annotations
    classes = _class_names(annotations, classes)
    labels = {name: label for label, name in enumerate(classes, start=1)}
    for annotation in annotations:
        _check_names(annotation, classes)
    probes = _probe_all(annotations, bits, max_side if found is not None else None)
    refuse_fractions([a for a in annotations if isinstance(probes.get(a.image), _Look)])
    faults, edges = found.faults if found is not None else FaultReport(), EdgeTally()
    items = found.items if found is not None else []
    lost: list[Fault] = []  # why a picture with an annotation is not used
    for annotation in annotations:
        look = probes.get(annotation.image)
        if annotation.unused:
            _note_unused(annotation, look is not None, faults)
            if annotation.unused == "unread-annotation":
                lost.append(faults.faults[-1])
            continue
        assert look is not None
        item = _check_one(annotation, look, labels, faults, edges, input_size, framing)
        if item:
            items.append(replace(item, bits=bits))
            if found is not None and isinstance(look, _Look):
                found.hashes[item.digest] = look.hashes[item.rotate]
        else:
            lost.append(faults.faults[-1])
    refuse_losses(lost, len(items))
    if strict and faults.serious:
        raise DataError(_refusal(faults))
    refuse_overhang(edges)
    refuse_percent(items)
    if not items:
        raise DataError(f"no image of the data set is usable:\n{faults.summary()}")
    return CheckResult(items, classes, faults)


def _class_names(annotations: Sequence[Annotation], classes: list[str] | None) -> list[str]:
    if classes is None:
        classes = sorted({name for annotation in annotations for name in annotation.names})
        if not classes:
            raise DataError("no annotation has a box: there is nothing to learn; set data.root")
        refuse_spellings(annotations)
    if not classes or len(set(classes)) < len(classes):
        raise ConfigError(f"data.classes must name each class once, not {classes}")
    background = [name for name in classes if name.upper() == "BACKGROUND"]
    if background:
        raise ConfigError(f"remove {background[0]} from data.classes: it is always label 0")
    return list(classes)


def _joined(annotations: Sequence[Annotation]) -> list[Annotation]:
    """One annotation for each picture of a split: the others' boxes join those of the first."""
    together: dict[tuple[Path, str | None], list[Annotation]] = {}
    for annotation in annotations:
        if not annotation.unused:
            together.setdefault((annotation.image, annotation.split), []).append(annotation)
    kept = []
    for annotation in annotations:
        members = [] if annotation.unused else together[annotation.image, annotation.split]
        if len(members) < 2:
            kept.append(annotation)
        elif members[0] is annotation:
            sources = ", ".join(member.source for member in members[1:])
            kept.append(
                replace(
                    annotation,
                    boxes=np.concatenate([member.boxes for member in members]),
                    names=[name for member in members for name in member.names],
                    difficult=np.concatenate([member.difficult for member in members]),
                    size=annotation.size,
                    remarks=(*annotation.remarks, ("joined-picture", f"also in {sources}")),
                )
            )
    return kept


def _check_names(annotation: Annotation, classes: list[str]) -> None:
    for number, name in enumerate(annotation.names, start=1):
        if name not in classes:
            spelled = [known for known in classes if known.casefold() == name.casefold()]
            if spelled:
                raise DataError(
                    f"{annotation.source} box {number}: class {name!r} and {spelled[0]!r} of the "
                    "class list differ in case only: write both alike"
                )
            nearest = get_close_matches(name, classes, n=1, cutoff=0.0)[0]
            raise DataError(
                f"{annotation.source} box {number}: class {name!r} is not in data.classes; the "
                f"nearest is {nearest!r}: correct the file or add the class"
            )


@dataclass(frozen=True)
class _Look:
    """What one look at a picture tells, and, where asked, its hash as stored and upright."""

    probe: Probe
    hashes: tuple[bytes, bytes] = (b"", b"")


def _probe_all(
    annotations: Sequence[Annotation], bits: int | None, max_side: int | None
) -> dict[Path, _Look | UnreadablePicture]:
    """One pass over the files; threads help, for hashing and decoding release the GIL.

    Args:
        max_side: of the pictures as they are decoded for training, px; None: no hashes of them.
    """

    def attempt(path: Path) -> _Look | UnreadablePicture:
        try:
            if max_side is None:
                return _Look(probe(path, bits))
            found, pixels = probe_pixels(path, bits, max_side)
        except UnreadablePicture as error:
            return error
        stored = packed_hash(pixels)
        upright = turned(pixels, found.orientation)
        return _Look(found, (stored, stored if upright is pixels else packed_hash(upright)))

    paths = list(dict.fromkeys(a.image for a in annotations if not a.unused))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(paths, pool.map(attempt, paths), strict=True))


def _note_unused(annotation: Annotation, used_otherwise: bool, faults: FaultReport) -> None:
    """Report what is not trained on; `used_otherwise`: its picture is, by another annotation."""
    image, where = annotation.image, annotation.source
    for kind, detail in annotation.remarks:
        faults.add(kind, image, where, detail)
    if annotation.unused == "unlisted" and used_otherwise:
        faults.add("unread-annotation", image, where, "its picture has another annotation")
    elif annotation.unused and annotation.unused != "unknown-line":
        faults.add(annotation.unused if image.is_file() else "missing-image", image, where, "")


def _check_one(
    annotation: Annotation,
    look: _Look | UnreadablePicture,
    labels: dict[str, int],
    faults: FaultReport,
    edges: EdgeTally,
    input_size: int | None,
    framing: Framing,
) -> Item | None:
    image, where, start = annotation.image, annotation.source, len(faults.faults)
    for kind, detail in annotation.remarks:
        faults.add(kind, image, where, detail)
    if isinstance(look, UnreadablePicture):
        faults.add(look.kind, image, where, str(look))
        return None
    found = look.probe
    if min(found.size) < MIN_SIDE:
        faults.add("tiny-image", image, where, f"{found.size[0]}x{found.size[1]} px")
        return None
    scaled = _scaled(annotation, found, faults)
    if scaled is None:
        return None
    annotation = scaled
    rotate = _orient(annotation, found, faults)
    size = found.upright_size if rotate else found.size
    boxes, kept = _check_boxes(annotation, size, faults, edges)
    emptied = len(kept) or any(kind in NO_BOX for kind, _ in annotation.remarks)
    if emptied and not kept.any():
        of_boxes = (f for f in faults.faults[start:] if f.action.endswith(" dropped"))
        kinds = dict.fromkeys(f.kind for f in of_boxes)
        faults.add("no-box-left", image, where, f"its boxes: {', '.join(kinds)}")
        return None
    if input_size:
        _note_tiny(annotation, boxes, kept, framing.spanned(size), input_size, faults)
    names = [name for name, keep in zip(annotation.names, kept, strict=True) if keep]
    return Item(
        image=image,
        boxes=boxes[kept],
        labels=np.array([labels[name] for name in names], np.int64),
        difficult=annotation.difficult[kept],
        size=size,
        digest=found.digest,
        rotate=rotate,
        split=annotation.split,
    )


def _scaled(annotation: Annotation, found: Probe, faults: FaultReport) -> Annotation | None:
    """The annotation in pixels of its file; None where its boxes are of doubtful pixels.

    A stated size of the same shape, into which the boxes fit, tells that the picture was resized
    after it was annotated. Any other size tells nothing that boxes can be trusted by.
    """
    image, where, stated = annotation.image, annotation.source, annotation.size
    if not stated or stated in (found.size, found.upright_size) or not len(annotation.boxes):
        return annotation
    (width, height), (w, h) = stated, found.size
    detail = f"annotation {width}x{height}, file {w}x{h}"
    far = np.nan_to_num(annotation.boxes).max(0)
    for size in (found.size, found.upright_size):
        scale = size[0] / width, size[1] / height
        alike = abs(width * scale[1] - size[0]) <= 1 or abs(height * scale[0] - size[1]) <= 1
        if alike and far[2] <= width + 1 and far[3] <= height + 1:
            faults.add("scaled-boxes", image, where, detail)
            return replace(annotation, boxes=annotation.boxes * np.array([*scale] * 2), size=size)
    faults.add("size-mismatch", image, where, detail)
    return None


def _orient(annotation: Annotation, found: Probe, faults: FaultReport) -> bool:
    """Whether the boxes are those of the picture after its EXIF rotation.

    The annotation's size tells. Where it fits both (mirrored, upside down, square) or neither, they
    are taken as upright, which is what annotation tools and OpenCV show.
    """
    image, where, stated = annotation.image, annotation.source, annotation.size
    if found.orientation == 1:
        return False
    kept = stated == found.size != found.upright_size
    faults.add("exif-kept" if kept else "exif-rotated", image, where, f"{found.orientation}")
    return not kept


def _check_boxes(
    annotation: Annotation, size: tuple[int, int], faults: FaultReport, edges: EdgeTally
) -> tuple[np.ndarray, np.ndarray]:
    """The clipped boxes, float32 (n, 4), and which of them to keep, bool (n,)."""
    with np.errstate(over="ignore"):  # beyond float32 becomes inf, which is a fault below
        boxes = annotation.boxes.astype(np.float32)
    clipped = np.clip(boxes, 0, np.array([*size, *size], np.float32))
    kept = np.ones(len(boxes), bool)
    if _all_plain(boxes, clipped, annotation.names):
        edges.boxes += len(boxes)
        return clipped, kept
    seen: dict[str, list[np.ndarray]] = defaultdict(list)
    for i, (box, inside) in enumerate(zip(boxes, clipped, strict=True)):
        where = f"{annotation.source} box {i + 1}"
        kind = _box_fault(box, inside)
        if kind in (None, "clipped-box", "outside-box"):
            edges.add(box, inside, where)
        if kind in (None, "clipped-box"):
            known = seen[annotation.names[i]]
            kind = "duplicate-box" if any(_same_box(box, other) for other in known) else kind
            known.append(box)
        if kind:
            corners = " ".join(f"{value:g}" for value in annotation.boxes[i])
            detail = f"box {corners}, picture {size[0]}x{size[1]}"
            faults.add(kind, annotation.image, where, detail)
            kept[i] = kind == "clipped-box"
    return clipped, kept


def _all_plain(boxes: np.ndarray, clipped: np.ndarray, names: Sequence[str]) -> bool:
    """Whether no box (n, 4) has a fault: most pictures, and a fraction of the time for them."""
    sides = boxes[:, 2:] - boxes[:, :2]
    fraction = (boxes <= 1).all(1)  # inside of the picture: none is below 0
    if not ((boxes == clipped).all() and (sides > 0).all() and not fraction.any()):
        return False
    if len(boxes) < 2:
        return True
    if len(boxes) > MANY:
        return False
    slack = np.minimum(SAME_BOX, SAME_SHARE * sides.min(1))[:, None, None]
    alike = (np.abs(boxes[:, None] - boxes[None]) <= slack).all(2)
    np.fill_diagonal(alike, False)
    return not any(names[i] == names[j] for i, j in np.argwhere(alike))


def _same_box(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes (4,) of one class are one: merged exports round each in its own way."""
    slack = min(SAME_BOX, SAME_SHARE * float((box[2:] - box[:2]).min()))
    return bool((np.abs(box - other) <= slack).all())


def _note_tiny(
    annotation: Annotation,
    boxes: np.ndarray,
    kept: np.ndarray,
    size: tuple[int, int],
    input_size: int,
    faults: FaultReport,
) -> None:
    """Report the kept boxes that the resize to the square input makes smaller than a pixel.

    Args:
        size: pixels of the picture that the input's width and height stand for.
    """
    if input_size_for(boxes[kept], size, input_size) is None:
        return
    for i in np.flatnonzero(kept).tolist():
        if needed := input_size_for(boxes[i : i + 1], size, input_size):
            width, height = ((boxes[i, 2:] - boxes[i, :2]) * input_size / np.array(size)).round(2)
            detail = (
                f"{width:g}x{height:g} px at the input size {input_size}; the smallest that keeps "
                f"it is {needed}"
            )
            faults.add("tiny-box", annotation.image, f"{annotation.source} box {i + 1}", detail)


def _box_fault(box: np.ndarray, clipped: np.ndarray) -> str | None:
    if not np.isfinite(box).all():
        return "not-finite-box"
    if (box[2:] < box[:2]).any():
        return "inverted-box"
    if (box[2:] == box[:2]).any():
        return "zero-area-box"
    if (clipped[2:] <= clipped[:2]).any():
        return "outside-box"
    if (box >= 0).all() and (box <= 1).all():
        return "fraction-box"
    return "clipped-box" if (box != clipped).any() else None


def _refusal(faults: FaultReport) -> str:
    serious = faults.serious
    lines = [f"{f.kind}: {f.where}: {f.detail} [{f.image}]" for f in serious[:LISTED]]
    more = len(serious) - len(lines)
    lines += [f"and {more} more"] if more else []
    return "\n".join([f"the strict check found {len(serious)} faults; correct them:", *lines])
