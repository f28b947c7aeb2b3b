"""Rows of text as tables, on the console and in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rich.table import Table

Heads = Sequence[str]


def console_table(
    title: str, heads: Heads, lines: Iterable[list[str]], words: Collection[str], *, grouped: bool
) -> Table:
    """A table for the console.

    Args:
        words: columns that hold words, aligned to the left.
        grouped: whether lines of one first cell stand together under a rule, and name it once.
    """
    table = Table(title=title, title_justify="left", padding=(0, 0))
    for head in heads:
        table.add_column(head, justify="left" if head in words else "right")
    group = None
    for line in lines:
        if grouped and group not in (None, line[0]):
            table.add_section()
        table.add_row("" if grouped and line[0] == group else line[0], *line[1:])
        group = line[0]
    return table


def markdown_table(heads: Heads, lines: Iterable[Sequence[str]], words: Collection[str]) -> str:
    """The same in Markdown, every line whole."""
    rules = ["---" if head in words else "---:" for head in heads]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, rules, *lines])
