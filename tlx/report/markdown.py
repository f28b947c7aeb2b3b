"""The report as Markdown: the answer first, then what it rests on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tlx.common.cli import command
from tlx.records.quality import Quality
from tlx.report.charts.classes import classes_of
from tlx.report.comparison.compare import Comparison, Row, describe_unfinished
from tlx.report.comparison.difference import evidence_of_p, spelled
from tlx.report.comparison.figures import ABSENT, figure, relative, spread, three
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.records import Record
from tlx.report.comparison.statistics import Estimate
from tlx.report.comparison.tuning import sensitivity_lines
from tlx.report.comparison.verdict import verdict
from tlx.report.factors import Analysis
from tlx.report.factors.words import about_answers, answers
from tlx.report.page.factors import factor_groups
from tlx.report.table import columns, level_notes

Lines = list[list[str]]


def estimate_lines(comparison: Comparison) -> Lines:
    """Headings, then one line an arm: every figure that some arm has, with its 95 % interval."""
    measures = comparison.measures
    known = {key for figures in comparison.estimates.values() for key in figures}
    shown = [measure for key, measure in measures.items() if key in known]
    lines = [["arm", *(measure.title for measure in shown)]]
    for arm, figures in comparison.estimates.items():
        cells = [_estimate(figures.get(measure.key), measure.show) for measure in shown]
        lines.append([arm, *cells])
    return lines


def difference_lines(comparison: Comparison) -> Lines:
    """Headings, then one line a difference: against the reference, then against scratch."""
    lines = [["arm", "against", "figure", "difference (95 % interval)", "pairs", "p", "g",
              "verdict", "seeds to settle it"]]  # fmt: skip
    for each in [*comparison.differences, *comparison.against_scratch]:
        measure = comparison.measures[each.figure]
        needed = each.seeds_needed
        lines.append(
            [
                each.arm,
                each.reference,
                measure.title,
                (spelled(each, measure) or ABSENT).replace("95 % interval ", ""),
                str(each.pairs),
                ABSENT if each.p_holm is None else evidence_of_p(each.p_holm).removeprefix("p="),
                ABSENT if each.effect is None else f"{each.effect:.2f}",
                each.verdict if each.reason is None else f"{each.verdict} ({each.reason})",
                ABSENT if needed is None or each.shown else str(needed),
            ]
        )
    return lines


def _estimate(found: Estimate | None, show: Callable[[float], str]) -> str:
    if found is None:
        return ABSENT
    if found.low is None or found.high is None:
        return show(found.mean)
    return f"{show(found.mean)}\n{show(found.low)}–{show(found.high)}"


# Of quality: {W}, {w} the word (mAP, accuracy), {main} the figure.
_LEVELS = """\
- **Loss level**: the loss of a step is smoothed by the mean over the epoch's worth of steps that
  ends at it (full windows only). The default is the highest final smoothed loss of all runs, so
  that every arm reaches it.
- **{W} level**: the default is the lowest best validation {main} of the runs that learned from
  pretrained weights.
- The time to a level is the training time, validation included, until it is first reached.
- **Speed-up** is the step time of `freeze=none` divided by the arm's, on one machine; its range
  is the widest that the ranges over seeds allow. The **bound** is 1 / the arithmetic cost of a
  step relative to `freeze=none`: what freezing can save if arithmetic were all there is to a step.
- **Energy** is that of the whole training; `est.` marks what was estimated and not measured.
- Ranges under **Figures** are the smallest and the largest figure over seeds. **Means** have 95 %
  bootstrap intervals over seeds, which are narrow for few of them.
- **Differences** are over the seeds that both arms have: the mean with its 95 % t interval. In {w}
  seeds and test pictures both count as samples where the runs kept their predictions; two single
  runs are compared by their pictures, and their step times by blocks of steps. Step time,
  training time and energy are compared by ratio in a linear model of arm, seed and a linear drift
  of the machine, wherever the order of the runs lets it tell these apart.
  p is corrected by Holm for the arms compared in one figure: where nothing differs, at most 1 in
  20 figures shows a difference. g is Hedges' effect size of the paired differences. What was
  chosen by its own figure ("Best on test", "Fastest step", "First to") is corrected for every pair
  that could have been chosen. `docs/statistics.md` has the rest.
- **Seeds to settle it** would show a difference as large as the one seen with a power of 80 %."""

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_WHERE = "Relative paths start at the folder in which this report was made."


def report_text(
    comparison: Comparison,
    advice: Recommendation,
    plots: Mapping[str, str],
    output: Path,
    arguments: Sequence[str],
    analysis: Analysis,
) -> str:
    """The whole of `report.md`.

    Args:
        comparison: What to report.
        advice: Which arm to take.
        plots: Titles of the plots by file name; the files lie beside the report.
        output: Folder of the report, which folders of runs are named relative to.
        arguments: Arguments of `python -m tlx.report` that make this report.
        analysis: What the factors of the study show.
    """
    again = command("tlx.report", *arguments)
    heads = columns(comparison.levels)
    table = _table(
        [column.heading for column in heads],
        ([column.cell(row) for column in heads] for row in comparison.rows),
    )
    sections = {
        "Freezing compared": _bullets(verdict(comparison)),
        "Recommendation": _bullets(advice.words) + _command(advice.command),
        "Does the answer change?": _factors(analysis),
        "Warnings": _bullets(comparison.warnings),
        "Figures": f"{_plain(level_notes(comparison.levels))}\n\n{table}",
        "Means": _table_of(estimate_lines(comparison)),
        "Differences": _table_of(difference_lines(comparison)),
        "Sensitivity to the learning rates": _table_of(
            sensitivity_lines([row.arm for row in comparison.rows], comparison.quality)
        ),
        "Plots": "\n\n".join(f"![{title}]({name})" for name, title in plots.items()),
        "Classes (test)": _classes(comparison),
        "Runs": _runs(comparison, output),
        "Failed and unfinished runs": _unfinished(comparison.unfinished, output),
        "Environment": _environments(comparison.rows),
        "How the figures are defined": _definitions(comparison.quality),
        "How to make this report again": f"```sh\n{again}\n```\n\n{_WHERE}",
    }
    marks = ("# " if number == 0 else "## " for number in range(len(sections)))
    texts = [
        f"{mark}{title}\n\n{body}"
        for mark, (title, body) in zip(marks, sections.items(), strict=True)
        if body
    ]
    return "\n\n".join(texts) + "\n"


def _definitions(quality: Quality) -> str:
    return _LEVELS.format(W=quality.title, w=quality.word, main=quality.main.name)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(' '.join(line.split()))}" for line in lines)


def _plain(text: str) -> str:
    """Text without tags: names of sets and classes come from files, and viewers render HTML."""
    return _TAG.sub("&lt;", text)


def _command(line: str | None) -> str:
    return f"\n\n```sh\n{line}\n```" if line else ""


def _cell(text: object) -> str:
    return _plain(str(text)).strip().replace("|", "\\|").replace("\n", "<br>")


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _table_of(lines: Lines) -> str:
    """A table of headings and lines; nothing where there is no line."""
    return _table(lines[0], lines[1:]) if len(lines) > 1 else ""


def _shown(value: object) -> object:
    return ABSENT if value is None else value


def _factors(analysis: Analysis) -> str:
    """The answers, and below them what they rest on."""
    told = answers(analysis)
    parts = [_bullets(told), about_answers(analysis) if told else ""]
    for group in factor_groups(analysis):
        tables = [
            _table(
                [head.text for head in table.heads],
                ([f"{c.text}\n{c.note}".strip() for c in row] for row in table.rows),
            )
            for table in group.tables
        ]
        parts += [f"### {group.title}", _bullets(group.lines), *tables]
    return "\n\n".join(part for part in parts if part)


def _classes(comparison: Comparison) -> str:
    """The figures of every class by arm, with the reason where there is no figure."""
    quality, lines = comparison.quality, []
    for row in comparison.rows:
        names = dict.fromkeys(name for r in row.arm.tested for name in classes_of(r))
        lines += [[row.arm.label, *_class_line(quality, row.arm.tested, name)] for name in names]
    figures = [each.name for each in quality.per_class]
    headings = ["arm", "class", *figures, quality.count, "note"]
    return _table(headings, lines) if lines else ""


def _class_line(quality: Quality, records: Sequence[Record], name: str) -> list[str]:
    def of_class(key: str, show: Callable[[float], str] = three) -> str:
        return figure(spread(r.number("test", "per_class", name, key) for r in records), show)

    reasons = {reason for r in records if (reason := r.text("test", "per_class", name, "reason"))}
    path = ("test", "per_class", name, quality.count)
    counts = {count for r in records if (count := r.text(*path))}
    return [
        name,
        *(of_class(each.key) for each in quality.per_class),
        ", ".join(sorted(counts)) or ABSENT,
        "; ".join(sorted(reasons)),
    ]


def _runs(comparison: Comparison, output: Path) -> str:
    main = comparison.quality.main
    lines = [
        [
            row.arm.label,
            record.name,
            _shown(record.text("seed")),
            figure(spread([record.tested(main.key)]), three),
            figure(spread([record.number("best", main.key)]), three),
            _shown(record.text("best", "epoch")),
            _shown(record.text("resumes")),
            relative(record.folder, output),
        ]
        for row in comparison.rows
        for record in row.arm.records
    ]
    figures = [f"test {main.name}", f"best val {main.name}"]
    headings = ["arm", "run", "seed", *figures, "at epoch", "resumes", "folder"]
    return _table(headings, lines)


def _unfinished(records: Sequence[Record], output: Path) -> str:
    if not records:
        return ""
    lines = [[r.name, describe_unfinished(r), relative(r.folder, output)] for r in records]
    return _table(["run", "status", "folder"], lines)


def _environments(rows: Sequence[Row]) -> str:
    """Every distinct environment and the runs made in it."""
    found: dict[str, list[str]] = {}
    for record in (record for row in rows for record in row.arm.records):
        environment = record.get("environment")
        known = environment.items() if isinstance(environment, dict) else ()
        text = "; ".join(f"{key}: {_shown(value)}" for key, value in known) or "not recorded"
        found.setdefault(text, []).append(record.name)
    total = sum(map(len, found.values()))
    return _bullets(
        [
            f"{'all runs' if len(names) == total else ', '.join(names)}: {text}"
            for text, names in found.items()
        ]
    )
