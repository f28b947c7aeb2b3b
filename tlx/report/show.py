"""The comparison in the console: the table, what it shows, and which arm to take."""

from __future__ import annotations

from rich.text import Text

from tlx.common.console import stdout_console
from tlx.report.comparison.candidates import NEXT
from tlx.report.comparison.compare import Comparison, describe_unfinished
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.verdict import verdict
from tlx.report.table import console_table


def show(comparison: Comparison, advice: Recommendation) -> None:
    """Print them; the command that settles an open question stands in one line, to be pasted."""
    console = stdout_console()
    console.print(console_table(comparison))
    said = verdict(comparison)
    for line in said:
        console.print(Text(f"- {line}"))
    for line in (words for words in advice.words if words not in said):
        console.print(Text(line, style="bold"))
        if line.startswith(NEXT) and advice.command:
            console.print(Text(advice.command), soft_wrap=True)
    for record in comparison.unfinished:
        console.print(Text(f"not counted: {record.name}: {describe_unfinished(record)}"))
    for warning in comparison.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
