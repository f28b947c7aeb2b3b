"""Tables of the page as plain cells, so that the template has nothing to work out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tlx.common.pages import ABSENT, Cell, Table, plain_table

__all__ = ["ABSENT", "Cell", "Interval", "Table", "interval", "plain_table"]


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


def interval(value: Interval | None, show: Callable[[float], str], unit: str = "") -> Cell:
    """The mean with its interval below where it has one and it can be told from the mean."""
    if value is None:
        return Cell(ABSENT)
    text = f"{show(value.mean)} {unit}".strip()
    if value.low is None or value.high is None or value.n < 2:
        return Cell(text)
    low, high = show(value.low), show(value.high)
    return Cell(text) if low == high == show(value.mean) else Cell(text, f"{low}–{high}")
