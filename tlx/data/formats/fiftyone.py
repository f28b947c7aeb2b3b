"""FiftyOne's own exports (docs.voxel51.com, user guide, exporting): a FiftyOneDataset, which is
`samples.json` beside `data/`, and a FiftyOneImageDetectionDataset, which is `labels.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import (
    SPLIT_OF_FOLDER,
    files_below,
    of_whole_set,
    split_of,
)
from tlx.data.formats.json_files import naming, read_annotation_json
from tlx.data.formats.named import NamedPictures
from tlx.data.formats.pictures import upright_size
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.shapes import Boxes, number
from tlx.data.formats.sniff import looks_like

USUAL = "ground_truth"  # the field of the boxes, where a sample has several
DIFFICULT = ("iscrowd", "difficult", "IsGroupOf", "ignored")


def _is_fiftyone(content: bytes) -> bool:
    if content.find(b'"samples"') >= 0 and content.find(b'"filepath"') >= 0:
        return True
    return content.find(b'"labels"') >= 0 and content.find(b'"bounding_box"') >= 0


@reader(
    "fiftyone",
    Sign(
        'FiftyOne\'s samples.json with "samples" and "filepath", or its labels.json',
        frozenset({".json"}),
        _is_fiftyone,
    ),
)
def read_fiftyone(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read every such file below `root`.

    The boxes are those of the field `ground_truth`, else of the only field of detections. The tags
    train, val (validation) and test name the splits. A sample whose field is null is unlabelled,
    one with an empty list is a negative. `iscrowd`, `difficult` and `IsGroupOf` make a box
    difficult.

    Raises:
        DataError: a malformed file, several fields of detections, a sample of two splits.
    """
    annotations: list[Annotation] = []
    everything = NamedPictures(root, [root]).all
    for path in files_below(root):
        if path.suffix.lower() == ".json" and looks_like(path) == "fiftyone":
            content = read_annotation_json(path)
            read = _samples if isinstance(content, dict) and "samples" in content else _labels
            with naming(str(path)):
                annotations += read(root, path, content)
    return of_whole_set(root, annotations, everything)


def _samples(root: Path, path: Path, content: Any) -> Iterator[Annotation]:
    pictures = NamedPictures(root, [path.parent, path.parent / "data"], "filepath")
    samples = content["samples"]
    field = _field(path, samples)
    for place, sample in enumerate(samples, start=1):
        where = f"{path} sample {place}"
        with naming(where):
            image = pictures.matching(str(sample["filepath"]), where)
            split = _tagged(sample.get("tags") or [], where) or split_of(path, root)
            found = sample.get(field)
            if found is None:
                yield Annotation.without_boxes(image, where, split=split, unused="unlabelled")
            else:
                yield _read(found["detections"], image, where, split)


def _field(path: Path, samples: list[Any]) -> str:
    """The field of the boxes."""
    fields: dict[str, None] = {}
    for sample in samples:
        for key, value in sample.items():
            if isinstance(value, dict) and value.get("_cls") == "Detections":
                fields[key] = None
    if len(fields) > 1 and USUAL not in fields:
        raise DataError(
            f"{path}: the fields {', '.join(fields)} all hold detections: name the one that is "
            f"true {USUAL}, or export it alone"
        )
    return USUAL if USUAL in fields or not fields else next(iter(fields))


def _tagged(tags: list[Any], where: str) -> str | None:
    splits = dict.fromkeys(SPLIT_OF_FOLDER.get(str(tag).lower()) for tag in tags)
    named = [split for split in splits if split]
    if len(named) > 1:
        raise DataError(f"{where}: it is tagged {' and '.join(named)}: leave one")
    return named[0] if named else None


def _labels(root: Path, path: Path, content: Any) -> Iterator[Annotation]:
    """A labels.json: {"classes": names or null, "labels": {picture without ending: detections}}."""
    stated = content.get("classes")
    names = stated if isinstance(stated, list) else None
    folders = [path.parent / "data", path.parent]
    by_stem = {}
    for picture in reversed(NamedPictures(root, folders).all):
        if picture.is_relative_to(path.parent):
            inner = picture.relative_to(path.parent).with_suffix("").as_posix()
            by_stem[inner] = by_stem[inner.removeprefix("data/")] = picture
    for key, found in content["labels"].items():
        where = f"{path} {key!r}"
        missing = folders[0] / f"{Path(key).name or 'unnamed'}.jpg"
        image = by_stem.get(key) or by_stem.get(str(Path(key).with_suffix(""))) or missing
        split = split_of(path, root)
        with naming(where):
            if found is None:
                yield Annotation.without_boxes(image, where, split=split, unused="unlabelled")
            else:
                yield _read(found, image, where, split, names)


def _read(
    detections: list[Any],
    image: Path,
    where: str,
    split: str | None,
    names: list[Any] | None = None,
) -> Annotation:
    width, height = upright_size(image) or (1, 1)  # where there is none the check says why
    boxes = Boxes()
    for place, item in enumerate(detections, start=1):
        with naming(f"{where} detection {place}"):
            label = item["label"]
            if names is not None and isinstance(label, int):
                label = names[label]
            if label is None or not str(label).strip():
                raise ValueError("no label")
            x, y, w, h = (number(value) for value in item["bounding_box"])
            own = item.get("attributes") if isinstance(item.get("attributes"), dict) else {}
            difficult = any(_true(item.get(key, own.get(key))) for key in DIFFICULT)
            box = x * width, y * height, (x + w) * width, (y + h) * height
            boxes.add(str(label), box, difficult=difficult)
    return boxes.annotation(image, where, split)


def _true(value: Any) -> bool:
    if isinstance(value, dict):  # an attribute of its own type
        value = value.get("value")
    return value in (True, 1, "1", "true", "True")
