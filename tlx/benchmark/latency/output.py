"""The benchmark as tables: on the console and in Markdown, from the very values of the JSON."""

from __future__ import annotations

from functools import partial
from typing import Any

from rich.table import Table

from tlx.benchmark.latency.pipeline import STAGES
from tlx.common.tables import console_table, markdown_table
from tlx.report.comparison.figures import ABSENT, significant

HEADS = ("model", "backend", "weights", "p50 ms", "p90", "p99", "from pixels", "x eager", "x peer",
         "mAP@.5", "change")  # fmt: skip
STAGE_HEADS = ("model", "backend", *STAGES)
_WORDS = {"model", "backend", "weights", "reason"}
_console = partial(console_table, words=_WORDS, grouped=False)
_table = partial(markdown_table, words=_WORDS)


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the first table; times in ms, ratios in multiples of a baseline's speed."""
    times = (row[key] for key in ("p50_ms", "p90_ms", "p99_ms", "from_pixels_ms"))
    ratios = (row[key] for key in ("times_eager", "times_peer"))
    change = row["map_50_change"]
    return [
        row["model"],
        row["backend"],
        row["precision"],
        *map(significant, times),
        *(ABSENT if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        ABSENT if row["map_50"] is None else f"{row['map_50']:.4f}",
        ABSENT if change is None else f"{change:+.4f}",
    ]


def stage_cells(row: dict[str, Any]) -> list[str]:
    """A row of the second table: median ms of each stage and its share of the whole."""
    pairs = ((row["stages_ms"][stage], row["shares"][stage]) for stage in STAGES)
    return [
        row["model"],
        row["backend"],
        *(ABSENT if ms is None else f"{significant(ms)} ({share:.0%})" for ms, share in pairs),
    ]


def console_tables(result: dict[str, Any]) -> list[Table]:
    """Both tables."""
    stages = "median ms of each stage (share of the whole)"
    return [
        _console(summary(result), HEADS, map(cells, result["rows"])),
        _console(stages, STAGE_HEADS, map(stage_cells, result["rows"])),
    ]


def summary(result: dict[str, Any]) -> str:
    """One line: what was measured, on what."""
    conditions = result["conditions"]
    load = conditions["load"]
    return (
        f"one picture from file to detections, {conditions['environment']['cpu']}, "
        f"{conditions['threads']} threads, {result['rows'][0]['pictures']} pictures an arm, "
        f"other programs took {load['others']:.0%} of the cores"
    )


def markdown(result: dict[str, Any]) -> str:
    """The whole of `latency.md`."""
    conditions = result["conditions"]
    sections = [
        f"# Latency\n\n{summary(result)}.",
        "`eager` is the plain network in PyTorch with torchvision's NMS, `peer` the same network "
        "with the NMS loop of pytorch-ssd's predictor; both on the weights of the first model. "
        "Arms take turns; a turn's first picture is not timed. mAP is that of the timed pipeline.",
        _table(HEADS, map(cells, result["rows"])),
        "## Stages\n\nMedian ms, in brackets the share of the whole; – is done inside of another "
        "stage.",
        _table(STAGE_HEADS, map(stage_cells, result["rows"])),
    ]
    if result["left_out"]:
        lines = [[cell["model"], cell["backend"], cell["reason"]] for cell in result["left_out"]]
        sections += ["## Left out", _table(("model", "backend", "reason"), lines)]
    sections.append("## Conditions")
    for key, value in conditions.items():
        if isinstance(value, dict):
            bullets = [f"- **{k}**: {ABSENT if v is None else v}" for k, v in value.items()]
            sections.append(f"### {key.capitalize()}\n\n" + "\n".join(bullets))
    return "\n\n".join(sections) + "\n"
