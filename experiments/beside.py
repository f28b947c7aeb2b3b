"""The four published figures of the Guns set with ours beside them, and the table of the README.

    python experiments/beside.py

Theirs are the numbers that were published (`published.json`), ours the report's and, for the time
of a step, those of a benchmark in which every policy takes turns (`step_time/benchmark.json`): the
runs were made two at a time, so that their own times compare nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from answer import figure, frozen, interval
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlx.report.charts.chart import looks_by_place, save, settings

FOLDER = Path(__file__).parent / "published_guns"
POLICIES = ["none", "4", "8", "all", "scratch"]
MEASURED = "tlx_fp32"  # the runs' arm of the benchmark
TITLES = [
    ("seconds a step", "", ""),
    ("loss against time", "", ""),
    ("4 against 8 blocks", " (8: no loss was given)", ""),
    ("best against worst", ", by loss at step 1000", ", by test mAP@.5"),
]
LOOKS = looks_by_place(range(len(POLICIES)))
_TABLE = re.compile(r"(<!-- beside -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def published() -> list[dict[str, Any]]:
    """Freeze, seconds of a step and loss by step of each published run."""
    runs: list[dict[str, Any]] = json.loads((FOLDER / "published.json").read_text())["runs"]
    return runs


def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "report.json").read_text())
    return found


def measured() -> dict[str, dict[str, Any]]:
    """The benchmark's line of each policy. From scratch a step is that of `none`."""
    rows = json.loads((FOLDER / "step_time" / "benchmark.json").read_text())["rows"]
    found = {row["policy"]: row for row in rows if row["arm"] == MEASURED}
    return {**found, "scratch": found["none"]}


def filled(readme: Path) -> str:
    """The text of the README with the table as the records have it."""
    return _TABLE.sub(lambda match: f"{match[1]}{table()}{match[3]}", readme.read_text())


def table() -> str:
    """One line for each published run, and one for scratch."""
    theirs, ours = published(), measured()
    rows = {frozen(row): row for row in report()["rows"]}
    differences = {d["arm"]: d for d in report()["differences"] if d["figure"] == "test_map_50"}
    losses = {line["arm"]: line for line in _lines("loss_vs_step")}
    lines = [
        "| frozen | s a step, published | ours | least by arithmetic "
        "| loss at step 1000, 4000, published | ours at step 100, 200 "
        "| our test mAP@.5 (min to max) | against none (95 %) |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    base = theirs[0]["step_s"], ours["none"]["step_s_median"]
    for policy in POLICIES:
        row = rows[policy]
        mine, loss = ours[policy], losses[row["arm"]]
        steps = "; ".join(_ratio(r["step_s"], base[0]) for r in theirs if r["freeze"] == policy)
        said = "; ".join(_published_loss(r) for r in theirs if r["freeze"] == policy)
        lines.append(
            f"| {policy} | {steps or '–'} | {_ratio(mine['step_s_median'], base[1])} "
            f"| {mine['bound_step_share']:.2f} | {said or '–'} "
            f"| {_at(loss, 100):.2f}, {_at(loss, 200):.2f} | {_spread(row['test_map_50'])} "
            f"| {_against(differences.get(row['arm']))} |"
        )
    return "\n".join(lines) + "\n"


def draw() -> Figure:
    """Theirs left, ours right: step time, loss against time, 4 against 8, best against worst."""
    theirs, ours = published(), measured()
    arms = {frozen(row): row for row in report()["rows"]}
    whole = Figure(figsize=(10, 15), layout="constrained")
    axes = whole.subplots(4, 2)

    _bars(axes[0][0], [_name(run, theirs) for run in theirs], [run["step_s"] for run in theirs])
    _bars(axes[0][1], POLICIES, [ours[policy]["step_s_median"] for policy in POLICIES])
    by_loss = sorted(
        (run for run in theirs if "1000" in run["loss"]), key=lambda run: run["loss"]["1000"]
    )
    by_map = sorted(arms, key=lambda policy: -arms[policy]["test_map_50"]["mean"])
    pairs = [
        (theirs, POLICIES),
        ([run for run in theirs if run["freeze"] in ("4", "8")], ["4", "8"]),
        ([by_loss[0], by_loss[-1]], [by_map[0], by_map[-1]]),
    ]
    for (left, right), (runs, policies) in zip(axes[1:], pairs, strict=True):
        for run in runs:
            _points(left, run, _name(run, theirs))
        for policy in policies:
            _course(right, arms[policy], ours[policy]["step_s_median"])
    for (left, right), (title, of_theirs, of_ours) in zip(axes, TITLES, strict=True):
        left.set_title(f"published: {title}{of_theirs}", fontsize=10, loc="left")
        right.set_title(f"ours: {title}{of_ours}", fontsize=10, loc="left")
    return whole


def _name(run: dict[str, Any], runs: list[dict[str, Any]]) -> str:
    """The freeze, with a number where several runs have it."""
    alike = [other for other in runs if other["freeze"] == run["freeze"]]
    return f"{run['freeze']} ({alike.index(run) + 1})" if len(alike) > 1 else str(run["freeze"])


def _bars(axes: Axes, names: list[str], seconds: list[float]) -> None:
    bars = axes.barh(names, seconds, color="0.75", edgecolor="0.4")
    axes.bar_label(bars, [f"{s:.3f}" for s in seconds], padding=3)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("s")


def _points(axes: Axes, run: dict[str, Any], name: str) -> None:
    if not run["loss"]:
        return
    look = LOOKS[POLICIES.index(run["freeze"])]
    seconds = [int(step) * run["step_s"] for step in run["loss"]]
    axes.plot(
        seconds, list(run["loss"].values()), color=look.colour, linestyle=":", marker=look.marker,
        label=name,
    )  # fmt: skip
    axes.set_xlabel("s (steps × published seconds a step)")
    axes.set_ylabel("training loss")
    axes.legend(fontsize=8)


def _course(axes: Axes, row: dict[str, Any], step_s: float) -> None:
    (line,) = [line for line in _lines("loss_vs_step") if line["arm"] == row["arm"]]
    look = LOOKS[POLICIES.index(frozen(row))]
    seconds = [step * step_s for step in line["x"]]
    axes.plot(
        seconds, line["y"], color=look.colour, linestyle=look.pattern,
        label=f"{frozen(row)} (n={row['n']}, test mAP@.5 {figure(row['test_map_50']['mean'])})",
    )  # fmt: skip
    axes.fill_between(seconds, line["low"], line["high"], color=look.colour, alpha=0.15, lw=0)
    axes.set_xlabel("s (steps × seconds a step, measured alone)")
    axes.set_ylabel("training loss (mean over an epoch)")
    axes.legend(fontsize=8)


def _lines(name: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = report()["figures"][name]["panels"][0]["lines"]
    return lines


def _at(line: dict[str, Any], step: int) -> float:
    """Of a thinned curve, at the point next to the step."""
    place = min(range(len(line["x"])), key=lambda n: abs(line["x"][n] - step))
    return float(line["y"][place])


def _ratio(seconds: float, base: float) -> str:
    return f"{seconds:.3f} ({base / seconds:.2f}×)"


def _published_loss(run: dict[str, Any]) -> str:
    return ", ".join(figure(run["loss"][s]) if s in run["loss"] else "–" for s in ("1000", "4000"))


def _spread(spread: dict[str, Any]) -> str:
    ends = f"{figure(spread['min'])} to {figure(spread['max'])}"
    return f"{figure(spread['mean'])} ({ends}, n={spread['n']})"


def _against(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return "the reference"
    return f"{interval(difference)}: {difference['verdict']}"


if __name__ == "__main__":
    readme = FOLDER / "README.md"
    readme.write_text(filled(readme))
    with settings():
        save(draw(), FOLDER / "beside.png")
