"""Fill the tables of `docs/answer.md`, `README.md` and of the studies here from their records.

    python experiments/answer.py

A table stands between `<!-- study FOLDER [PART OF THE ARMS' NAMES] -->` or `<!-- exports FOLDER
-->` and `<!-- end -->`; nothing of it is written by hand. A test holds that what is committed is
what this writes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

EXPERIMENTS = Path(__file__).parent
ANSWERS = [EXPERIMENTS.parent / "docs" / "answer.md", EXPERIMENTS.parent / "README.md"]
PAGES = [
    *ANSWERS,
    EXPERIMENTS / "defaults" / "README.md",
    EXPERIMENTS / "guns_starts" / "README.md",
    EXPERIMENTS / "plates_transfer" / "README.md",
]
FIGURE = "test_map_50"
REFERENCE = "none"
_TABLE = re.compile(
    r"(<!-- (study|exports) (\S+)(?: ([^\n]*?))? -->\n)(.*?)(<!-- end -->)", re.DOTALL
)


def filled(page: Path) -> str:
    """The text of the page with its tables as the reports have them."""

    def fill(match: re.Match[str]) -> str:
        made = (
            exports(match[3])
            if match[2] == "exports"
            else table(match[3], match[4] or "", page.parent)
        )
        return f"{match[1]}{made}{match[6]}"

    return _TABLE.sub(fill, page.read_text())


def table(study: str, part: str, beside: Path) -> str:
    """One line for each arm whose name has the part, with links to its records."""
    folder = EXPERIMENTS / study
    report = json.loads((folder / "report.json").read_text())
    arms = [row for row in report["rows"] if part in row["arm"]]
    if not arms:
        raise ValueError(f"{folder}: no arm has {part!r} in its name")
    to = "../" * len(beside.relative_to(EXPERIMENTS.parent).parts) + f"experiments/{study}"
    references, name = [row for row in arms if frozen(row) == REFERENCE], "nothing frozen"
    if not references:  # arms that freeze the same
        known = {one["reference"] for one in report["differences"]}
        references = [row for row in arms if row["arm"] in known]
        name = ", ".join(row["arm"] for row in references)
    lines = [
        f"| {'arm' if name != 'nothing frozen' else 'frozen'} | test mAP@.5 | its seeds "
        f"| against {name} (95 %) | difference shown? |",
        "|---|---:|---|---:|---|",
    ]
    for row in arms:
        seeds = ", ".join(
            f"[{figure(value)}]({to}/{record})" for record, value in _runs(folder, row["runs"])
        )
        difference = _difference(report, row, references)
        mean, shown = figure(row[FIGURE]["mean"]), f"[{_verdict(difference)}]({to}/report.md)"
        label = frozen(row) if name == "nothing frozen" else row["arm"]
        lines.append(f"| {label} | {mean} | {seeds} | {interval(difference)} | {shown} |")
    return "\n".join(lines) + "\n"


def exports(study: str) -> str:
    """One line for each exported file: what its parity says."""
    lines = [
        "| file | precision | under | scores differ by | boxes of objects, px | mAP@.5 | mAP |",
        "|---|---|---|---:|---:|---|---|",
    ]
    for path in sorted((EXPERIMENTS / study / "exports").glob("*/model.json")):
        stated = json.loads(path.read_text())
        parity = stated["parity"]
        cells = [stated["format"], stated["precision"], parity["backend"]]
        cells += [
            "–" if (v := parity[k]) is None else f"{v:.2g}" for k in ("scores", "shown_boxes_px")
        ]
        cells += [" → ".join(map(figure, parity[key])) for key in ("map_50", "map")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def frozen(row: dict[str, Any]) -> str:
    """What an arm froze; `scratch` where there was nothing to freeze."""
    return "scratch" if row["scratch"] else str(row["freeze"])


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
    report: dict[str, Any], row: dict[str, Any], references: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """From the arm that the table's are compared with; of that one itself none."""
    labels = [arm["arm"] for arm in references]
    return next(
        (
            one
            for one in report["differences"]
            if (one["figure"], one["arm"]) == (FIGURE, row["arm"]) and one["reference"] in labels
        ),
        None,
    )


def interval(difference: dict[str, Any] | None) -> str:
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
