"""Open Images boxes (Kuznetsova et al., "The Open Images Dataset V4", 2020) as its CSV files hold
them: ImageID, LabelName (a MID such as /m/01jfm_), corners in fractions of the picture, flags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.folders import (
    IMAGE_ENDINGS,
    SPLIT_OF_FOLDER,
    files_below,
    of_whole_set,
    split_of,
)
from tlx.data.formats.pictures import upright_size
from tlx.data.formats.registry import Sign, reader
from tlx.data.formats.shapes import Boxes
from tlx.data.formats.sniff import looks_like
from tlx.data.formats.tables import cells, first_row, numbers, places, read_rows

CORNERS = ("XMin", "XMax", "YMin", "YMax")
NEEDED = ("ImageID", "LabelName", *CORNERS)
CHOSEN = "sub-"  # before the name of a file that holds the chosen classes only
NAMED = re.compile(r"(?:sub-)?(?:oidv6-)?(\w+)-annotations-bbox")


def _is_open_images(content: bytes) -> bool:
    return {name.lower() for name in NEEDED} <= {*first_row(content)}


@reader(
    "openimages",
    Sign(
        "CSV files with ImageID, LabelName, XMin, XMax, YMin, YMax",
        frozenset({".csv"}),
        _is_open_images,
    ),
)
def read_openimages(root: Path, classes: list[str] | None) -> list[Annotation]:
    """Read `sub-{split}-annotations-bbox.csv`, else `{split}-annotations-bbox.csv`, with pictures
    `{split}/{ImageID}.jpg`.

    `IsGroupOf` boxes are difficult. Depictions, truncated and occluded objects are boxes like
    others: what is not wanted is left out when it is downloaded. Names are those of the column
    `ClassName`, else of `class-descriptions-boxable.csv`, else the MIDs themselves. The whole file
    of a split is read for the pictures that are there, and for the configured `classes`.

    Raises:
        DataError: a line that is no box, a MID without a name, two pictures of one id; each with
            file and line.
    """
    found = [p for p in files_below(root) if p.suffix.lower() == ".csv"]
    tables = [path for path in found if looks_like(path) == "openimages"]
    mids = _descriptions(found)
    pictures = [p for p in files_below(root) if p.suffix.lower() in IMAGE_ENDINGS]
    annotations: list[Annotation] = []
    for path in tables:
        chosen = path.name.startswith(CHOSEN)
        if not chosen and path.with_name(CHOSEN + path.name) in tables:
            continue
        annotations += _read_table(root, path, pictures, mids, None if chosen else classes or [])
    return of_whole_set(root, annotations, pictures)


def _descriptions(paths: list[Path]) -> dict[str, str]:
    """{MID: name} of the files that describe classes, with a header line or without."""
    named: dict[str, str] = {}
    for path in paths:
        if not re.search(r"class(es|-descriptions)", path.stem):
            continue
        for _, row in read_rows(path):
            if len(row) >= 2 and row[0].startswith("/"):
                named[row[0]] = row[1]
    return named


def _split(path: Path, root: Path) -> str | None:
    match = NAMED.fullmatch(path.stem)
    named = SPLIT_OF_FOLDER.get(match[1].lower()) if match else None
    return named or split_of(path, root, lists=True)


def _read_table(
    root: Path,
    path: Path,
    pictures: list[Path],
    mids: dict[str, str],
    wanted: list[str] | None,
) -> Iterator[Annotation]:
    """Annotations of one file.

    Args:
        wanted: None: all lines count. Otherwise the file is that of a whole split: lines count
            whose picture is there, and of these classes where there are any.
    """
    split = _split(path, root)
    known = _by_id(root, pictures, split)
    found: dict[str, Boxes] = {}
    first: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    rows = read_rows(path)
    where, header = next(rows)
    at = places(header, NEEDED, where)
    lower = [cell.lower() for cell in header]
    group_at = lower.index("isgroupof") if "isgroupof" in lower else None
    name_at = lower.index("classname") if "classname" in lower else None
    for row in rows:
        where, words = row
        image_id, mid, *corners = cells(row, at)
        images = known.get(image_id, [])
        if wanted is not None and not images:
            continue
        name = words[name_at] if name_at is not None and name_at < len(words) else ""
        name = name or mids.get(mid, "" if mids else mid)
        if not name:
            raise DataError(f"{where}: class-descriptions name no {mid!r}: add it, with its name")
        if wanted and name not in wanted:
            continue
        if len(images) > 1:
            raise DataError(f"{where}: {image_id} may be {images[0]} or {images[1]}: remove one")
        if image_id not in found:
            found[image_id], first[image_id] = Boxes(), where
            sizes[image_id] = (upright_size(images[0]) if images else None) or (1, 1)
        left, right, top, bottom = numbers(where, corners, CORNERS)
        width, height = sizes[image_id]
        group = group_at is not None and group_at < len(words) and words[group_at] in ("1", "true")
        box = left * width, top * height, right * width, bottom * height
        found[image_id].add(name, box, difficult=group)
    for image_id, boxes in found.items():
        images = known.get(image_id, [])
        missing = root / (split or "") / f"{Path(image_id).name or 'unnamed'}.jpg"
        yield boxes.annotation(images[0] if images else missing, first[image_id], split)


def _by_id(root: Path, pictures: list[Path], split: str | None) -> dict[str, list[Path]]:
    """{ImageID: its pictures}, those of the split's folders where there are such folders."""
    own = [p for p in pictures if split_of(p, root) == split] if split else []
    found: dict[str, list[Path]] = {}
    for picture in own or pictures:
        found.setdefault(picture.stem, []).append(picture)
    return found
