"""Image folders: a class is a folder's name, and its pictures lie in it.

    root/CLASS/**/*.jpg                   split by seed
    root/train|val|test/CLASS/**/*.jpg    as the set names them; what is missing is cut from train

Items carry the class as one box over the whole picture, so that splits, cache and batches of the
detectors serve here too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from tlx.common.cores import usable_cores
from tlx.common.errors import ConfigError, DataError
from tlx.data.check import MIN_SIDE
from tlx.data.faults import FaultReport
from tlx.data.formats.annotations import Item
from tlx.data.formats.folders import PICTURE_ENDINGS, files_in, set_folder, split_folders
from tlx.data.formats.pictures import Probe, UnreadablePicture, probe
from tlx.data.formats.sniff import seen


@dataclass(frozen=True)
class Picture:
    """A file, the class whose folder it lies in, and the split where the set names one."""

    path: Path
    name: str
    split: str | None


def read_folders(
    root: Path, classes: list[str] | None, faults: FaultReport, *, strict: bool = False
) -> tuple[list[Item], list[str]]:
    """The usable pictures of a set as items, and its classes in order of their labels.

    Args:
        classes: names in label order; None takes the sorted names of the folders.
        faults: gets every picture that is left out or turned.
        strict: refuse a set with faults.

    Raises:
        ConfigError: `classes` is empty or has repetitions.
        DataError: no such folder, fewer than two classes, a folder that is none of `classes`.
    """
    pictures = list_pictures(root, faults)
    classes = _class_names(pictures, classes, root)
    with ThreadPoolExecutor(usable_cores()) as pool:  # hashing and decoding release the GIL
        probes = list(pool.map(_attempt, pictures))
    labels = {name: number for number, name in enumerate(classes, start=1)}
    found = [
        item
        for picture, result in zip(pictures, probes, strict=True)
        if (item := _item(picture, result, labels, faults))
    ]
    items = _without_conflicts(found, classes, faults)
    if strict and faults.serious:
        lines = [f"{f.kind}: {f.image}: {f.detail}" for f in faults.serious[:20]]
        raise DataError("\n".join(["data.strict=true; correct these faults:", *lines]))
    if not items:
        raise DataError(f"no picture in {root} is usable:\n{faults.summary()}")
    return items, classes


def list_pictures(root: Path, faults: FaultReport) -> list[Picture]:
    """Every picture below a class folder, sorted, of formats that are not read too; those outside
    of one are noted."""
    set_folder(root)
    pictures = []
    for split, folder in _places(root):
        for stray in files_in(folder, PICTURE_ENDINGS):
            faults.add("unlabelled", stray, str(folder), "it lies in no class folder")
        for place in _folders_in(folder):
            inside = [place, *sorted(path for path in place.rglob("*") if path.is_dir())]
            files = [file for part in inside for file in files_in(part, PICTURE_ENDINGS)]
            pictures += [Picture(file, place.name, split) for file in files]
    return pictures


def refuse_empty(root: Path, filled: set[str], stated: list[str] | None) -> None:
    """Refuse class folders without a usable picture in any split: the network would lack them.

    Args:
        filled: the classes that have one.
        stated: `data.classes`, beside which other folders are none of the set.

    Raises:
        DataError: it names them, and what they hold.
    """
    places = [place for _, folder in _places(root) for place in _folders_in(folder)]
    first = {place.name: place for place in reversed(places)}
    told = [
        f"{place} ({seen(place)})"
        for name, place in sorted(first.items())
        if name not in filled and (stated is None or name in stated)
    ]
    if told:
        raise DataError(
            f"no picture that can be used lies in {', '.join(told)}: add or convert pictures, or "
            "move the folder away to leave the class out"
        )


def _places(root: Path) -> list[tuple[str | None, Path]]:
    """(split, folder) of the folders that hold class folders."""
    return [*split_folders(root)] or [(None, root)]


def _folders_in(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.is_dir() and path.name != "__MACOSX")
    return sorted(path for path in found if not path.name.startswith("."))


def _class_names(pictures: list[Picture], classes: list[str] | None, root: Path) -> list[str]:
    names = sorted({picture.name for picture in pictures})
    if classes is None:
        classes = names
    elif not classes or len(set(classes)) < len(classes):
        raise ConfigError(f"data.classes must name each class once, not {classes}")
    for picture in pictures:
        if picture.name not in classes:
            nearest = get_close_matches(picture.name, classes, n=1, cutoff=0.0)[0]
            raise DataError(
                f"{picture.path.parent}: {picture.name!r} is not in data.classes; the nearest is "
                f"{nearest!r}: rename the folder or add the class"
            )
    if len(names) < 2:
        raise DataError(
            f"{root} holds pictures of {len(names)} classes, at least two are needed: one folder "
            "for each class, in the root or in train/, val/ and test/"
        )
    return list(classes)


def _attempt(picture: Picture) -> Probe | UnreadablePicture:
    try:
        return probe(picture.path)
    except UnreadablePicture as error:
        return error


def _item(
    picture: Picture, found: Probe | UnreadablePicture, labels: dict[str, int], faults: FaultReport
) -> Item | None:
    add: Callable[[str, str], None] = lambda kind, detail: faults.add(  # noqa: E731
        kind, picture.path, picture.name, detail
    )
    if isinstance(found, UnreadablePicture):
        add(found.kind, str(found))
        return None
    width, height = found.upright_size
    if min(width, height) < MIN_SIDE:
        add("tiny-image", f"{width}x{height} px")
        return None
    if found.orientation != 1:
        add("exif-rotated", f"{found.orientation}")
    return Item(
        image=picture.path.absolute(),
        boxes=np.array([[0, 0, width, height]], np.float32),
        labels=np.array([labels[picture.name]], np.int64),
        difficult=np.zeros(1, bool),
        size=(width, height),
        digest=found.digest,
        rotate=found.orientation != 1,
        split=picture.split,
    )


def _without_conflicts(items: list[Item], classes: list[str], faults: FaultReport) -> list[Item]:
    """Drop pictures whose copies lie in folders of other classes: one of them must be wrong."""
    labels: dict[str, set[int]] = defaultdict(set)
    for item in items:
        labels[item.digest].add(int(item.labels[0]))
    kept = []
    for item in items:
        if len(labels[item.digest]) > 1:
            names = " and ".join(classes[label - 1] for label in sorted(labels[item.digest]))
            name = classes[int(item.labels[0]) - 1]
            faults.add("label-conflict", item.image, name, f"copies in {names}")
        else:
            kept.append(item)
    return kept
