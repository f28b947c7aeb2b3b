"""Figures of an evaluation as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from tlx.evaluation.evaluator import Figures

_STEPS = {
    "tlx": "tlx's input and NMS",
    "detectnet_input": "detectnet's input, tlx's NMS",
    "detectnet": "detectnet's input, threshold and clustering",
}


def figures_table(figures: Figures, title: str) -> Table:
    """The figures in all and per class; what cannot be measured says why."""
    table = Table(title=title, title_justify="left")
    for column in ("class", "boxes", "mAP@[.5:.95]", "mAP@.5", "mAP@.75", "VOC07 AP@.5", ""):
        table.add_column(column, justify="left" if column in ("class", "") else "right")
    for name, row in figures["per_class"].items():
        cells = [_text(row["ap"]), _text(row["ap_50"]), "", _text(row["voc07_ap50"])]
        table.add_row(name, str(row["boxes"]), *cells, row["reason"] or "")
    table.add_section()
    names = ("map", "map_50", "map_75", "voc07_ap50")
    table.add_row("all", str(figures["boxes"]), *(_text(figures[n]) for n in names), "")
    return table


def steps_table(steps: Mapping[str, Mapping[str, Any]], clustering: str) -> Table:
    """What each part of a deployment costs, against tlx's own figure."""
    table = Table(title=f"from tlx to detectnet, {clustering} clustering", title_justify="left")
    for column in ("", "mAP@[.5:.95]", "mAP@.5", "change of mAP@.5"):
        table.add_column(column, justify="right" if column else "left")
    first = steps["tlx"]["map_50"]
    for name, row in steps.items():
        change = None if first is None or row["map_50"] is None else row["map_50"] - first
        cell = "" if name == "tlx" else "–" if change is None else f"{change:+.4f}"
        table.add_row(_STEPS[name], _text(row["map"]), _text(row["map_50"]), cell)
    return table


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
