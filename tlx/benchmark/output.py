"""The benchmark as tables: on the console and in Markdown, from the very values of the JSON."""

from __future__ import annotations

from functools import partial
from typing import Any

from rich.table import Table

from tlx.common.tables import console_table, markdown_table
from tlx.report.comparison.figures import ABSENT, significant
from tlx.training.step_timer import PARTS

STEP_HEADS = ("freeze", "arm", "ms/step", "p10–p90", *PARTS, "images/s", "speed-up", "bound",
              "of bound", "peak MB")  # fmt: skip
RUN_HEADS = ("freeze", "arm", "ms/step", "p10–p90", "bare ms/step", "loop adds", "speed-up",
             "same loader")  # fmt: skip
LOADER_HEADS = ("source", "loader", "images/s", "p10–p90")
_WORDS = {"freeze", "arm", "source", "loader", "reason"}  # columns of words, aligned to the left
_console = partial(console_table, words=_WORDS, grouped=True)
_table = partial(markdown_table, words=_WORDS)


def step_cells(row: dict[str, Any]) -> list[str]:
    """A row of the first table, times in ms, ratios as speed-ups."""
    low, high = (significant(1000 * s) for s in row["step_s_interval"])
    share, peak = row["bound_step_share"], row["peak_rss_bytes"]
    return [
        row["policy"],
        row["arm"],
        significant(1000 * row["step_s_median"]),
        f"{low}–{high}",
        *(significant(1000 * row["parts"][f"{part}_s"]) for part in PARTS),
        significant(row["images_per_s"]),
        f"{1 / row['ratio_to_plain_none']:.2f}",
        ABSENT if share is None else f"{1 / share:.2f}",
        ABSENT if share is None else f"{row['ratio_to_bound']:.2f}",
        ABSENT if peak is None else f"{peak / 1e6:.0f}",
    ]


def run_cells(row: dict[str, Any]) -> list[str]:
    """A row of the table of real runs."""
    low, high = (significant(1000 * s) for s in row["step_s_interval"])
    return [
        row["policy"],
        row["arm"],
        significant(1000 * row["step_s_median"]),
        f"{low}–{high}",
        significant(1000 * row["bare_step_s_median"]),
        f"{row['loop_share']:+.1%}",
        f"{1 / row['ratio_to_plain_none']:.2f}",
        f"{1 / row['ratio_same_loader']:.2f}",
    ]


def loader_cells(row: dict[str, Any]) -> list[str]:
    """A row of the loader's table."""
    low, high = (significant(rate) for rate in row["images_per_s_interval"])
    return [row["source"], row["loader"], significant(row["images_per_s"]), f"{low}–{high}"]


def console_tables(result: dict[str, Any]) -> list[Table]:
    """The tables; a rule stands between policies, and between sizes of pictures."""
    tables = [_console(summary(result), STEP_HEADS, map(step_cells, result["rows"]))]
    if result["runs"]:
        tables.append(_console("inside real runs", RUN_HEADS, map(run_cells, result["runs"])))
    if result["loader"]:
        title = "training loader, images per CPU second on one thread"
        tables.append(_console(title, LOADER_HEADS, map(loader_cells, result["loader"])))
    return tables


def summary(result: dict[str, Any]) -> str:
    """One line: what was measured, on what, and how much it wavered."""
    conditions = result["conditions"]
    config, where = conditions["config"], conditions["environment"]
    processor = where["gpu"] if conditions["device"] == "cuda" else where["cpu"]
    return (
        f"{config['detector'].upper()} {config['backbone']}, {config['input_size']} px, "
        f"batch {config['batch_size']}, "
        f"{config['rounds']} rounds, {processor}, {conditions['host']['threads']} threads; "
        f"noise {conditions['noise']:.0%}"
    )


def markdown(result: dict[str, Any]) -> str:
    """The whole of `benchmark.md`."""
    conditions = result["conditions"]
    sections = [
        f"# Training step by freeze policy\n\n{summary(result)}.",
        "Noise is the 10th to 90th percentile of plain none relative to its median: differences "
        "below it mean nothing. The torchvision arm is another, lighter network, and the depth of "
        "its freeze matches the policy's only approximately. Times in ms; speed-up and bound are "
        "multiples of plain none's step rate.",
        _table(STEP_HEADS, map(step_cells, result["rows"])),
        "![Parts of a training step by policy and arm](step_time.png)",
    ]
    if result["runs"]:
        sections += ["## Inside real runs", _table(RUN_HEADS, map(run_cells, result["runs"]))]
    if result["left_out"]:
        lines = [[cell["policy"], cell["arm"], cell["reason"]] for cell in result["left_out"]]
        sections += ["## Left out", _table(("freeze", "arm", "reason"), lines)]
    if result["loader"]:
        sections += [
            "## Training loader",
            _table(LOADER_HEADS, map(loader_cells, result["loader"])),
        ]
    sections += ["## Conditions"] + [
        f"### {key.capitalize()}\n\n{_bullets(value)}"
        for key, value in conditions.items()
        if isinstance(value, dict)
    ]
    return "\n\n".join(sections) + "\n"


def _bullets(values: dict[str, Any]) -> str:
    return "\n".join(
        f"- **{key}**: {ABSENT if value is None else value}" for key, value in values.items()
    )
