"""Label Studio's JSON export (labelstud.io/guide/export), whole or "JSON-MIN": a list of tasks,
with boxes in percents of the picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import SPLIT_OF_FOLDER, files_below, of_whole_set, split_of
from tlx.data.formats.json_files import naming, read_annotation_json
from tlx.data.formats.named import NamedPictures
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.shapes import Boxes, enclosing, number, stated_size, turned
from tlx.data.formats.sniff import looks_like

BOX_LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")
OTHER = ("brushlabels", "keypointlabels", "vectorlabels")
UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio's own, before the name of an upload


def _is_label_studio(content: bytes) -> bool:
    if content[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"[":
        return False
    tasks = content.find(b'"data"') >= 0 and (
        content.find(b'"annotations"') >= 0
        or content.find(b'"predictions"') >= 0
        or content.find(b'"completions"') >= 0
    )
    return tasks or any(content.find(f'"{kind}"'.encode()) >= 0 for kind in BOX_LABELS[:3])


@reader(
    "labelstudio",
    Sign("JSON files with a list of Label Studio's tasks", frozenset({".json"}), _is_label_studio),
)
def read_labelstudio(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read every such file below `root`.

    A picture is found by the end of its address; where that is not there, without the eight
    characters that an upload gets. Of several annotations of a task the newest counts, as a fault;
    one that was skipped does not. A task that nobody has annotated, though it may have predictions,
    is unlabelled; an annotation without a region is a negative. Polygons and ellipses are the box
    round them; turned boxes are enclosed, and brushes and points left out, as faults.

    Raises:
        DataError: a malformed file, a region that makes no sense, an address that may be that of
            two pictures; with the file and the task's id.
    """
    annotations: list[Annotation] = []
    everything = NamedPictures(root, [root]).all
    for path in files_below(root):
        if path.suffix.lower() == ".json" and looks_like(path) == "labelstudio":
            annotations += _read_file(root, path)
    return of_whole_set(root, annotations, everything)


def _read_file(root: Path, path: Path) -> Iterator[Annotation]:
    tasks = read_annotation_json(path)
    if not isinstance(tasks, list):
        raise DataError(f"{path}: not a list of Label Studio's tasks: export it as JSON")
    split = split_of(path, root, lists=True)
    pictures = NamedPictures(root, [path.parent, root / "images", root], "the image")
    for place, task in enumerate(tasks, start=1):
        identifier = task.get("id", f"number {place}") if isinstance(task, dict) else place
        where = f"{path} task {str(identifier)[:40]}"
        with naming(where):
            yield _read_task(task, where, pictures, split)


def _read_task(
    task: dict[str, Any], where: str, pictures: NamedPictures, split: str | None
) -> Annotation:
    image = _picture(task, where, pictures)
    fields = task.get("data", task)
    split = SPLIT_OF_FOLDER.get(str(fields.get("split")).lower()) or split
    boxes = Boxes()
    if "data" not in task:  # JSON-MIN: the fields of the task and the regions side by side
        listed = [v for v in task.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        regions = [{**r, "value": r} for values in listed for r in values]
    else:
        made = task.get("annotations") or task.get("completions") or []  # as before version 1.0
        done = [a for a in made if not (a.get("was_cancelled") or a.get("skipped"))]
        if not done:
            return Annotation.without_boxes(image, where, split=split, unused="unlabelled")
        newest = max(done, key=lambda a: (str(a.get("updated_at") or ""), str(a.get("id") or "")))
        if len(done) > 1:
            boxes.remark(
                "annotated-again", f"{len(done)} annotations; that of id {newest.get('id')}"
            )
        regions = newest["result"]
    size = None
    for number_of, region in enumerate(regions, start=1):
        place = f"{where} region {number_of}"
        with naming(place):
            size = _add(boxes, region, place) or size
    return boxes.annotation(image, where, split, size)


def _picture(task: dict[str, Any], where: str, pictures: NamedPictures) -> Path:
    fields = task.get("data", task)
    texts = {key: value for key, value in fields.items() if isinstance(value, str)}
    usual = [texts[key] for key in ("image", "img", "ocr", "picture", "url") if key in texts]
    able = usual or [text for text in texts.values() if re.search(r"\.\w{3,5}($|[?&])", text)]
    if not able:
        raise KeyError("image")
    address = able[0]
    local = parse_qs(urlsplit(address).query).get("d") if "?" in address else None
    # Below the root of the server's local files, which need not be the data folder.
    name = f"/{local[0]}" if local else unquote(address.partition("?")[0])
    image = pictures.matching(name, where)
    bare = UPLOADED.sub("", re.split(r"[\\/]", name)[-1])
    if not image.is_file() and bare != re.split(r"[\\/]", name)[-1]:
        without = pictures.matching(f"/{bare}", where)
        image = without if without.is_file() else image
    return image


def _add(boxes: Boxes, region: dict[str, Any], where: str) -> tuple[int, int] | None:
    """Add a region of a picture; the size that the picture had when it was annotated."""
    value = region.get("value")
    if not isinstance(value, dict):
        return None
    labels = next((value[kind] for kind in BOX_LABELS if value.get(kind)), None)
    if labels is None:
        if any(value.get(kind) for kind in OTHER):
            boxes.remark("no-box-shape", f"{where}: {str(region.get('type'))[:30]}")
        return None  # a choice, a text or a rating of the whole picture, or geometry without class
    if not isinstance(labels, list):
        raise TypeError("its labels are no list")
    size = stated_size(region.get("original_width"), region.get("original_height"))
    if size is None:
        raise ValueError("no original_width and original_height")
    across, down = size[0] / 100, size[1] / 100
    degrees = number(value.get("rotation") or 0)
    if "points" in value:
        points = [[number(x) * across, number(y) * down] for x, y in value["points"]]
        box, degrees = enclosing(points), 0.0
    elif "radiusX" in value:
        x, y, a, b = (number(value[key]) for key in ("x", "y", "radiusX", "radiusY"))
        box = ((x - a) * across, (y - b) * down, (x + a) * across, (y + b) * down)
        box = turned(box, degrees)
    else:
        x, y, w, h = (number(value[key]) for key in ("x", "y", "width", "height"))
        box = (x * across, y * down, (x + w) * across, (y + h) * down)
        box = turned(box, degrees, about=(box[0], box[1]))
    for label in labels:
        boxes.turned(str(label), box, degrees, where)
    return size
