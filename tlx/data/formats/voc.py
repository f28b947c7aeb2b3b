"""Pascal VOC: one XML file a picture (Everingham et al., "The Pascal Visual Object Classes (VOC)
Challenge", 2010), in a VOCdevkit tree, in train/val/test folders or in one folder."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml.ElementTree import parse

from tlx.data.annotations import Annotation
from tlx.data.formats.folders import (
    ImageFolder,
    annotated_folders,
    files_in,
    mark_unlabelled,
    read_lines,
    subfolder,
)
from tlx.data.formats.registry import reader
from tlx.errors import DataError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@reader("voc")
def read_voc(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read a VOCdevkit tree (`Annotations/` in `root`), split folders, or one flat folder.

    In a VOCdevkit tree the lists in `ImageSets/Main` decide what belongs to the set: a picture
    that none of them names is marked "unlisted".

    Raises:
        DataError: malformed XML or lists, or a folder with pictures but no XML.
    """
    xml_folder = subfolder(root, "Annotations")
    if xml_folder is not None and files_in(xml_folder, {".xml"}):
        return _read_devkit(root, xml_folder)
    annotations: list[Annotation] = []
    for split, folder in annotated_folders(root, ".xml"):
        images = ImageFolder(folder)
        if images.images and not files_in(folder, {".xml"}):
            raise DataError(
                f"{folder} holds {len(images.images)} pictures but no XML: put each N.xml beside "
                "its picture, or in Annotations/ beside JPEGImages/, or correct data.format; move "
                "the folder away if it is not annotated"
            )
        found = list(_read_folder(folder, images).values())
        annotations += [replace(annotation, split=split) for annotation in found]
        annotations += images.unlabelled((a.image for a in found), split)
    return annotations


def _read_devkit(root: Path, xml_folder: Path) -> list[Annotation]:
    images = ImageFolder(subfolder(root, "JPEGImages", "images") or xml_folder)
    by_id = _read_folder(xml_folder, images)
    unlabelled = mark_unlabelled(images.images, (a.image for a in by_id.values()))
    listed = _read_lists(root)
    if not listed:
        return [*by_id.values(), *unlabelled]
    annotations, named = [], set()
    for identifier, split, where in listed:
        named.add(identifier)
        if identifier in by_id:
            annotations.append(replace(by_id[identifier], split=split))
        elif images.with_stem(identifier) is None:
            missing = images.path / f"{identifier}.jpg"
            annotations.append(
                Annotation.without_boxes(missing, where, split=split, unused="unlabelled")
            )
    unlisted = (a for identifier, a in by_id.items() if identifier not in named)
    annotations += [
        Annotation.without_boxes(a.image, a.source, unused="unlisted") for a in unlisted
    ]
    return annotations + unlabelled


def _read_lists(root: Path) -> list[tuple[str, str | None, str]]:
    """(id, split, list:line) from ImageSets/Main; empty where it has no lists.

    `trainval` stands in for a missing train or val: what the other does not name.
    """
    sets = subfolder(root, "ImageSets")
    main = sets and subfolder(sets, "Main")
    if not main:
        return []
    lists = {
        name: _read_list(main / f"{name}.txt")
        for name in ("train", "val", "test", "trainval", "default")
        if (main / f"{name}.txt").is_file()
    }
    default, both = lists.pop("default", {}), lists.pop("trainval", {})
    if both and not ("train" in lists and "val" in lists):
        rest = "val" if "train" in lists else "train"
        known = lists.get("train", {}) | lists.get("val", {})
        lists[rest] = {name: where for name, where in both.items() if name not in known}
    listed: list[tuple[str, str | None, str]]
    listed = [(name, split, where) for split, ids in lists.items() for name, where in ids.items()]
    listed = listed or [(name, None, where) for name, where in default.items()]
    if not listed and any(main.glob("*.txt")):
        raise DataError(f"{main}: no list names a picture: fill train.txt, or remove the folder")
    return listed


def _read_list(path: Path) -> dict[str, str]:
    """{id: file:line} in the file's order. An id may hold spaces: it is the whole line."""
    ids: dict[str, str] = {}
    for number, identifier in read_lines(path):
        if re.search(r"[\\/]", identifier):
            raise DataError(f"{path}:{number}: {identifier!r} is a path: list names without folder")
        ids.setdefault(identifier, f"{path}:{number}")
    return ids


def _read_folder(xml_folder: Path, images: ImageFolder) -> dict[str, Annotation]:
    """{stem of the XML: annotation} with each XML's picture found in `images`.

    `<filename>` names it, unless several XMLs claim the same name (files that were renamed or
    copied after annotating) and the XML's own stem is a picture too.
    """
    parsed = [(path.stem, *parse_xml(path)) for path in files_in(xml_folder, {".xml"})]
    claims = Counter(name for _, name, _ in parsed)
    found = {}
    for stem, name, annotation in parsed:
        named, own = images.named(name), images.with_stem(stem)
        image = own if claims[name] > 1 and own else named or own
        missing = name if re.search(r"[^.]\.\w+$", name) else f"{stem}.jpg"
        found[stem] = replace(annotation, image=image or images.path / missing)
    return found


def parse_xml(path: Path) -> tuple[str, Annotation]:
    """The last part of `<filename>` ("" if it has none) and the annotation, image still unknown.

    Raises:
        DataError: malformed XML (with line and column), entities, another kind of XML, an object
            without a name, or a corner that is missing or no number (with the object's number).
    """
    try:
        top = parse(path).getroot()
    except ParseError as error:
        raise DataError(f"{path}: malformed XML: {error}: correct or remove the file") from error
    except ValueError as error:  # defusedxml's refusals and unknown encodings
        raise DataError(f"{path}: refused: {error!r}: write it without DTD or entities") from error
    if top is None or top.tag != "annotation":
        raise DataError(f"{path}: not a VOC annotation: its first element is not <annotation>")
    objects = top.findall("object")
    boxes = [_corners(path, i, item) for i, item in enumerate(objects, start=1)]
    names = [(item.findtext("name") or "").strip() for item in objects]
    if "" in names:
        raise DataError(f"{path} object {names.index('') + 1}: no <name>: name its class")
    annotation = Annotation(
        image=path,
        boxes=np.array(boxes, dtype=float).reshape(-1, 4),
        names=names,
        difficult=np.array(
            [item.findtext("difficult", "0").strip() == "1" for item in objects], bool
        ),
        source=str(path),
        size=_size(top),
    )
    return re.split(r"[\\/]", (top.findtext("filename") or "").strip())[-1], annotation


def _corners(path: Path, number: int, item: Element) -> list[float]:
    corners = []
    for corner in CORNERS:
        text = item.findtext(f"bndbox/{corner}")
        try:
            corners.append(float(text))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            stated = "is missing" if text is None else f"is no number: {text.strip()!r}"
            raise DataError(f"{path} object {number}: <{corner}> {stated}: correct it") from error
    return corners


def _size(top: Element) -> tuple[int, int] | None:
    try:
        width, height = (
            int(float(top.findtext(f"size/{side}", ""))) for side in ("width", "height")
        )
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None
