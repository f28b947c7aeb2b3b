"""The boxes of some classes, out of a file with those of all: read by line, for it has 1.2 GB."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.openimages.layout import COLUMNS, OURS

Row = tuple[str, ...]
"""The fields of `COLUMNS` and `OURS`, as written."""

_HEADER = 1 << 16  # bytes: what is no table may be one line of gigabytes
_IMAGE = re.compile(r"[\w-]{1,64}", re.ASCII)  # becomes part of a path and of an address


@dataclass(frozen=True)
class Rule:
    """Which boxes count.

    The defaults are pytorch-ssd's: what is drawn or depicted is left out with the box that says so
    (`IsDepiction` 1; 0 and the unknown -1 stay), and a box around a group is a box.
    """

    group_of: bool = True
    depictions: bool = False


class Images:
    """The pictures of a split in the file's order, and how many boxes of which class each has.

    All 1.7 million of train with all classes take 400 MB: a picture's counts are packed.
    """

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._packed: dict[str, bytes] = {}
        self._last, self._counts = "", dict[int, int]()  # rows of a picture stand together

    def add(self, image: str, name: str) -> None:
        """One box more."""
        if image != self._last:
            self._keep()
            self._last, self._counts = image, dict(_pairs(self._packed.get(image, b"")))
        index = self._index.setdefault(name, len(self._index))
        self._counts[index] = self._counts.get(index, 0) + 1

    def __len__(self) -> int:
        return len(self._kept())

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept())

    def __contains__(self, image: object) -> bool:
        return image in self._kept()

    def counts(self, image: str) -> dict[str, int]:
        """Boxes of a picture by class."""
        names = list(self._index)
        return {names[index]: count for index, count in _pairs(self._kept()[image])}

    def all_counts(self) -> Iterator[tuple[str, dict[str, int]]]:
        """(picture, boxes by class) of every one."""
        names = list(self._index)
        for image, packed in self._kept().items():
            yield image, {names[index]: count for index, count in _pairs(packed)}

    def only(self, images: Iterable[str]) -> Images:
        """These pictures of it, in their order."""
        found = Images()
        found._index = self._index
        found._packed = {image: self._kept()[image] for image in images}
        return found

    def boxes(self) -> dict[str, int]:
        """Boxes by class, those with most first."""
        total: dict[str, int] = {}
        for _, counts in self.all_counts():
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
        return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))

    def _keep(self) -> None:
        if self._last:
            flat = array("I", (number for pair in self._counts.items() for number in pair))
            self._packed[self._last] = flat.tobytes()

    def _kept(self) -> dict[str, bytes]:
        self._keep()
        self._last = ""
        return self._packed


def _pairs(packed: bytes) -> Iterator[tuple[int, int]]:
    flat = array("I", packed)
    return zip(flat[::2], flat[1::2], strict=True)


def matching(
    path: Path, classes: Mapping[str, str], rule: Rule, advance: Callable[[int], None]
) -> Iterator[Row]:
    """The rows of these classes (MID by name) that the rule lets pass, in the file's order.

    Args:
        advance: takes the number of bytes that are read.

    Raises:
        DataError: a column is missing, or a row of these classes is damaged; with its line.
    """
    name_of = {mid.encode(): name for name, mid in classes.items()}
    read = 0
    with path.open("rb") as file:
        header = file.readline()
        places = _places(path, header)
        width, label = len(header.split(b",")), places["LabelName"]
        group, depiction = COLUMNS.index("IsGroupOf"), COLUMNS.index("IsDepiction")
        order = [places[column] for column in COLUMNS]
        for number, line in enumerate(file, start=2):
            read += len(line)
            if not number & 0x3FFFF:
                advance(read)
            parts = line.split(b",")
            if len(parts) <= label:
                if line.strip():
                    raise DataError(f"{path}:{number}: {_shown(line)} has too few columns")
                continue
            name = name_of.get(parts[label].strip())
            if name is None:
                continue
            if len(parts) != width:
                raise DataError(
                    f"{path}:{number}: {_shown(line)} has {len(parts)} columns, not {width}"
                )
            try:
                row = tuple(parts[place].strip().decode("ascii") for place in order)
            except UnicodeDecodeError:
                raise DataError(f"{path}:{number}: {_shown(line)} is no text") from None
            if not _IMAGE.fullmatch(row[0]):
                raise DataError(f"{path}:{number}: {row[0]!r} is no ImageID")
            if (rule.group_of or row[group] != "1") and (rule.depictions or row[depiction] != "1"):
                yield (*row, classes[name], name)


def refuse_other_header(path: Path) -> None:
    """`DataError` where a file does not begin as one of boxes does."""
    with path.open("rb") as file:
        _places(path, file.readline(_HEADER))


def read_chosen(path: Path) -> Iterator[Row]:
    """The rows of a file that `write_chosen` has written."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows, None)
        for row in rows:
            yield tuple(row)


def write_chosen(rows: Iterable[Row], path: Path) -> None:
    """A file of chosen boxes, with its header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, *OURS))
        writer.writerows(rows)


def _places(path: Path, header: bytes) -> dict[str, int]:
    names = header.decode("utf-8-sig", "replace").strip().split(",")
    places = {name.strip(): place for place, name in enumerate(names)}
    if missing := [column for column in COLUMNS if column not in places]:
        raise DataError(
            f"{path}:1: the column {missing[0]} is missing: this is no file of Open Images' boxes"
        )
    return places


def _shown(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace").rstrip())
