"""COCO instances JSON (Lin et al., "Microsoft COCO", 2014), also as Roboflow exports it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tlx.common.errors import DataError
from tlx.common.files import read_json
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import (
    IMAGE_ENDINGS,
    SPLIT_OF_FOLDER,
    files_below,
    files_in,
    mark_unlabelled,
    split_folders,
    subfolder,
)
from tlx.data.formats.named import NamedPictures
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.sniff import looks_like

FIFTYONE = "labels.json"  # beside data/
ROBOFLOW = "_annotations.coco.json"
OTHER_TASKS = ("captions", "person_keypoints", "panoptic", "stuff", "image_info")  # COCO's own


# Lists: a summary of a download may count its images and say where its annotations are from.
_LISTS = [re.compile(rb'"%s"\s*:\s*\[' % key) for key in (b"images", b"annotations")]


class _Stated(NamedTuple):
    """What is needed of an annotation; the rest of it, polygons above all, is let go."""

    id: Any
    category: Any
    crowd: Any
    bbox: list[float]


def _is_coco(content: bytes) -> bool:
    return all(each.search(content) for each in _LISTS)


@reader(
    "coco",
    Sign('JSON files with "images" and "annotations"', frozenset({".json"}), _is_coco),
)
def read_coco(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read the JSON files of `root`; the first of these layouts that it has:

    `annotations/instances_{train,val,test}*.json` (or `annotations/train.json`, …), `train.json`, …
    in the root (or files whose names hold these words), one JSON file in each split folder, one
    JSON file without splits.

    Images without annotations are negatives; `iscrowd` boxes are difficult.

    Raises:
        DataError: malformed JSON, a box or reference that makes no sense, or a `file_name` that
            leaves the data folder; each names the file and the id.
    """
    annotations: list[Annotation] = []
    found = find_json(root)
    read = {path for _, path in found}
    for split, path in found:
        annotations += _read_json(root, path, split)
    files = list(files_below(root))
    named = {annotation.image for annotation in annotations}
    # Beside the JSON files, where no picture of the set lies, charts and the like are none of it.
    ignored = set() if any(a.image.parent == root for a in annotations) else {root}
    pictures = (p for p in files if p.suffix.lower() in IMAGE_ENDINGS and p.parent not in ignored)
    others = [image for image in pictures if image not in named]
    # Links are followed only where a path alone does not tell: it takes longer than all the rest.
    used = {image.resolve() for image in named} if others else set()
    unlabelled = [image for image in others if image.resolve() not in used]
    return annotations + mark_unlabelled(unlabelled, ()) + _unread(files, read)


def _unread(files: Iterable[Path], read: set[Path]) -> list[Annotation]:
    """A marker for each other JSON file that holds boxes, as far as its name does not say what."""
    return [
        Annotation.without_boxes(path, str(path), unused="unread-annotation")
        for path in files
        if path.suffix.lower() == ".json"
        and path not in read
        and not path.name.startswith(OTHER_TASKS)
        and looks_like(path) == "coco"
    ]


def find_json(root: Path) -> list[tuple[str | None, Path]]:
    """(split, file) for each annotation file; see `read_coco` for the layouts."""
    folder = subfolder(root, "annotations")
    named = _by_split(files_in(folder, {".json"})) if folder else []
    named = named or _by_split(files_in(root, {".json"}))
    if not named and (root / FIFTYONE).is_file():
        return [(None, root / FIFTYONE)]
    if named := named or _of_split_folders(root):
        return [*named]
    single = files_in(root, {".json"}) or (files_in(folder, {".json"}) if folder else [])
    usual = [path for path in single if path.name in ("annotations.json", ROBOFLOW)]
    single = usual or single
    if len(single) > 1:
        raise DataError(
            f"{root} holds {len(single)} JSON files ({single[0].name}, {single[1].name}, …): name "
            "the annotations train.json, val.json and test.json, or annotations.json"
        )
    return [(None, path) for path in single]


def _by_split(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Those named as COCO names them; else by the split that is one word of their names."""
    pattern = re.compile(r"instances_(train|val|test).*|(train|valid|val|validation|test)")
    matches = ((pattern.fullmatch(path.stem.lower()), path) for path in paths)
    if named := [(SPLIT_OF_FOLDER[m[1] or m[2]], path) for m, path in matches if m]:
        return named
    split_of_file: dict[str, Path] = {}
    for path in paths:
        words = {SPLIT_OF_FOLDER.get(word) for word in re.split(r"[\W\d_]+", path.stem.lower())}
        found = [split for split in words if split]
        if not found or path.name.startswith(OTHER_TASKS) or looks_like(path) != "coco":
            continue
        if len(found) > 1 or found[0] in split_of_file:
            return []  # which one is meant is not known
        split_of_file[found[0]] = path
    return [*split_of_file.items()] if "train" in split_of_file else []


def _of_split_folders(root: Path) -> list[tuple[str, Path]]:
    """The one annotation file of each split folder (Roboflow, FiftyOne, …), or in annotations/."""
    named = []
    for split, folder in split_folders(root):
        deeper = subfolder(folder, "annotations")
        files = [*files_in(folder, {".json"}), *(files_in(deeper, {".json"}) if deeper else ())]
        own = [path for path in files if path.name == ROBOFLOW] or [
            path
            for path in files
            if not path.name.startswith(OTHER_TASKS) and looks_like(path) == "coco"
        ]
        if len(own) > 1:
            raise DataError(
                f"{folder} holds {len(own)} JSON files with boxes ({own[0].name}, {own[1].name}): "
                f"leave the one of {split} there"
            )
        named += [(split, path) for path in own]
    return named


def _read_json(root: Path, path: Path, split: str | None) -> list[Annotation]:
    try:
        content = read_json(path, "utf-8-sig")
    except (ValueError, RecursionError) as error:  # ValueError: JSON's and Unicode's errors too
        raise DataError(f"{path}: malformed JSON: {error}: correct or export it again") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise DataError(f"{path}: no list {key!r}: is it a COCO instances file?")
    try:
        names = {_id(category["id"]): str(category["name"]) for category in content["categories"]}
        images = {_id(image["id"]): (image, str(image["file_name"])) for image in content["images"]}
        boxes: dict[Any, list[_Stated]] = {key: [] for key in images}
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: an image or category lacks {error}: export it again") from error
    if not images:
        of = f"the {split} split" if split else "the set"
        raise DataError(f"{path}: {of} is empty: add its images, or remove the file")
    _refuse_twice(path, content["categories"])
    if len(images) != len(content["images"]):
        raise DataError(f"{path}: two images have the same id: export it again")
    rows = content["annotations"]
    for position, row in enumerate(rows):
        bbox = _check_annotation(path, position + 1, row, boxes, names)
        stated = _Stated(row.get("id"), _id(row["category_id"]), row.get("iscrowd"), bbox)
        boxes[_id(row["image_id"])].append(stated)
        rows[position] = None
    pictures = NamedPictures(root, _image_folders(root, path, split))
    annotations = []
    for key, (image, name) in images.items():
        place = pictures.find(name, f"{path} image {key}")
        annotations.append(_to_annotation(f"{path} image {key}", place, image, boxes[key], names))
        annotations[-1].split = split
    return annotations


def _refuse_twice(path: Path, categories: list[dict[str, Any]]) -> None:
    names: dict[Any, str] = {}
    for category in categories:
        key, name = category["id"], str(category["name"])
        if not name.strip() or category["name"] is None:
            raise DataError(f"{path}: category {key} has no name: give it one")
        if (first := names.setdefault(_id(key), name)) != name:
            raise DataError(
                f"{path}: category {key} is {first!r} and {name!r}: correct one of them"
            )


def _check_annotation(
    path: Path, position: int, annotation: Any, images: dict[Any, Any], names: dict[Any, str]
) -> list[float]:
    """Its `_bbox`; raises `DataError` for one that cannot be meant."""
    identifier = annotation.get("id") if isinstance(annotation, dict) else None
    where = f"{path} annotation {f'number {position}' if identifier is None else identifier}"
    try:
        image, category = (_id(annotation[key]) for key in ("image_id", "category_id"))
        known_image, known_category = image in images, category in names
        bbox = _bbox(annotation)
        sensible = isinstance(annotation.get("bbox") or [], list) and len(bbox) in (0, 4)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{where}: needs image_id, category_id and a bbox of four numbers ({error!r}): "
            "correct or remove it"
        ) from error
    if not sensible:
        raise DataError(
            f"{where}: bbox {annotation['bbox']} is not [x, y, width, height]: correct or remove it"
        )
    if not known_image:
        raise DataError(f"{where}: no image has the id {image}: remove it or add the image")
    if not known_category:
        raise DataError(f"{where}: no category has the id {category}: correct it")
    return bbox


def _id(value: Any) -> Any:
    """An id as what it says: PyLabel writes numbers as texts."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value) else value


def _bbox(annotation: dict[str, Any]) -> list[float]:
    """`bbox` as numbers, or the box of the polygons where there is none; empty without either.

    Raises KeyError where the annotation has no such keys, TypeError or ValueError for no numbers.
    """
    if bbox := annotation.get("bbox"):
        return [float(value) for value in bbox]
    polygons = annotation.get("segmentation") or []
    if "bbox" not in annotation and not polygons:
        raise KeyError("bbox")
    if not isinstance(polygons, list):  # run lengths
        return []
    points = np.array([float(v) for p in polygons for v in p]).reshape(-1, 2)
    if not len(points):
        return []
    low, high = points.min(0), points.max(0)
    return [*low.tolist(), *(high - low).tolist()]


def _image_folders(root: Path, path: Path, split: str | None) -> list[Path]:
    """Folders to look for pictures in, the most specific first: two splits may share names."""
    stem = path.stem.removeprefix("instances_")
    own = [stem, *(name for name, of in SPLIT_OF_FOLDER.items() if split and of == split)]
    of_split = path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
    folders = [path.parent] if path.name == ROBOFLOW else []
    if of_split != root:  # a split folder
        folders = [path.parent, of_split / "images", of_split / "data", of_split]
    folders += [parent / name for name in own for parent in (root, root / "images")]
    usual = (root / "images", root / "data", root)
    return [folder for folder in (*folders, *usual) if folder.is_dir()]


def _crowd(stated: _Stated, source: str) -> bool:
    """Whether `iscrowd` is set, a number or a number in quotes."""
    value = _id(stated.crowd or 0)
    if value not in (0, 1):
        raise DataError(f"{source} annotation {stated.id}: iscrowd {value!r} is neither 0 nor 1")
    return bool(value)


def _to_annotation(
    source: str,
    image: Path,
    stated: dict[str, Any],
    found: list[_Stated],
    names: dict[Any, str],
) -> Annotation:
    boxes = [each for each in found if each.bbox]
    remarks = tuple(("empty-box", f"annotation {each.id}") for each in found if not each.bbox)
    corners = np.array([each.bbox for each in boxes], dtype=float).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    try:
        size = (int(stated["width"]), int(stated["height"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        size = (0, 0)
    return Annotation(
        image=image,
        boxes=corners,
        names=[names[each.category] for each in boxes],
        difficult=np.array([_crowd(each, source) for each in boxes], bool),
        source=source,
        size=size if min(size) > 0 else None,
        remarks=remarks,
    )
