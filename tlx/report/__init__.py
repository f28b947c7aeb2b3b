"""Compare runs that differ in what was frozen: table, plots, and a verdict in words.

`python -m tlx.report RUNS...` writes a report of finished runs; see its `--help`.
"""

from __future__ import annotations

from tlx.report.build import make_report
from tlx.report.comparison.compare import Comparison, compare
from tlx.report.comparison.records import LoadedRuns, Record, load_records
from tlx.report.table import comparison_table

__all__ = [
    "Comparison",
    "LoadedRuns",
    "Record",
    "compare",
    "comparison_table",
    "load_records",
    "make_report",
]
