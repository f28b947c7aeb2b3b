"""Write the charts of a report as files, and keep their SVG for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlx.common.files import write_text
from tlx.report.charts import NAMES, Chart
from tlx.report.charts.style import save, settings, svg_text


@dataclass(frozen=True)
class Plot:
    """A chart that was drawn: `wide` is the SVG of its files, `narrow` that for a phone."""

    chart: Chart
    wide: str
    narrow: str

    @property
    def file(self) -> str:
        """The name of its PNG, which lies beside the report."""
        return f"{self.chart.name}.png"


def write_plots(charts: Sequence[Chart], output: Path) -> list[Plot]:
    """Write each chart as PNG and SVG.

    A file of an earlier report that this one has no data for is removed: it would be taken for a
    plot of these runs.
    """
    for name in NAMES:
        for ending in ("png", "svg"):
            for old in output.glob(f"{name}.{ending}"):
                old.unlink()
    return [_write(chart, output) for chart in charts]


def _write(chart: Chart, output: Path) -> Plot:
    with settings():
        figure = chart.draw()
        save(figure, output / f"{chart.name}.png")
        figure.set_layout_engine("none")  # the layout is found and takes as long as the drawing
        wide = svg_text(figure)
        narrow = svg_text(chart.draw(narrow=True))
    write_text(output / f"{chart.name}.svg", wide)
    return Plot(chart, wide, narrow)
