"""Tables of the page as plain cells, so that the template has nothing to work out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tlx.report.comparison.figures import ABSENT


class Interval(Protocol):
    """A mean over `n` runs with the ends of an interval, which may be unknown."""

    @property
    def mean(self) -> float:
        """The figure."""

    @property
    def low(self) -> float | None:
        """The lower end."""

    @property
    def high(self) -> float | None:
        """The upper end."""

    @property
    def n(self) -> int:
        """The number of runs."""


@dataclass(frozen=True)
class Cell:
    """Text, a smaller second line, a style class (`words`, `alarm`) and a swatch of colour."""

    text: str
    note: str = ""
    mark: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Table:
    """A table with an id of the page, a caption, headings, and rows of cells."""

    id: str
    caption: str
    heads: list[Cell]
    rows: list[list[Cell]]


def plain_table(
    id: str, caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]
) -> Table | None:
    """A table of bare values; columns of words are those that hold text. None without rows."""
    cells = [[_plain(value) for value in row] for row in rows]
    if not cells:
        return None
    words = [any(cell.mark == "words" for cell in column) for column in zip(*cells, strict=True)]
    marked = [Cell(head, mark="words" * left) for head, left in zip(heads, words, strict=True)]
    return Table(id, caption, marked, cells)


def _plain(value: object) -> Cell:
    if isinstance(value, Cell):
        return value
    words = isinstance(value, str) and not value.replace(".", "").isdecimal() and value != ABSENT
    return Cell(ABSENT if value in (None, "") else str(value), mark="words" if words else "")


def interval(value: Interval | None, show: Callable[[float], str], unit: str = "") -> Cell:
    """The mean with its interval below where it has one and it can be told from the mean."""
    if value is None:
        return Cell(ABSENT)
    text = f"{show(value.mean)} {unit}".strip()
    if value.low is None or value.high is None or value.n < 2:
        return Cell(text)
    low, high = show(value.low), show(value.high)
    return Cell(text) if low == high == show(value.mean) else Cell(text, f"{low}–{high}")
