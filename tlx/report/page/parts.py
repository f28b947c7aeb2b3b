"""The first screen as plain parts, so that the template has nothing to work out."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlx.common.pages import Table


@dataclass(frozen=True)
class Part:
    """A heading, sentences, and a line to paste below them."""

    title: str
    lines: list[str]
    command: str | None = None


@dataclass(frozen=True)
class Answer:
    """One sentence or two that answer, and below them: what to do, how sure, the cost, what next.

    `sets` has, of a study of several data sets, the answer of each.
    """

    headline: str
    parts: list[Part] = field(default_factory=list)
    sets: Table | None = None
