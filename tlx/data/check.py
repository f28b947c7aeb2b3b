"""Turn annotations as written into items that training can trust, and report every difference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from tlx.data.annotations import Annotation, Item
from tlx.data.faults import FaultReport
from tlx.data.pictures import Probe, UnreadablePicture, probe
from tlx.errors import ConfigError, DataError

MIN_SIDE = 16  # px
LISTED = 20  # faults that a strict check names


@dataclass
class CheckResult:
    """Attributes: the usable `items`, the `classes` (label k is classes[k - 1]), the `faults`."""

    items: list[Item]
    classes: list[str]
    faults: FaultReport


def check(
    annotations: Sequence[Annotation], classes: list[str] | None, *, strict: bool = False
) -> CheckResult:
    """Read each picture once and apply `tlx.data.faults.RULES`.

    Args:
        annotations: of all splits, so that they share one mapping of labels.
        classes: the class names in order of their labels; None takes the sorted names found.
        strict: refuse a set with faults instead of mending it.

    Raises:
        ConfigError: `classes` is empty, has repetitions or names the background.
        DataError: a class that is not in `classes`, no usable image, or (strict) any fault.
    """
    classes = _class_names(annotations, classes)
    labels = {name: label for label, name in enumerate(classes, start=1)}
    for annotation in annotations:
        _check_names(annotation, classes)
    probes = _probe_all(annotations)
    faults = FaultReport()
    checked = [_check_one(a, probes.get(a.image), labels, faults) for a in annotations]
    items = [item for item in checked if item]
    if strict and faults.serious:
        raise DataError(_refusal(faults))
    if not items:
        raise DataError(f"no image of the data set is usable:\n{faults.summary()}")
    return CheckResult(items, classes, faults)


def _class_names(annotations: Sequence[Annotation], classes: list[str] | None) -> list[str]:
    if classes is None:
        classes = sorted({name for annotation in annotations for name in annotation.names})
        if not classes:
            raise DataError("no annotation has a box: there is nothing to learn; set data.root")
    if not classes or len(set(classes)) < len(classes):
        raise ConfigError(f"data.classes must name each class once, not {classes}")
    background = [name for name in classes if name.upper() == "BACKGROUND"]
    if background:
        raise ConfigError(f"remove {background[0]} from data.classes: it is always label 0")
    return list(classes)


def _check_names(annotation: Annotation, classes: list[str]) -> None:
    for number, name in enumerate(annotation.names, start=1):
        if name not in classes:
            nearest = get_close_matches(name, classes, n=1, cutoff=0.0)[0]
            raise DataError(
                f"{annotation.source} box {number}: class {name!r} is not in data.classes; the "
                f"nearest is {nearest!r}: correct the file or add the class"
            )


def _probe_all(annotations: Sequence[Annotation]) -> dict[Path, Probe | UnreadablePicture]:
    """One pass over the files; threads help, for hashing and decoding release the GIL."""

    def attempt(path: Path) -> Probe | UnreadablePicture:
        try:
            return probe(path)
        except UnreadablePicture as error:
            return error

    paths = list(dict.fromkeys(a.image for a in annotations if not a.unused))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(paths, pool.map(attempt, paths), strict=True))


def _check_one(
    annotation: Annotation,
    found: Probe | UnreadablePicture | None,
    labels: dict[str, int],
    faults: FaultReport,
) -> Item | None:
    image, where = annotation.image, annotation.source
    if found is None:  # `unused`, hence not probed
        kind = (annotation.unused or "unlabelled") if image.is_file() else "missing-image"
        faults.add(kind, image, where, "")
        return None
    if isinstance(found, UnreadablePicture):
        faults.add(found.kind, image, where, str(found))
        return None
    if min(found.size) < MIN_SIDE:
        faults.add("tiny-image", image, where, f"{found.size[0]}x{found.size[1]} px")
        return None
    rotate = _orient(annotation, found, faults)
    size = found.upright_size if rotate else found.size
    boxes, kept = _check_boxes(annotation, size, faults)
    if len(kept) and not kept.any():
        faults.add("no-box-left", image, where, f"{len(kept)} boxes")
        return None
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


def _orient(annotation: Annotation, found: Probe, faults: FaultReport) -> bool:
    """Whether the boxes are those of the picture after its EXIF rotation.

    The annotation's size tells. Where it fits both (mirrored, upside down, square) or neither, they
    are taken as upright, which is what annotation tools and OpenCV show.
    """
    image, where, stated = annotation.image, annotation.source, annotation.size
    if stated and stated not in (found.size, found.upright_size):
        (width, height), (w, h) = stated, found.size
        detail = f"annotation {width}x{height}, file {w}x{h}"
        faults.add("size-mismatch", image, where, detail)
    if found.orientation == 1:
        return False
    kept = stated == found.size != found.upright_size
    faults.add("exif-kept" if kept else "exif-rotated", image, where, f"{found.orientation}")
    return not kept


def _check_boxes(
    annotation: Annotation, size: tuple[int, int], faults: FaultReport
) -> tuple[np.ndarray, np.ndarray]:
    """The clipped boxes, float32 (n, 4), and which of them to keep, bool (n,)."""
    with np.errstate(over="ignore"):  # beyond float32 becomes inf, which is a fault below
        boxes = annotation.boxes.astype(np.float32)
    clipped = np.clip(boxes, 0, np.array([*size, *size], np.float32))
    kept = np.ones(len(boxes), bool)
    for i, (box, inside) in enumerate(zip(boxes, clipped, strict=True)):
        kind = _box_fault(box, inside)
        if kind:
            corners = " ".join(f"{value:g}" for value in annotation.boxes[i])
            detail = f"box {corners}, picture {size[0]}x{size[1]}"
            faults.add(kind, annotation.image, f"{annotation.source} box {i + 1}", detail)
            kept[i] = kind == "clipped-box"
    return clipped, kept


def _box_fault(box: np.ndarray, clipped: np.ndarray) -> str | None:
    if not np.isfinite(box).all():
        return "not-finite-box"
    if (box[2:] < box[:2]).any():
        return "inverted-box"
    if (box[2:] == box[:2]).any():
        return "zero-area-box"
    if (clipped[2:] <= clipped[:2]).any():
        return "outside-box"
    return "clipped-box" if (box != clipped).any() else None


def _refusal(faults: FaultReport) -> str:
    serious = faults.serious
    lines = [f"{f.kind}: {f.where}: {f.detail} [{f.image}]" for f in serious[:LISTED]]
    more = len(serious) - len(lines)
    lines += [f"and {more} more"] if more else []
    return "\n".join([f"the strict check found {len(serious)} faults; correct them:", *lines])
