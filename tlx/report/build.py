"""Make a report folder: read the runs, compare them, write plots, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlx.errors import DataError
from tlx.report.compare import Comparison, compare, describe_unfinished
from tlx.report.levels import Level
from tlx.report.markdown import report_text
from tlx.report.plots import write_plots
from tlx.report.records import load_records
from tlx.report.verdict import verdict

REPORT, FIGURES = "report.md", "report.json"


def make_report(
    run_dirs: Sequence[Path],
    output: Path,
    *,
    map_level: float | None = None,
    loss_level: float | None = None,
) -> Path:
    """Write `report.md`, `report.json` and the plots of the runs into a folder.

    Args:
        run_dirs: Run folders, or folders that contain run folders.
        output: Folder of the report, made if need be; an earlier report in it is replaced.
        map_level: Validation mAP@.5 to time the arms to; by default one that all reach.
        loss_level: Smoothed training loss to time the arms to; by default one that all reach.

    Returns:
        The path of `report.md`.

    Raises:
        ConfigError: a level that cannot be a level.
        DataError: there is no finished run, or the output cannot be written.
    """
    comparison = read_comparison(run_dirs, map_level=map_level, loss_level=loss_level)
    return write_report(comparison, run_dirs, output)


def read_comparison(
    run_dirs: Sequence[Path], *, map_level: float | None = None, loss_level: float | None = None
) -> Comparison:
    """Read and compare the runs; arguments and errors are those of `make_report`."""
    loaded = load_records(run_dirs)
    return compare(
        loaded.records, map_level=map_level, loss_level=loss_level, warnings=loaded.warnings
    )


def write_report(comparison: Comparison, run_dirs: Sequence[Path], output: Path) -> Path:
    """Write a report of a comparison of the runs in these folders.

    Raises:
        DataError: the output cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        plots = write_plots(comparison, output)
        figures = json.dumps(_figures(comparison, plots), indent=2, allow_nan=False)
        (output / FIGURES).write_text(f"{figures}\n", encoding="utf-8")
        text = report_text(comparison, plots, output, _arguments(comparison, run_dirs, output))
        (output / REPORT).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"the report cannot be written to {output}: {error}") from error
    return output / REPORT


def _arguments(comparison: Comparison, run_dirs: Sequence[Path], output: Path) -> list[str]:
    """Arguments of the program that make the same report; default levels are left to it."""
    arguments = [*map(str, run_dirs), "--output", str(output)]
    levels = {"--map-level": comparison.levels.map, "--loss-level": comparison.levels.loss}
    for option, level in levels.items():
        if level is not None and level.given:
            arguments += [option, repr(level.value)]
    return arguments


def _figures(comparison: Comparison, plots: Sequence[str]) -> dict[str, Any]:
    """What `report.json` holds: the rows of the table, unrounded, and what goes with them."""
    levels = comparison.levels
    return {
        "version": 1,
        "verdict": verdict(comparison),
        "warnings": comparison.warnings,
        "levels": {"loss": _level(levels.loss), "map_50": _level(levels.map)},
        "rows": [row.as_dict() for row in comparison.rows],
        "unfinished": [
            {"run": record.name, "status": record.status, "reason": describe_unfinished(record)}
            for record in comparison.unfinished
        ],
        "plots": list(plots),
    }


def _level(level: Level | None) -> dict[str, Any] | None:
    return None if level is None else {"value": level.value, "origin": level.origin}
