"""Tables of what the answer rests on: tested differences, classes, runs, data, machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tlx.data.faults import RULES
from tlx.records.quality import CLASSIFICATION, DETECTION
from tlx.report.charts.classes import classes_of
from tlx.report.comparison.compare import Comparison, describe_unfinished
from tlx.report.comparison.difference import Difference, change, evidence_of_p, spelled
from tlx.report.comparison.figures import (
    ABSENT,
    NOT_COMPARABLE,
    counted,
    relative,
    significant,
    spread,
    three,
)
from tlx.report.comparison.measures import Measure
from tlx.report.comparison.records import Record
from tlx.report.comparison.tuning import sensitivity_lines
from tlx.report.gallery import Answers, Counts
from tlx.report.page.tables import Cell, Table, interval, plain_table

_TESTED_HEADS = [
    "arm", "against", "figure", "mean difference, 95 % interval", "pairs", "p (Holm)", "verdict",
    "seeds that would settle it",
]  # fmt: skip
_TESTED = (
    "Every arm against its reference, over the seeds that both have. Intervals are uncorrected; p "
    "is corrected for the arms that are compared in one figure. Fewer seconds, bytes and joules "
    "are better, more {} is."
)


def differences_table(comparison: Comparison) -> Table | None:
    """One row a difference, figure by figure."""
    known = comparison.measures
    found = [*comparison.differences, *comparison.against_scratch]
    rows = [_row(each, known[each.figure]) for each in found]
    return plain_table("differences", _TESTED.format(comparison.quality.word), _TESTED_HEADS, rows)


def _row(found: Difference, measure: Measure) -> list[object]:
    return [
        found.arm,
        Cell(found.reference, mark="words"),
        Cell(measure.title, mark="words"),
        _mean(found, measure),
        found.pairs,
        ABSENT if found.p_holm is None else evidence_of_p(found.p_holm).lstrip("p="),
        Cell(found.verdict, found.reason or "", "words"),
        ABSENT if found.shown or found.seeds_needed is None else str(found.seeds_needed),
    ]


def _mean(found: Difference, measure: Measure) -> Cell:
    text = spelled(found, measure)
    if text is None:
        return Cell(ABSENT)
    mean = change(found, measure)
    return Cell(mean, text.removeprefix(mean).strip(" ()").removeprefix("95 % interval "))


def classes_table(comparison: Comparison) -> Table | None:
    """The figures of every class by arm, with the reason where there is none."""
    quality, rows = comparison.quality, []
    for row in comparison.rows:
        records = row.arm.tested
        for name in dict.fromkeys(name for record in records for name in classes_of(record)):
            figures = [
                interval(spread(r.number("test", "per_class", name, key) for r in records), three)
                for key in (each.key for each in quality.per_class)
            ]
            counts, reasons = (_distinct(records, name, key) for key in (quality.count, "reason"))
            rows.append([row.arm.label, name, *figures, counts, reasons])
    names = [each.name for each in quality.per_class]
    heads = ["arm", "class", *names, "objects" if quality is DETECTION else quality.count, "note"]
    caption = "Figures by class on test: means, with the smallest and largest over seeds."
    return plain_table("per-class", caption, heads, rows)


def _distinct(records: Sequence[Record], name: str, key: str) -> str:
    found = {text for r in records if (text := r.text("test", "per_class", name, key))}
    return ", ".join(sorted(found))


def counts_table(counts: Sequence[Counts], score: float) -> Table | None:
    """How often each kind of error occurs, by arm."""
    rows = [
        [c.arm, c.runs, *(significant(value) for value in (
            c.objects, c.hits, c.missed, c.wrong_class, c.low_iou, c.false_alarms))]
        for c in counts
    ]  # fmt: skip
    heads = ["arm", "n", "objects", "found", "missed", "wrong class", "IoU .1 to .5",
             "false alarms"]  # fmt: skip
    caption = f"Detections of score {score} and more on test, means over runs."
    return plain_table("error-kinds", caption, heads, rows)


def answers_table(counts: Sequence[Answers]) -> Table | None:
    """How many test pictures each arm has right and wrong."""
    rows = [[c.arm, c.runs, *map(counted, (c.pictures, c.right, c.wrong))] for c in counts]
    heads = ["arm", "n", "pictures", "right", "wrong"]
    return plain_table("answers", "Test pictures by their most probable class, means over runs.",
                       heads, rows)  # fmt: skip


def runs_table(comparison: Comparison, output: Path) -> Table | None:
    """Every finished run."""
    main, second = comparison.quality.main, comparison.quality.second
    rows = [
        [
            row.arm.label,
            Cell(record.name, mark="words"),
            record.text("seed"),
            _spelled(record.tested(main.key)),
            _spelled(record.tested(second.key)),
            _spelled(record.number("best", main.key)),
            record.text("best", "epoch"),
            _timed(record, "step_time", "median_s", scale=1000),
            _timed(record, "time", "fit_s", scale=1 / 60),
            record.text("resumes"),
            Cell(relative(record.folder, output), mark="words"),
        ]
        for row in comparison.rows
        for record in row.arm.records
    ]
    heads = ["arm", "run", "seed", f"test {main.name}", f"test {second.name}",
             f"best val {main.name}", "at epoch", "step (ms)", "training (min)", "resumes",
             "folder"]  # fmt: skip
    return plain_table("finished-runs", "Finished runs, figures of each.", heads, rows)


def _spelled(value: float | None) -> str | None:
    return None if value is None else three(value)


def _timed(record: Record, *keys: str, scale: float) -> str | None:
    """A time, where the run was alone on its machine."""
    if record.beside:
        return NOT_COMPARABLE
    value = record.number(*keys)
    return None if value is None else significant(scale * value)


def unfinished_table(records: Sequence[Record], output: Path) -> Table | None:
    """Every run that is not finished, with its error."""
    rows = [
        [r.name, Cell(describe_unfinished(r), mark="words"),
         Cell(relative(r.folder, output), mark="words")]
        for r in records
    ]  # fmt: skip
    caption = "Runs without figures. Start them again to continue them."
    return plain_table("unfinished-runs", caption, ["run", "status", "folder"], rows)


def pilots_table(comparison: Comparison) -> Table | None:
    """The depth that the pilot of each run with policy=auto chose, and why."""
    rows = [
        [row.arm.label, Cell(record.name, mark="words"), record.text("pilot", "choice"),
         Cell(record.text("pilot", "words") or ABSENT, mark="words")]
        for row in comparison.rows
        for record in row.arm.records
        if record.get("pilot")
    ]  # fmt: skip
    caption = "Depths that a pilot chose (policy=auto)."
    return plain_table("pilots", caption, ["arm", "run", "choice", "why"], rows)


def rates_table(comparison: Comparison) -> Table | None:
    """What the tuning of each arm's rates found, and what other rates would have cost."""
    lines = sensitivity_lines([row.arm for row in comparison.rows], comparison.quality)
    if not lines:
        return None
    heads, *rows = lines
    caption = (
        "Trials of each arm's learning rates, judged on val: what was chosen, the range that was "
        "tried, and how the trials ended."
    )
    return plain_table("rates", caption, heads, [[_lined(cell) for cell in row] for row in rows])


def _lined(text: str) -> Cell:
    """A cell whose second line is its note."""
    return Cell(*text.split("\n", 1))


def data_tables(comparison: Comparison) -> list[Table]:
    """Pictures and objects by split, and what the data check did, for each set of data."""
    records = [record for row in comparison.rows for record in row.arm.records]
    reports: dict[str, Mapping[str, object]] = {}
    folds: dict[str, int | None] = {}
    for record in records:
        report = record.get("data_report")
        if isinstance(report, Mapping):
            name = record.text("data") or ABSENT
            if reports.setdefault(name, report) is report:
                folds.setdefault(name, record.fold)
    tables = []
    for number, (name, report) in enumerate(reports.items(), start=1):
        of_split = _pictures if comparison.quality is CLASSIFICATION else _objects
        fold = folds.get(name)
        of_fold = "" if fold is None else f" Splits of fold {fold}; the others differ."
        caption = f"Data set {name}, after the check.{of_fold}"
        tables.append(plain_table(f"data-{number}", caption, *of_split(report)))
        found = _mapping(report.get("faults"))
        lines = [
            [kind, count, Cell(rule.action, mark="words"), Cell(rule.why, mark="words")]
            for kind, count in found.items()
            if (rule := RULES.get(kind))
        ]
        heads = ["kind", "number", "what was done", "why"]
        caption = f"What the check of {name} found."
        tables.append(plain_table(f"faults-{number}", caption, heads, lines))
    return [table for table in tables if table is not None]


def _objects(report: Mapping[str, object]) -> tuple[list[str], list[list[object]]]:
    """Pictures and objects of each split."""
    counts = _mapping(report.get("counts"))
    rows = [
        [split, *(_mapping(found).get(key) for key in ("images", "boxes", "negatives"))]
        for split, found in counts.items()
    ]
    return ["split", "pictures", "objects", "pictures without one"], rows


def _pictures(report: Mapping[str, object]) -> tuple[list[str], list[list[object]]]:
    """Pictures of each class by split."""
    splits = {split: _mapping(found) for split, found in _mapping(report.get("pictures")).items()}
    names = dict.fromkeys(name for found in splits.values() for name in found)
    rows: list[list[object]] = [
        [name, *(found.get(name, 0) for found in splits.values())] for name in names
    ]
    totals = [sum(n for n in found.values() if isinstance(n, int)) for found in splits.values()]
    return ["class", *splits], [*rows, ["all", *totals]] if rows else []


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def environment_table(comparison: Comparison) -> Table | None:
    """One column a distinct environment; rows that are the same everywhere stand once."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for record in (record for row in comparison.rows for record in row.arm.records):
        environment = tuple((key, _text(value)) for key, value in _known(record))
        found.setdefault(environment, []).append(record.name)
    columns = [dict(environment) for environment in found]
    keys = dict.fromkeys(key for column in columns for key in column)
    rows: list[list[object]] = []
    if len(columns) > 1:
        rows.append(["runs", *(Cell(", ".join(names), mark="words") for names in found.values())])
    rows += [[key, *_values(column.get(key, ABSENT) for column in columns)] for key in keys]
    heads = ["what", *(f"environment {i}" for i in range(1, len(columns) + 1))]
    if len(columns) == 1:
        heads = ["what", "all runs"]
    return plain_table("environments", "Machine and software.", heads, rows)


def _known(record: Record) -> Iterable[tuple[str, object]]:
    environment = record.get("environment")
    precision = (("precision", record.get("precision")),)
    return (*environment.items(), *precision) if isinstance(environment, Mapping) else precision


def _text(value: object) -> str:
    return ABSENT if value is None else str(value)


def _values(values: Iterable[str]) -> list[Cell]:
    return [Cell(value, mark="words") for value in values]
