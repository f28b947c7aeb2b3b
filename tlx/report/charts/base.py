"""A chart: the numbers that are drawn, how they are drawn, and words for who cannot see it.

A chart is built from a comparison once. It draws from its own fields and nothing else, and
`report.json` holds the same fields: what is drawn can be checked against the records.
"""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

from matplotlib.figure import Figure

_LABEL, _NARROW_LABEL = 30, 15  # characters of an arm's name on one line beside its bar


@dataclass(frozen=True)
class Chart(ABC):
    """Attributes: `name` is that of its files and its key in `report.json`; `title` is a line."""

    name: str
    title: str

    @abstractmethod
    def draw(self, *, narrow: bool = False) -> Figure:
        """The figure; `narrow` is the layout for a phone, at the same size of type."""

    @property
    @abstractmethod
    def alt(self) -> str:
        """What the figure shows, in words and numbers."""

    def as_dict(self) -> dict[str, Any]:
        """The numbers that are drawn, unrounded, for `report.json`."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


def wrapped(label: str, *, narrow: bool) -> str:
    """An arm's name on as many lines as it needs beside a bar."""
    width = _NARROW_LABEL if narrow else _LABEL
    return "\n".join(textwrap.wrap(label, width, break_on_hyphens=False)) or label
