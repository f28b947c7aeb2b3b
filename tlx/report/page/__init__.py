"""The report as one page of HTML that needs nothing but itself: no network, no script, no font."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlx.common.cli import command
from tlx.common.pages import templates
from tlx.records.predictions import SHOWN
from tlx.records.quality import Quality
from tlx.report.charts import Plot
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.records import Record
from tlx.report.comparison.verdict import verdict
from tlx.report.factors import Analysis
from tlx.report.factors.words import about_answers, answers
from tlx.report.gallery import Gallery, Mistakes
from tlx.report.page.arms import arms_table, badges_of, refused_table, summary_table
from tlx.report.page.captions import caption_of, definitions
from tlx.report.page.factors import factor_groups
from tlx.report.page.facts import (
    answers_table,
    classes_table,
    counts_table,
    data_tables,
    differences_table,
    environment_table,
    pilots_table,
    rates_table,
    runs_table,
    unfinished_table,
)
from tlx.report.page.first_screen import answer_of
from tlx.report.page.words import words_of

_TALL = 0.95  # height by width
_PROLOGUE = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", re.DOTALL)


def page_text(
    comparison: Comparison,
    recommendation: Recommendation,
    plots: Sequence[Plot],
    gallery: Gallery | Mistakes,
    output: Path,
    arguments: Sequence[str],
    analysis: Analysis,
) -> str:
    """The whole of `index.html`.

    Args:
        comparison: What to report.
        recommendation: The answer, on the first screen.
        plots: The charts as they were drawn.
        gallery: Pictures with detections, and what goes wrong on them.
        output: Folder of the report, which folders of runs are named relative to.
        arguments: Arguments of `python -m tlx.report` that make this report.
        analysis: What the factors of the study show.
    """
    records = [record for row in comparison.rows for record in row.arm.records]
    badges = badges_of(recommendation)
    groups = factor_groups(analysis)
    shown = {plot.chart.name: _plot(plot, comparison.quality) for plot in plots}
    of_groups = {name: shown.pop(name) for each in groups for name in each.charts}
    context = {
        "title": ", ".join(_distinct(records, "data")) or output.parent.name,
        "facts": _facts(comparison, records),
        "answer": answer_of(comparison, recommendation, analysis, arguments),
        "summary": summary_table(comparison, badges),
        "arms": arms_table(comparison, badges),
        "warnings": comparison.warnings,
        "evidence": _evidence(comparison, recommendation),
        "factors": groups,
        "factor_answers": answers(analysis),
        "factor_note": about_answers(analysis),
        "factor_charts": of_groups,
        "plots": list(shown.values()),
        "classes": classes_table(comparison),
        "gallery": _mistakes(gallery) if isinstance(gallery, Mistakes) else _gallery(gallery),
        "data": data_tables(comparison),
        "runs": runs_table(comparison, output),
        "pilots": pilots_table(comparison),
        "unfinished": unfinished_table(comparison.unfinished, output),
        "environment": environment_table(comparison),
        "words": words_of(comparison.quality),
        "definitions": definitions(comparison.quality),
        "command": command("tlx.report", *arguments),
    }
    return templates().get_template("index.html.jinja").render(context, sections=_sections(context))


def _sections(context: dict[str, Any]) -> list[tuple[str, str]]:
    names = {
        "factors": "Does the answer change?",
        "warnings": "Warnings",
        "arms": "All figures",
        "plots": "Figures",
        "evidence": "Evidence",
        "classes": "Classes",
        "gallery": "Detections and failures",
        "data": "Data",
        "runs": "Runs",
        "environment": "Environment",
        "words": "Words explained",
        "definitions": "Definitions",
    }
    ids = {"plots": "figures", "gallery": "detections", "arms": "all-figures"}
    if not context["gallery"]["samples_note"]:
        ids["gallery"], names["gallery"] = "failures", context["gallery"]["failures_title"]
    return [(ids.get(key, key), name) for key, name in names.items() if context[key]]


def _facts(comparison: Comparison, records: Sequence[Record]) -> list[str]:
    """What was compared, on what, when: the line under the title."""
    seeds = {record.text("seed") for record in records}
    days = sorted({(record.text("started") or "")[:10] for record in records} - {""})
    facts = [f"{_count(len(records), 'finished run')}: {_count(len(comparison.rows), 'arm')} (ways "
             f"to train), {_count(len(seeds), 'seed')} (repeats)"]  # fmt: skip
    if comparison.unfinished:
        facts.append(f"{len(comparison.unfinished)} not finished")
    for what, key in (("data", "data"), ("backbone", "backbone"), ("", "gpu"), ("", "cpu")):
        keys = ("environment", key) if not what else (key,)
        if found := _distinct(records, *keys):
            facts.append(f"{what} {', '.join(found)}".strip())
    if comparison.design:
        designs = {record.text("tuning", "design") for record in records} - {None}
        alike = " or ".join(sorted(str(design).replace("_", "-") for design in designs))
        facts.append(f"rates tuned for each arm, same {alike}")
    if days:
        facts.append(days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}")
    return facts


def _distinct(records: Sequence[Record], *keys: str) -> list[str]:
    return list(dict.fromkeys(text for record in records if (text := record.text(*keys))))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _plot(plot: Plot, quality: Quality) -> dict[str, Any]:
    chart = plot.chart
    return {
        "name": chart.name,
        "title": chart.title,
        "alt": chart.alt,
        "caption": caption_of(chart.name, quality),
        "tall": _is_tall(plot.wide),
        "wide": _svg_uri(plot.wide),
        "narrow": _svg_uri(plot.narrow),
    }


def _is_tall(svg: str) -> bool:
    """Whether a chart is nearly as high as wide: two of these on a page cannot be read."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return box is not None and float(box[2]) > _TALL * float(box[1])


def _svg_uri(svg: str) -> str:
    """The SVG as a data URI, without the parts that name other files."""
    bare = _PROLOGUE.sub("", svg).strip()
    return f"data:image/svg+xml;base64,{base64.b64encode(bare.encode()).decode('ascii')}"


def _gallery(gallery: Gallery) -> dict[str, Any]:
    notes, title = " ".join(gallery.notes), "Failure cases"
    if not gallery.runs:
        absent = "No run kept its predictions (predictions/test.json), so none can be shown."
        note = f"{absent} {notes}".strip()
        return {"samples": [], "samples_note": note, "counts": None, "failures": [],
                "failures_title": title, "failures_note": note}  # fmt: skip
    groups = [
        ("Objects that most runs miss", "Those missed by most runs first, the larger of equals. A "
         "label may be wrong, or the object too small for the input size.", gallery.missed),
        ("Surest false alarms", "The highest scores of each arm that lie on no object. Look for "
         "objects that were not labelled.", gallery.false_alarms),
    ]  # fmt: skip
    return {
        "samples": gallery.samples,
        "samples_note": "Evenly spaced test pictures that hold an object, chosen by their place "
        f"and not by the result; the first seed of every arm. Scores of {SHOWN} and more count; "
        f"found is IoU ≥ .5 with an object of the same class. {notes}".strip(),
        "counts": counts_table(gallery.counts, SHOWN),
        "failures_title": title,
        "failures_note": f"Of {_count(gallery.runs, 'run')}, on all test pictures.",
        "failures": [
            {"title": title, "note": note, "cases": cases} for title, note, cases in groups if cases
        ],
    }


def _mistakes(found: Mistakes) -> dict[str, Any]:
    notes = " ".join(found.notes)
    absent = "No run kept its predictions (predictions.csv), so none can be shown."
    told = f"Of {_count(found.runs, 'run')}, on all test pictures." if found.runs else absent
    title = "Pictures that most runs misclassify"
    note = (
        "Those that most runs have wrong first, the surer of equals. A label may be wrong. They "
        "are looked up by their path below the data root: what lies there now is shown."
    )
    return {
        "samples": [],
        "samples_note": "",
        "counts": answers_table(found.counts),
        "failures_title": "Misclassified pictures",
        "failures_note": f"{told} {notes}".strip(),
        "failures": [{"title": title, "note": note, "cases": found.cases}] if found.cases else [],
    }


def _evidence(comparison: Comparison, recommendation: Recommendation) -> dict[str, Any]:
    """What the first screen says in plain words, with its figures; empty where there is nothing."""
    refused = {f"{label}: {why}." for label, why in recommendation.refused.items()}
    told = [*verdict(comparison), *recommendation.words]
    lines = [line for line in dict.fromkeys(told) if line not in refused]
    tables = [
        refused_table(recommendation), differences_table(comparison), rates_table(comparison)
    ]  # fmt: skip
    known = [table for table in tables if table is not None]
    return {"lines": lines, "tables": known} if lines or known else {}
