"""The boxes of some classes, out of a file with those of all: read by line, for it has 1.2 GB."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.openimages.layout import COLUMNS, OURS

Row = tuple[str, ...]
"""The fields of `COLUMNS` and `OURS`, as written."""

_IMAGE = re.compile(r"[\w-]{1,64}", re.ASCII)  # becomes part of a path and of an address


@dataclass(frozen=True)
class Rule:
    """Which boxes count.

    The defaults are pytorch-ssd's: what is drawn or depicted is left out with the box that says so
    (`IsDepiction` 1; 0 and the unknown -1 stay), and a box around a group is a box.
    """

    group_of: bool = True
    depictions: bool = False


@dataclass
class Images:
    """The pictures of a split, and how many boxes of which class each has.

    Attributes:
        counts: by picture, in the file's order: (class, boxes) for each class in it.
    """

    counts: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    # Most pictures have one of few such tuples: 1.7 million pictures fit into 300 MB.
    _known: dict[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]] = field(
        default_factory=dict, repr=False
    )

    def add(self, image: str, name: str) -> None:
        """One box more."""
        counts = dict(self.counts.get(image, ()))
        counts[name] = counts.get(name, 0) + 1
        new = tuple(counts.items())
        self.counts[image] = self._known.setdefault(new, new)

    def only(self, images: Iterable[str]) -> Images:
        """These pictures of it."""
        return Images({image: self.counts[image] for image in images})

    def boxes(self) -> dict[str, int]:
        """Boxes by class, those with most first."""
        total: dict[str, int] = {}
        for counts in self.counts.values():
            for name, count in counts:
                total[name] = total.get(name, 0) + count
        return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))


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
