"""Make a report folder: read the runs, compare them, write the page, its parts and the numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlx.common.errors import DataError, first_line, remedy
from tlx.common.files import write_text
from tlx.report.charts import Plot, make_charts, write_plots
from tlx.report.comparison.candidates import Limits
from tlx.report.comparison.cautions import cautions
from tlx.report.comparison.compare import Comparison, compare, describe_unfinished
from tlx.report.comparison.latency import (
    Latency,
    read_latencies,
    slowest,
    throttle_warnings,
    unjoined,
)
from tlx.report.comparison.levels import Level
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.records import load_records
from tlx.report.comparison.verdict import verdict
from tlx.report.csv_table import csv_text
from tlx.report.factors import analyse
from tlx.report.gallery import Gallery, Mistakes, make_gallery
from tlx.report.markdown import report_text
from tlx.report.page import page_text

PAGE, REPORT, FIGURES, TABLE = "index.html", "report.md", "report.json", "report.csv"
# A line break inside a string is escaped, so that this finds lists only.
_NUMBERS = re.compile(r"\[\n[\s\d.eE+,\-nul]*\]")


def make_report(
    run_dirs: Sequence[Path],
    output: Path,
    *,
    main_level: float | None = None,
    loss_level: float | None = None,
    limits: Limits | None = None,
    benchmark: Path | None = None,
) -> Path:
    """Write the page, `report.md`, `report.json`, `report.csv` and the plots into a folder.

    Args:
        run_dirs: Run folders, or folders that contain run folders.
        output: Folder of the report, made if need be; an earlier report in it is replaced.
        main_level: The main figure on val (mAP@.5, accuracy) to time the arms to; by default one
            that all reach.
        loss_level: Smoothed training loss to time the arms to; by default one that all reach.
        benchmark: Latencies on a device, a file as `tlx.report.comparison.latency` describes it.
        limits: What can be afforded, for the recommendation.

    Returns:
        The path of `report.md`.

    Raises:
        ConfigError: a level that cannot be a level.
        DataError: there is no finished run, the benchmark cannot be used, or the output cannot be
            written.
    """
    comparison = read_comparison(
        run_dirs, main_level=main_level, loss_level=loss_level, benchmark=benchmark
    )
    return write_report(comparison, run_dirs, output, benchmark=benchmark, limits=limits)


def report_on(
    runs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    level: float | None = None,
    loss_level: float | None = None,
    benchmark: str | Path | None = None,
    train_minutes: float | None = None,
    memory_gb: float | None = None,
    latency_ms: float | None = None,
    accept_loss: float = Limits.accepted_loss,
) -> Path:
    """`make_report` under the keys of `python -m tlx.report`; returns the page.

    Args:
        runs: one folder of runs, or several. level, loss_level, benchmark: see `make_report`.
        train_minutes, memory_gb, latency_ms, accept_loss: see `Limits`.
    """
    given = [runs] if isinstance(runs, str | Path) else list(runs)
    written = make_report(
        [Path(run) for run in given], Path(output), main_level=level, loss_level=loss_level,
        limits=Limits(train_minutes, memory_gb, latency_ms, accept_loss),
        benchmark=None if benchmark is None else Path(benchmark),
    )  # fmt: skip
    return written.with_name(PAGE)


def read_comparison(
    run_dirs: Sequence[Path],
    *,
    main_level: float | None = None,
    loss_level: float | None = None,
    benchmark: Path | None = None,
) -> Comparison:
    """Read and compare the runs; arguments and errors are those of `make_report`."""
    loaded = load_records(run_dirs)
    found = compare(
        loaded.records, main_level=main_level, loss_level=loss_level, warnings=loaded.warnings
    )
    arms = [row.arm for row in found.rows]
    told = []
    if benchmark:
        told = unjoined(benchmark, arms) + throttle_warnings(read_latencies(benchmark, arms))
    return replace(found, warnings=[*found.warnings, *cautions(arms), *told])


def advise(comparison: Comparison, benchmark: Path | None, limits: Limits | None) -> Recommendation:
    """Which arm to take, given the latencies of a benchmark and what can be afforded."""
    arms = [row.arm for row in comparison.rows]
    latencies = read_latencies(benchmark, arms) if benchmark else []
    return recommend(comparison, limits, slowest(latencies))


def write_report(
    comparison: Comparison,
    run_dirs: Sequence[Path],
    output: Path,
    *,
    limits: Limits | None = None,
    benchmark: Path | None = None,
) -> Path:
    """Write a report of a comparison of the runs in these folders.

    Raises:
        DataError: the benchmark cannot be used, or the output cannot be written.
    """
    arms = [row.arm for row in comparison.rows]
    latencies = read_latencies(benchmark, arms) if benchmark else []
    advice = advise(comparison, benchmark, limits)
    analysis = analyse(comparison)
    charts = make_charts(comparison, latencies, analysis)
    gallery = make_gallery(comparison)
    arguments = _arguments(comparison, run_dirs, output, benchmark)
    arguments += limits.as_arguments(comparison.quality) if limits else []
    try:
        output.mkdir(parents=True, exist_ok=True)
        plots = write_plots(charts, output)
        figures = _figures(comparison, advice, plots, gallery, latencies) | analysis.as_dict()
        write_text(output / FIGURES, _json(figures))
        write_text(output / TABLE, csv_text(comparison, output))
        titles = {plot.file: plot.chart.title for plot in plots}
        write_text(
            output / REPORT, report_text(comparison, advice, titles, output, arguments, analysis)
        )
        write_text(
            output / PAGE,
            page_text(comparison, advice, plots, gallery, output, arguments, analysis),
        )
    except OSError as error:
        raise DataError(
            f"the report cannot be written to {output}: {first_line(error)}: {remedy(error)}"
        ) from error
    return output / REPORT


def _json(value: dict[str, Any]) -> str:
    """Indented JSON with lists of numbers on one line each."""
    text = json.dumps(value, indent=1, allow_nan=False)
    return _NUMBERS.sub(lambda found: " ".join(found[0].split()), text) + "\n"


def _arguments(
    comparison: Comparison, run_dirs: Sequence[Path], output: Path, benchmark: Path | None
) -> list[str]:
    """Arguments of the program that make the same report; default levels are left to it."""
    arguments = [*map(str, run_dirs), f"output={output}"]
    levels = {
        comparison.quality.level: comparison.levels.main, "loss_level": comparison.levels.loss
    }  # fmt: skip
    for key, level in levels.items():
        if level is not None and level.given:
            arguments += [f"{key}={level.value!r}"]
    if benchmark is not None:
        arguments += [f"benchmark={benchmark}"]
    return arguments


def _figures(
    comparison: Comparison,
    advice: Recommendation,
    plots: Sequence[Plot],
    gallery: Gallery | Mistakes,
    latencies: Sequence[Latency],
) -> dict[str, Any]:
    """What `report.json` holds: the rows of the table, unrounded, and what goes with them."""
    levels = comparison.levels
    return {
        "version": 1,
        "verdict": verdict(comparison),
        "warnings": comparison.warnings,
        "levels": {"loss": _level(levels.loss), levels.quality.main.key: _level(levels.main)},
        "rows": [row.as_dict() for row in comparison.rows],
        "estimates": {
            arm: {figure: found.as_dict() for figure, found in figures.items()}
            for arm, figures in comparison.estimates.items()
        },
        "differences": [found.as_dict() for found in comparison.differences],
        "against_scratch": [found.as_dict() for found in comparison.against_scratch],
        "recommendation": advice.as_dict(),
        "design": comparison.design,
        "unfinished": [
            {"run": record.name, "status": record.status, "reason": describe_unfinished(record)}
            for record in comparison.unfinished
        ],
        "plots": [plot.file for plot in plots],
        "figures": {plot.chart.name: plot.chart.as_dict() for plot in plots},
        "failures": gallery.as_dict(),
        "latencies": [vars(latency) for latency in latencies],
    }


def _level(level: Level | None) -> dict[str, Any] | None:
    return None if level is None else {"value": level.value, "origin": level.origin}
