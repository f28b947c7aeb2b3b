"""Compare runs that differ in what was frozen: table, plots, and a verdict in words.

`python -m tlx.report RUNS...` writes a report of finished runs; see its `--help`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tlx.report.build import make_report, report_on
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


class _Callable(ModuleType):
    """`tlx.report(runs, output)`: the package has the name that the function would have."""

    def __call__(
        self, runs: str | Path | Sequence[str | Path], output: str | Path, **options: Any
    ) -> Path:
        """Compare runs, or folders of runs, in a report; returns its page.

        Args:
            options: of `report_on`, the keys of `python -m tlx.report`.
        """
        return report_on(runs, output, **options)


sys.modules[__name__].__class__ = _Callable
