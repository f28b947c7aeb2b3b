"""Fill the tables of `docs/answer.md` and `README.md` from the reports of the studies here.

    python experiments/answer.py

A table stands between `<!-- study FOLDER [PART OF THE ARMS' NAMES] -->` and `<!-- end -->`; nothing
of it is written by hand. A test holds that what is committed is what this writes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

EXPERIMENTS = Path(__file__).parent
PAGES = [EXPERIMENTS.parent / "docs" / "answer.md", EXPERIMENTS.parent / "README.md"]
FIGURE = "test_map_50"
REFERENCE = "none"
_TABLE = re.compile(r"(<!-- study (\S+) ?(.*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def filled(page: Path) -> str:
    """The text of the page with its tables as the reports have them."""
    return _TABLE.sub(
        lambda match: f"{match[1]}{table(match[2], match[3], page.parent)}{match[5]}",
        page.read_text(),
    )


def table(study: str, part: str, beside: Path) -> str:
    """One line for each arm whose name has the part, with links to its records."""
    folder = EXPERIMENTS / study
    report = json.loads((folder / "report.json").read_text())
    arms = [row for row in report["rows"] if part in row["arm"]]
    if not arms:
        raise ValueError(f"{folder}: no arm has {part!r} in its name")
    to = "../" * len(beside.relative_to(EXPERIMENTS.parent).parts) + f"experiments/{study}"
    lines = [
        "| frozen | test mAP@.5 | its seeds | against nothing frozen (95 %) | difference shown? |",
        "|---|---:|---|---:|---|",
    ]
    for row in arms:
        seeds = ", ".join(
            f"[{figure(value)}]({to}/{record})" for record, value in _runs(folder, row["runs"])
        )
        difference = _difference(report, row, arms)
        mean, shown = figure(row[FIGURE]["mean"]), f"[{_verdict(difference)}]({to}/report.md)"
        lines.append(f"| {row['freeze']} | {mean} | {seeds} | {_interval(difference)} | {shown} |")
    return "\n".join(lines) + "\n"


def figure(value: float) -> str:
    """A mAP as tables have it: .776."""
    return f"{value:.3f}".replace("0.", ".", 1)


def _runs(folder: Path, runs: list[str]) -> list[tuple[str, float]]:
    """Each run's record, and what it says of its test."""
    found = []
    for run in runs:
        (record,) = folder.glob(f"runs/**/{run}/record.json")
        test = json.loads(record.read_text())["test"]
        found.append((str(record.relative_to(folder)), float(test["map_50"])))
    return found


def _difference(
    report: dict[str, Any], row: dict[str, Any], arms: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """From the arm with nothing frozen among those of the table; of that one itself none."""
    references = [arm["arm"] for arm in arms if arm["freeze"] == REFERENCE]
    return next(
        (
            one
            for one in report["differences"]
            if (one["figure"], one["arm"]) == (FIGURE, row["arm"])
            and one["reference"] in references
        ),
        None,
    )


def _interval(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return ""
    signed = [
        ("+" if value > 0 else "−") + figure(abs(value))
        for value in (difference["mean"], difference["low"], difference["high"])
    ]
    return f"{signed[0]} ({signed[1]} to {signed[2]})"


def _verdict(difference: dict[str, Any] | None) -> str:
    return "the reference" if difference is None else str(difference["verdict"])


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page))
