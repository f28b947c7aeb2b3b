"""Every point of every chart follows from the records, and what is drawn is these points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.patches
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

import tests.report.helpers_illustrated as illustrated
import tests.report.helpers_retrace as retrace
from tests.report.helpers_retrace import Arms, Traced, same
from tlx.report.build import read_comparison
from tlx.report.charts import Chart, make_charts
from tlx.report.charts.chart import settings
from tlx.report.charts.classes import DotChart
from tlx.report.charts.costs import BarChart
from tlx.report.charts.courses import LineChart
from tlx.report.charts.fronts import PointChart
from tlx.report.comparison.latency import read_latencies

ALL = {
    "map_vs_time", "pareto_time", "step_time", "loss_vs_time", "loss_vs_step", "4_vs_8",
    "best_vs_worst", "memory", "class_ap", "pareto_latency",
}  # fmt: skip


def check_panel(
    panel: dict[str, Any], names: list[str], arms: Arms, series: Any, *, by_step: bool = False
) -> None:
    assert [line["arm"] for line in panel["lines"]] == names
    for line in panel["lines"]:
        expected = retrace.curve(arms[line["arm"]], series, by_step=by_step)
        for key, values in expected.items():
            assert same(line[key], values), (line["arm"], key)
        assert len(line["x"]) <= retrace.DRAWN


def test_all_charts_are_there(traced: Traced) -> None:
    assert set(traced.data["figures"]) == ALL
    assert set(traced.data["plots"]) == {f"{name}.png" for name in ALL}


def test_courses(traced: Traced) -> None:
    arms, figures = traced.arms, traced.data["figures"]
    names = list(arms)
    (loss,), (by_step,) = figures["loss_vs_time"]["panels"], figures["loss_vs_step"]["panels"]
    check_panel(loss, names, arms, retrace.smoothed)
    check_panel(by_step, names, arms, retrace.smoothed, by_step=True)
    assert same(loss["level"], retrace.loss_level(arms))
    (quality,) = figures["map_vs_time"]["panels"]
    check_panel(quality, names, arms, retrace.validations)
    assert same(quality["level"], retrace.map_level(arms))


def test_pairs(traced: Traced) -> None:
    arms, figures = traced.arms, traced.data["figures"]
    means = {
        name: np.mean([record["test"]["map_50"] for record in records])
        for name, records in arms.items()
    }
    ends = [max(means, key=means.__getitem__), min(means, key=means.__getitem__)]
    for chart, names in (("4_vs_8", ["freeze=4", "freeze=8"]), ("best_vs_worst", ends)):
        loss, quality = figures[chart]["panels"]
        check_panel(loss, names, arms, retrace.smoothed)
        check_panel(quality, names, arms, retrace.validations)


def test_bars(traced: Traced) -> None:
    arms, figures = traced.arms, traced.data["figures"]
    base = retrace.over(arms["freeze=none"], "step_time", "median_s", scale=1000)
    assert base is not None
    steps, memory = (
        figures["step_time"]["bars"],
        figures["memory"]["bars"],
    )
    assert [bar["arm"] for bar in steps] == [bar["arm"] for bar in memory] == list(arms)
    for step, peak in zip(steps, memory, strict=True):
        records = arms[step["arm"]]
        for bar, keys, scale in (
            (step, ("step_time", "median_s"), 1000),
            (peak, ("memory", "peak_rss_bytes"), 1 / 2**20),
        ):
            expected = retrace.over(records, *keys, scale=scale)
            assert expected is not None
            found = {"mean": bar["total"], "min": bar["low"], "max": bar["high"], "n": 3}
            assert same(found, expected)
        for part, found in step["parts"].items():
            expected = retrace.over(records, "step_time", f"{part}_s", scale=1000)
            assert expected is not None
            assert same(found, expected["mean"])
        shares = [1 / record["bound"]["step_share"] for record in records]
        assert same(step["bound"], base["mean"] / np.mean(shares))
        assert (peak["parts"], peak["bound"], peak["note"]) == ({}, None, "RSS")


def test_fronts(traced: Traced) -> None:
    arms, figures = traced.arms, traced.data["figures"]
    quality = {name: retrace.over(records, "test", "map_50") for name, records in arms.items()}
    minutes = {
        name: retrace.over(records, "time", "fit_s", scale=1 / 60) for name, records in arms.items()
    }
    costs: list[dict[str, Any]] = [minutes]
    for device in ("board", "desk"):
        rows = [row for row in illustrated.BENCHMARK if row.get("device") == device]
        costs.append(
            {f"freeze={str(r['policy']).removeprefix('freeze=')}": _latency(r) for r in rows}
        )
    panels = figures["pareto_time"]["panels"] + figures["pareto_latency"]["panels"]
    assert [panel["heading"] for panel in panels] == ["", "board", "desk"]
    for panel, cost in zip(panels, costs, strict=True):
        assert [point["arm"] for point in panel["points"]] == [n for n in arms if n in cost]
        places = {name: (cost[name]["mean"], (quality[name] or {})["mean"]) for name in cost}
        best = retrace.front(places)
        for point in panel["points"]:
            for axis, figure in (("x", cost), ("y", quality)):
                expected = figure[point["arm"]]
                found = [point[axis], point[f"{axis}_low"], point[f"{axis}_high"]]
                assert same(found, [expected[key] for key in ("mean", "min", "max")])
            assert point["front"] == (point["arm"] in best)


def _latency(row: dict[str, Any]) -> dict[str, Any]:
    ms = row["latency_ms"]
    return {"mean": ms, "min": row.get("low_ms", ms), "max": row.get("high_ms", ms)}


def test_classes(traced: Traced) -> None:
    arms, figures = traced.arms, traced.data["figures"]
    chart = figures["class_ap"]
    assert chart["rows"] == ["red", "blue"]
    assert [dots["arm"] for dots in chart["dots"]] == list(arms)
    for dots in chart["dots"]:
        for place, name in enumerate(chart["rows"]):
            expected = retrace.over(arms[dots["arm"]], "test", "per_class", name, "ap_50")
            assert expected is not None
            found = [dots[key][place] for key in ("mean", "low", "high")]
            assert same(found, [expected[key] for key in ("mean", "min", "max")])


@pytest.fixture(scope="module")
def charts(traced: Traced) -> dict[str, Chart]:
    comparison = read_comparison([traced.study])
    known = [row.arm for row in comparison.rows]
    latencies = read_latencies(traced.study.parent / "benchmark.json", known)
    return {chart.name: chart for chart in make_charts(comparison, latencies)}


def panels_of(chart: Chart, *, narrow: bool) -> list[Axes]:
    with settings():
        return list(chart.draw(narrow=narrow).axes)


@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_drawn_is_what_is_written(
    charts: dict[str, Chart],
    traced: Traced,
    narrow: bool,
) -> None:
    checks: dict[type[Chart], Callable[[Axes, dict[str, Any]], None]] = {
        LineChart: drawn_lines, BarChart: drawn_bars, PointChart: drawn_points, DotChart: drawn_dots
    }  # fmt: skip
    assert set(charts) == ALL
    for name, chart in charts.items():
        written = traced.data["figures"][name]
        axes = panels_of(chart, narrow=narrow)
        for place, panel in zip(axes, written.get("panels", [written]), strict=True):
            checks[type(chart)](place, panel)


def drawn_lines(axes: Axes, panel: dict[str, Any]) -> None:
    curves = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    for curve, line in zip(curves, panel["lines"], strict=True):
        assert (
            np.asarray(curve.get_xydata()).tolist() == np.stack([line["x"], line["y"]], 1).tolist()
        )
        assert curve.get_label() == f"{line['arm']} (n={line['seeds']})"
    for band, line in zip(axes.collections, panel["lines"], strict=True):
        (path,) = band.get_paths()
        corners = {tuple(corner) for corner in np.asarray(path.vertices).tolist()}
        for edge in ("low", "high"):
            assert set(zip(line["x"], line[edge], strict=True)) <= corners
    levels = [line for line in axes.lines if str(line.get_label()).startswith("_")]
    assert [line.get_ydata()[0] for line in levels] == [panel["level"]] * (
        panel["level"] is not None
    )


def drawn_bars(axes: Axes, chart: dict[str, Any]) -> None:
    bars, count = chart["bars"], len(chart["bars"])
    patches = [p for p in axes.patches if isinstance(p, matplotlib.patches.Rectangle)]
    wholes, parts = patches[:count], patches[count:]
    assert [patch.get_width() for patch in wholes] == [bar["total"] for bar in bars]
    names = list(bars[0]["parts"])
    for number, part in enumerate(parts):
        bar, name = bars[number % count], names[number // count]
        assert part.get_width() == pytest.approx(bar["parts"][name])
        before = sum(bar["parts"][other] for other in names[: number // count])
        assert part.get_x() == pytest.approx(before)
    assert len(parts) == len(names) * count
    (ranges,) = (c for c in axes.containers if isinstance(c, ErrorbarContainer))
    for segment, bar in zip(ranges[2][0].get_segments(), bars, strict=True):
        assert segment[:, 0].tolist() == pytest.approx([bar["low"], bar["high"]])
    bounds = [line for line in axes.lines if line.get_label() == "arithmetic bound"]
    drawn = [np.asarray(line.get_xdata()).tolist() for line in bounds]
    expected = [bar["bound"] for bar in bars if bar["bound"] is not None]
    assert drawn == ([expected] if expected else [])


def drawn_points(axes: Axes, panel: dict[str, Any]) -> None:
    marks = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    for mark, point in zip(marks, panel["points"], strict=True):
        line, _, ranges = mark
        assert (line.get_xdata()[0], line.get_ydata()[0]) == (point["x"], point["y"])
        assert mark.get_label() == point["arm"]
        for axis, part in zip("xy", ranges, strict=True):
            (segment,) = part.get_segments()
            ends = segment[:, "xy".index(axis)].tolist()
            assert ends == pytest.approx([point[f"{axis}_low"], point[f"{axis}_high"]])
        assert (line.get_markerfacecolor() != "white") == point["front"]


def drawn_dots(axes: Axes, chart: dict[str, Any]) -> None:
    marks = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    for mark, dots in zip(marks, chart["dots"], strict=True):
        line, _, (ranges,) = mark
        assert np.asarray(line.get_xdata()).tolist() == dots["mean"]
        rows = np.round(np.asarray(line.get_ydata(), float)).tolist()
        assert rows == list(range(len(chart["rows"])))
        for segment, low, high in zip(
            ranges.get_segments(), dots["low"], dots["high"], strict=True
        ):
            assert segment[:, 0].tolist() == pytest.approx([low, high])
