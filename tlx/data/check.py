"""Turn annotations as written into items that training can trust, and report every difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from tlx.common.errors import ConfigError, DataError
from tlx.data.box_rules import check_boxes, note_tiny
from tlx.data.doubts import (
    EdgeTally,
    refuse_fractions,
    refuse_losses,
    refuse_overhang,
    refuse_percent,
    refuse_spellings,
)
from tlx.data.faults import Fault, FaultReport
from tlx.data.formats.annotations import Annotation, Item
from tlx.data.formats.pictures import Probe, UnreadablePicture
from tlx.data.found import Found
from tlx.data.framing import WHOLE, Framing
from tlx.data.looks import Look, look_at_all

MIN_SIDE = 16  # px
# Of objects that a reader found and could not take: without another, a picture is not empty.
NO_BOX = ("empty-box", "no-box-shape", "unannotated-region")
LISTED = 20  # faults that a strict check names


@dataclass
class CheckResult:
    """What is left of annotations.

    Attributes:
        items: the usable ones.
        classes: label k is classes[k - 1].
        faults: that were found.
        hashes: the difference hash of each usable picture by its digest.
    """

    items: list[Item]
    classes: list[str]
    faults: FaultReport
    hashes: dict[str, bytes]


def check(
    annotations: Sequence[Annotation],
    classes: list[str] | None,
    *,
    strict: bool = False,
    input_size: int | None = None,
    bits: int | None = None,
    framing: Framing = WHOLE,
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
    probes = look_at_all(annotations, bits)
    refuse_fractions([a for a in annotations if isinstance(probes.get(a.image), Probe)])
    faults, edges = found.faults if found is not None else FaultReport(), EdgeTally()
    items = found.items if found is not None else []
    hashes = found.hashes if found is not None else {}
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
            if isinstance(look, Probe):
                hashes[item.digest] = look.hashes[item.rotate]
        else:
            lost.append(faults.faults[-1])
    refuse_losses(lost, len(items))
    if strict and faults.serious:
        raise DataError(_refusal(faults))
    refuse_overhang(edges)
    refuse_percent(items)
    if not items:
        raise DataError(f"no image of the data set is usable:\n{faults.summary()}")
    return CheckResult(items, classes, faults, hashes)


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
    look: Look,
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
    if min(look.size) < MIN_SIDE:
        faults.add("tiny-image", image, where, f"{look.size[0]}x{look.size[1]} px")
        return None
    scaled = _scaled(annotation, look, faults)
    if scaled is None:
        return None
    annotation = scaled
    rotate = _orient(annotation, look, faults)
    size = look.upright_size if rotate else look.size
    boxes, kept = check_boxes(annotation, size, faults, edges)
    emptied = len(kept) or any(kind in NO_BOX for kind, _ in annotation.remarks)
    if emptied and not kept.any():
        of_boxes = (f for f in faults.faults[start:] if f.action.endswith(" dropped"))
        kinds = dict.fromkeys(f.kind for f in of_boxes)
        faults.add("no-box-left", image, where, f"its boxes: {', '.join(kinds)}")
        return None
    if input_size:
        note_tiny(annotation, boxes, kept, framing.spanned(size), input_size, faults)
    names = [name for name, keep in zip(annotation.names, kept, strict=True) if keep]
    return Item(
        image=image,
        boxes=boxes[kept],
        labels=np.array([labels[name] for name in names], np.int64),
        difficult=annotation.difficult if kept.all() else annotation.difficult[kept],
        size=size,
        digest=look.digest,
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


def _refusal(faults: FaultReport) -> str:
    serious = faults.serious
    lines = [f"{f.kind}: {f.where}: {f.detail} [{f.image}]" for f in serious[:LISTED]]
    more = len(serious) - len(lines)
    lines += [f"and {more} more"] if more else []
    return "\n".join([f"the strict check found {len(serious)} faults; correct them:", *lines])
