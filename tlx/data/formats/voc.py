"""Pascal VOC: one XML file a picture (Everingham et al., "The Pascal Visual Object Classes (VOC)
Challenge", 2010), in a VOCdevkit tree, in train/val/test folders or in one folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml.ElementTree import parse

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import (
    IMAGE_ENDINGS,
    SPLIT_OF_FOLDER,
    ImageFolder,
    annotated_folders,
    files_below,
    files_in,
    mark_unlabelled,
    of_whole_set,
    read_lines,
    split_of,
    subfolder,
)
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.sniff import looks_like
from tlx.data.formats.voc_deeper import Scattered, folders_of_xml
from tlx.data.formats.xml_files import read_annotation_xml

TRUE = ("1", "true", "yes")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def _is_xml_of_voc(content: bytes) -> bool:
    """LabelMe's files begin alike, and CVAT's with <annotations>."""
    begins = re.search(rb"<annotation[\s/>]", content) is not None
    return begins and not re.search(rb"<imagesize[\s/>]|<sourceAnnotation[\s/>]", content)


@reader(
    "voc",
    Sign("XML files that begin with <annotation>", frozenset({".xml"}), _is_xml_of_voc),
)
def read_voc(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read a VOCdevkit tree (`Annotations/` in `root`), split folders, one flat folder, or what
    lies deeper where these hold no annotated picture.

    In a VOCdevkit tree the lists in `ImageSets/Main` decide what belongs to the set: a picture
    that none of them names is marked "unlisted".

    Raises:
        DataError: malformed XML or lists, or a folder with pictures but no XML.
    """
    found = _read_usual(root)
    if any(each.image.is_file() for each in found if not each.unused):
        return found
    deeper = _read_deeper(root)
    return deeper if any(each.image.is_file() for each in deeper if not each.unused) else found


def _read_usual(root: Path) -> list[Annotation]:
    """The set whose folders are the root's own."""
    if xml_folder := _xml_subfolder(root):
        return [*(found := _read_devkit(root, xml_folder)), *_unread(root, found)]
    annotations: list[Annotation] = []
    for split, folder in annotated_folders(root, ".xml"):
        xml_folder = _xml_subfolder(folder) or folder
        images = ImageFolder(_pictures_of(folder, xml_folder))
        if images.images and not files_in(xml_folder, {".xml"}):
            raise DataError(
                f"{folder} holds {len(images.images)} pictures but no XML: put each N.xml beside "
                "its picture, or in Annotations/ beside JPEGImages/, or correct data.format; move "
                "the folder away if it is not annotated"
            )
        found = list(_read_folder(xml_folder, images).values())
        annotations += [replace(annotation, split=split) for annotation in found]
        annotations += images.unlabelled((a.image for a in found), split)
    return [*annotations, *_unread(root, annotations)]


def _read_deeper(root: Path) -> list[Annotation]:
    """The VOCdevkit trees below the root, each with its lists; without any, every XML file with
    the picture of its name, wherever both lie."""
    annotations: list[Annotation] = []
    for folder in folders_of_xml(root):
        if xml_folder := _xml_subfolder(folder):
            split = split_of(xml_folder / "of.xml", root)
            found = _read_devkit(folder, xml_folder)
            annotations += [replace(each, split=each.split or split) for each in found]
    if annotations or subfolder(root, "ImageSets"):  # whose lists are of the usual folders
        return [*annotations, *_unread(root, annotations)]
    pictures = Scattered(root)
    for path in files_below(root):
        if path.suffix.lower() == ".xml" and looks_like(path) == "voc":
            name, annotation = parse_xml(path)
            image = pictures.of(path, name)
            annotations.append(replace(annotation, image=image, split=split_of(path, root)))
    return of_whole_set(root, annotations, pictures.pictures)


def _xml_subfolder(folder: Path) -> Path | None:
    """Where the XML files of a set or of a split folder lie apart from the pictures."""
    for name in ("Annotations", "labels"):  # the second is FiftyOne's
        found = subfolder(folder, name)
        if found is not None and files_in(found, {".xml"}):
            return found
    return None


def _pictures_of(folder: Path, xml_folder: Path) -> Path:
    if xml_folder == folder:
        return folder
    return subfolder(folder, "JPEGImages", "images", "data") or xml_folder


def _unread(root: Path, read: list[Annotation]) -> list[Annotation]:
    """A marker for each annotation file somewhere below `root` that no picture came from."""
    known = {annotation.source for annotation in read}
    return [
        Annotation.without_boxes(path, str(path), unused="unread-annotation")
        for path in sorted(root.rglob("*.xml"))
        if str(path) not in known and not path.name.startswith(".") and _is_voc(path)
    ]


def _is_voc(path: Path) -> bool:
    try:
        top = parse(path).getroot()
    except (ParseError, ValueError, OSError, LookupError):
        return False
    return top is not None and top.tag == "annotation"


def _read_devkit(root: Path, xml_folder: Path) -> list[Annotation]:
    images = ImageFolder(_pictures_of(root, xml_folder))
    by_id = _read_folder(xml_folder, images)
    unlabelled = mark_unlabelled(images.images, (a.image for a in by_id.values()))
    stems = [*by_id, *(image.stem for image in images.images)]
    listed = _read_lists(root, dict.fromkeys(stems))
    if not listed:
        return [*by_id.values(), *unlabelled]
    annotations, named = [], set()
    for identifier, split, where in listed:
        named.add(identifier)
        if identifier in by_id:
            annotations.append(replace(by_id[identifier], split=split))
        elif images.with_stem(identifier) is None:
            missing = images.path / f"{identifier}.jpg"
            nearest = get_close_matches(identifier, by_id, n=1, cutoff=0.0)
            detail = f"{identifier!r} is no picture of the set; the nearest is {nearest[0]!r}"
            annotations.append(
                Annotation.without_boxes(
                    missing,
                    where,
                    split=split,
                    unused="unknown-line",
                    remarks=(("unknown-line", detail),),
                )
            )
    unlisted = (a for identifier, a in by_id.items() if identifier not in named)
    annotations += [
        Annotation.without_boxes(a.image, a.source, unused="unlisted") for a in unlisted
    ]
    return annotations + unlabelled


def _read_lists(root: Path, known: dict[str, None]) -> list[tuple[str, str | None, str]]:
    """(id, split, list:line) of the lists; empty where there are none.

    They lie in ImageSets/Main, in ImageSets or, where they name pictures of the set, in the root.
    `trainval` stands in for a missing train or val: what the other does not name.

    Raises:
        DataError: a list that names nothing: its split would be cut from the others.
    """
    sets = subfolder(root, "ImageSets")
    main = sets and (subfolder(sets, "Main") or sets)
    files = _list_files(main) if main else {}
    if not files and main and any(main.glob("*.txt")):
        raise DataError(f"{main}: no list names a picture: fill train.txt, or remove the folder")
    if not files:
        stray = _list_files(root)
        fits = any(name in known for p in stray.values() for name in _read_list(p, known))
        files = stray if fits else {}
    lists = {name: _read_list(path, known) for name, path in files.items()}
    if main and lists and not any(lists.values()):
        raise DataError(f"{main}: no list names a picture: fill train.txt, or remove the folder")
    for name, ids in lists.items():
        if not ids:
            raise DataError(
                f"{files[name]} names no picture: fill it, or remove it to have the split cut"
            )
    default, both = lists.pop("default", {}), lists.pop("trainval", {})
    if both and not ("train" in lists and "val" in lists):
        rest = "val" if "train" in lists else "train"
        taken = lists.get("train", {}) | lists.get("val", {})
        lists[rest] = {name: where for name, where in both.items() if name not in taken}
    listed: list[tuple[str, str | None, str]]
    listed = [(name, split, where) for split, ids in lists.items() for name, where in ids.items()]
    return listed or [(name, None, where) for name, where in default.items()]


def _list_files(folder: Path) -> dict[str, Path]:
    """The lists in a folder by what they name: train, val, test, trainval or default."""
    names = {**SPLIT_OF_FOLDER, "trainval": "trainval", "default": "default"}
    found: dict[str, Path] = {}
    for path in files_in(folder, {".txt"}):
        if name := names.get(path.stem.lower()):
            if name in found:
                raise DataError(f"{found[name]} and {path} both name {name}: remove one of them")
            found[name] = path
    order = ("train", "val", "test", "trainval", "default")
    return {name: found[name] for name in order if name in found}


def _read_list(path: Path, known: dict[str, None]) -> dict[str, str]:
    """{id: file:line} in the file's order.

    An id may hold spaces: it is the whole line, unless only a part of it is `known`: without
    quotes, without the ending of a picture, without the class flag (1, 0, -1) of VOC's lists.
    """
    ids: dict[str, str] = {}
    for number, identifier in read_lines(path):
        if re.search(r"[\\/]", identifier):
            raise DataError(f"{path}:{number}: {identifier!r} is a path: list names without folder")
        forms = dict.fromkeys(_forms(identifier))
        ids.setdefault(
            next((form for form in forms if form in known), identifier), f"{path}:{number}"
        )
    return ids


def _forms(line: str) -> Iterator[str]:
    """The ids that a line of a list may mean, the whole line first."""
    for text in (line, re.sub(r"\s+(-1|0|1)$", "", line)):
        for bare in (text, text.strip("\"'")):
            yield bare
            if Path(bare).suffix.lower() in IMAGE_ENDINGS:
                yield Path(bare).stem


def _read_folder(xml_folder: Path, images: ImageFolder) -> dict[str, Annotation]:
    """{stem of the XML: annotation} with each XML's picture found in `images`.

    The XML's own stem names it, and `<filename>` where there is no such picture: files are renamed
    after annotating, and then `<filename>` may name another one. A picture that has an XML of its
    own is no other's.
    """
    found, paths = {}, files_in(xml_folder, {".xml"})
    stems = {path.stem for path in paths}
    for path in paths:
        stem = path.stem
        name, annotation = parse_xml(path)
        named, own = images.named(name), images.with_stem(stem)
        if named and not own and named.stem in stems:
            named, name = None, ""
        if named and own and named.stem != own.stem:
            remark = "renamed-picture", f"<filename> says {name}"
            annotation = replace(annotation, remarks=(*annotation.remarks, remark))
        if named and own and named.stem == own.stem:
            own = named  # of several endings of one stem, the one that it names
        image = own or named
        if image is None:
            missing = name if re.search(r"[^.]\.\w+$", name) else f"{stem}.jpg"
            image = images.unread(missing, stem) or images.path / missing
        found[stem] = replace(annotation, image=image)
    return found


def parse_xml(path: Path) -> tuple[str, Annotation]:
    """The last part of `<filename>` ("" if it has none) and the annotation, image still unknown.

    Raises:
        DataError: malformed XML (with line and column), entities, another kind of XML, an object
            without a name, or a corner that is missing or no number (with the object's number).
    """
    top = read_annotation_xml(path)
    if top is None or top.tag != "annotation":
        raise DataError(f"{path}: not a VOC annotation: its first element is not <annotation>")
    objects = [item for item in top.findall("object") if not _deleted(item)]
    _refuse_doubled(path, objects)
    boxes = [_corners(path, i, item) for i, item in enumerate(objects, start=1)]
    names = [(item.findtext("name") or "").strip() for item in objects]
    if "" in names:
        raise DataError(f"{path} object {names.index('') + 1}: no <name>: name its class")
    annotation = Annotation(
        image=path,
        boxes=np.array(boxes, dtype=float).reshape(-1, 4),
        names=names,
        difficult=np.array(
            [item.findtext("difficult", "").strip().lower() in TRUE for item in objects], bool
        ),
        source=str(path),
        size=_size(top),
    )
    return re.split(r"[\\/]", (top.findtext("filename") or "").strip())[-1], annotation


def _deleted(item: Element) -> bool:
    """LabelMe keeps what its user has deleted."""
    return item.findtext("deleted", "").strip().lower() in TRUE


def _refuse_doubled(path: Path, objects: list[Element]) -> None:
    """An object of two names or boxes: which one is meant is not known."""
    for number, item in enumerate(objects, start=1):
        for tag in ("name", "bndbox"):
            if len(found := item.findall(tag)) > 1:
                raise DataError(
                    f"{path} object {number}: it has {len(found)} <{tag}>: make them objects of "
                    "their own"
                )


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
