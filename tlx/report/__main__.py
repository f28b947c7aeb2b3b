"""`python -m tlx.report`: compare finished runs from the console."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from tlx.console import stdout_console
from tlx.errors import TlxError
from tlx.report.build import read_comparison, write_report
from tlx.report.table import console_table
from tlx.report.verdict import verdict

_DESCRIPTION = """\
Compare training runs that differ in what was frozen, and say what the evidence supports.

Runs that differ in nothing but the seed form one arm; an arm's figures are the mean and the range
(smallest to largest) over its seeds. Failed, interrupted and running runs are listed, not counted.
"""
_EPILOG = """\
written to the output folder (an earlier report there is replaced):
  report.md     verdict in words, warnings, table, plots, figures by class, environment
  report.json   the rows of the table, unrounded
  *.png         loss and mAP against time, step time by parts, freeze=4 against freeze=8,
                best against worst arm

examples:
  python -m tlx.report runs/my-sweep
  python -m tlx.report runs/none runs/freeze-8 --output reports/none-or-8
  python -m tlx.report runs/my-sweep --map-level 0.6

exit status: 0 when a report was written, 2 when there was nothing to report or an argument was
wrong.
"""


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m tlx.report`."""
    found = argparse.ArgumentParser(
        prog="python -m tlx.report",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUNS",
        help="run folder (it holds record.json), or a folder with run folders at any depth",
    )
    found.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the report (default: the folder `report` inside the first of RUNS)",
    )
    found.add_argument(
        "--map-level",
        type=float,
        metavar="X",
        help="validation mAP@.5 (0 to 1) that arms are timed to "
        "(default: the lowest of the runs' best, which every run reaches)",
    )
    found.add_argument(
        "--loss-level",
        type=float,
        metavar="X",
        help="training loss, smoothed over an epoch, that arms are timed to "
        "(default: the highest of the runs' last, which every run reaches)",
    )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    given = parser().parse_args(arguments)
    output = given.output or given.runs[0] / "report"
    try:
        comparison = read_comparison(
            given.runs, map_level=given.map_level, loss_level=given.loss_level
        )
        report = write_report(comparison, given.runs, output)
    except TlxError as error:
        print(f"tlx.report: {error}", file=sys.stderr)
        return 2
    console = stdout_console()
    console.print(console_table(comparison))
    for line in verdict(comparison):
        console.print(Text(f"- {line}"))
    for warning in comparison.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    console.print(Text(f"report: {report}"), soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
