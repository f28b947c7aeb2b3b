"""Pages of HTML that need nothing but themselves: their templates, and tables as plain cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

ABSENT = "–"
SHARED = "report/templates"  # the style, and the macros of tables and pictures


def templates(folder: str = SHARED) -> Environment:
    """The templates of a folder of the package, and those that all pages share.

    Names of classes, files and errors come from strangers: everything is escaped.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader("tlx", place) for place in (folder, SHARED)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass(frozen=True)
class Cell:
    """Text, a smaller second line, a style class (`words`, `alarm`, `long`: its note
    may break) and a swatch of colour.

    A `badge` in the first cell of a row marks the whole row, in words.
    """

    text: str
    note: str = ""
    mark: str = ""
    colour: str = ""
    badge: str = ""


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
