"""CSV files of strangers: rows by the names of their columns, and lines that say where."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlx.common.errors import DataError

Row = tuple[str, list[str]]  # file:line, and the cells


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file that are not blank, one at a time; cells are stripped.

    Raises:
        DataError: the file is no UTF-8 text or no CSV, with the line.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield f"{path}:{reader.line_num}", [cell.strip() for cell in row]
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: no CSV: {error}: correct it") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text ({error.reason}): save it as UTF-8") from error


def first_row(content: bytes) -> list[str]:
    """The cells of the first line of a file's beginning, in lower case; [] where it is no CSV."""
    text = content.decode("utf-8-sig", "replace").lstrip("\ufeff\r\n ")
    line = next(iter(text.splitlines()), "")
    try:
        return [cell.strip().lower() for cell in next(csv.reader([line]), [])]
    except csv.Error:
        return []


def places(header: Sequence[str], wanted: Sequence[str], where: str) -> list[int]:
    """Where the `wanted` columns stand.

    Raises:
        DataError: one is missing.
    """
    lower = [cell.lower() for cell in header]
    missing = [name for name in wanted if name.lower() not in lower]
    if missing:
        raise DataError(f"{where}: no column {missing[0]}; it needs {', '.join(wanted)}")
    return [lower.index(name.lower()) for name in wanted]


def cells(row: Row, at: Sequence[int]) -> list[str]:
    """The cells in these places.

    Raises:
        DataError: the row is shorter.
    """
    where, found = row
    if max(at) >= len(found):
        raise DataError(f"{where}: {len(found)} cells, and {max(at) + 1} are needed: correct it")
    return [found[place] for place in at]


def numbers(where: str, words: Sequence[str], names: Sequence[str]) -> list[float]:
    """The cells as numbers.

    Raises:
        DataError: one is none.
    """
    found = []
    for word, name in zip(words, names, strict=True):
        try:
            found.append(float(word))
        except ValueError as error:
            raise DataError(f"{where}: {name} {word[:40]!r} is no number: correct it") from error
    return found
