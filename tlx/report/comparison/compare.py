"""Compare records: rows, estimates, tested differences, and what to know before believing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlx.common.errors import DataError
from tlx.records.quality import Quality
from tlx.report.comparison.arms import Arm, baseline_words, group_arms, with_lost
from tlx.report.comparison.difference import Difference
from tlx.report.comparison.differences import against_references, against_scratch
from tlx.report.comparison.folds import pool_folds
from tlx.report.comparison.levels import Levels, find_levels, trivial_level
from tlx.report.comparison.likeness import beside_the_freeze, under_two_names, unlike
from tlx.report.comparison.measures import Measure, measures, runs_of, test_key
from tlx.report.comparison.overlap import beside_each_other, overlap_warnings
from tlx.report.comparison.records import FILE_NAME, Record
from tlx.report.comparison.rows import Row, make_rows, reference_row, row_warnings
from tlx.report.comparison.statistics import Estimate, estimate
from tlx.report.comparison.tuning import design_words


@dataclass(frozen=True)
class Comparison:
    """Everything a report says, in numbers; rows are in reading order.

    Attributes:
        rows: One row an arm.
        levels: The levels that arms are timed to.
        warnings: What to know before the figures are believed.
        differs: What differs among the runs apart from the freeze.
        unfinished: Runs that are not counted.
        estimates: By arm label and figure: mean with its interval. A figure that an arm has not, or
            that not all of its runs reach, is left out.
        differences: Each arm against its reference (`arms.reference_of`), figure by figure.
        against_scratch: Each pretrained arm against the from-scratch arm of its setting, in the
            main test figure.
        baselines: Where freeze does not vary, which arm the others are compared with, and why.
        design: Where rates were tuned, what the arms have alike and how their rates were found.
    """

    rows: list[Row]
    levels: Levels
    warnings: list[str]
    differs: list[str]
    unfinished: list[Record]
    estimates: dict[str, dict[str, Estimate]]
    differences: list[Difference]
    against_scratch: list[Difference]
    baselines: list[str] = field(default_factory=list)
    design: list[str] = field(default_factory=list)

    @property
    def measures(self) -> dict[str, Measure]:
        """The figures that arms are compared by, by key."""
        return measures(self.levels)

    @property
    def quality(self) -> Quality:
        """What the runs are judged by; they are of one task."""
        return self.levels.quality

    @property
    def main(self) -> Measure:
        """The figure that arms are ranked by."""
        return self.measures[test_key(self.quality.main)]

    def reference(self, row: Row) -> Row | None:
        """The row that this one is compared with, which may be the row itself."""
        return reference_row(row, self.rows)

    def difference(self, arm: str, figure: str) -> Difference | None:
        """An arm's difference from its reference in one figure, None where there is none."""
        for found in self.differences:
            if (found.arm, found.figure) == (arm, figure):
                return found
        return None


def compare(
    records: Sequence[Record],
    *,
    main_level: float | None = None,
    loss_level: float | None = None,
    warnings: Sequence[str] = (),
) -> Comparison:
    """Compare the finished runs; the others are kept aside by name.

    Runs of one task are compared: of that which most finished runs have.

    Args:
        records: Runs as `load_records` gives them.
        main_level: The main figure on val (mAP@.5, accuracy) to time the arms to; by default one
            that all reach.
        loss_level: Smoothed training loss to time the arms to; by default one that all reach.
        warnings: Warnings from reading the records, put before those of the comparison.

    Raises:
        ConfigError: a level that cannot be a level.
        DataError: there is no finished run; the message lists what was found instead.
    """
    records, others = of_one_task(beside_each_other(records))
    finished = [record for record in records if record.status == "finished"]
    unfinished = [record for record in records if record.status != "finished"]
    if not finished:
        raise DataError(_nothing_to_compare(unfinished, warnings))
    arms, repeats = group_arms(finished)
    arms, of_folds = pool_folds(arms)
    arms = with_lost(arms, unfinished)
    levels = find_levels(arms, loss_level, main_level)
    figures = measures(levels)
    rows = make_rows(arms, figures)
    unlikenesses = unlike(arms)
    said = [*warnings, *others, *(u.warning for u in unlikenesses), *beside_the_freeze(arms)]
    said += [
        *under_two_names(arms),
        *repeats,
        *of_folds,
        *overlap_warnings(finished),
        *row_warnings(rows),
    ]
    if note := trivial_level(arms, levels.main):
        said.append(note)
    return Comparison(
        rows=rows,
        levels=levels,
        warnings=said,
        differs=[u.what for u in unlikenesses],
        unfinished=unfinished,
        estimates={arm.label: _estimates(arm, figures) for arm in arms},
        differences=against_references(arms, figures.values()),
        against_scratch=against_scratch(arms, figures[test_key(levels.quality.main)]),
        baselines=baseline_words(arms),
        design=design_words(arms),
    )


def of_one_task(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The runs of the task that most finished runs have, and a warning that names the others."""
    tasks = [record.quality for record in records if record.status == "finished"]
    tasks = tasks or [record.quality for record in records]
    kept = max(tasks, key=tasks.count, default=None)
    lines = []
    most = kept is not None and 2 * tasks.count(kept) > len(tasks)
    why = "which most are" if most else "which the first of them is"
    for task in dict.fromkeys(record.quality for record in records):
        if task is not kept and kept is not None:
            names = [record.name for record in records if record.quality is task]
            lines.append(
                f"Runs of {task.task} cannot be compared with runs of {kept.task}, {why}: "
                f"{', '.join(names)} left out. Report on them by their own folders."
            )
    return [record for record in records if record.quality is kept], lines


def describe_unfinished(record: Record) -> str:
    """Status of a run that did not finish, with the error when it recorded one."""
    error = ": ".join(filter(None, (record.text("error", "type"), record.text("error", "message"))))
    return f"{record.status}: {error}" if error else record.status


def _estimates(arm: Arm, figures: Mapping[str, Measure]) -> dict[str, Estimate]:
    """Estimates of the arm's figures; a level that a run does not reach has no mean time."""
    found = {}
    for key, measure in figures.items():
        reached = [measure.reached(record) for record in arm.records]
        if any(run is not None and not run.yes for run in reached):
            continue
        if (value := estimate(measure.of(run) for run in runs_of(arm, measure))) is not None:
            found[key] = value
    return found


def _nothing_to_compare(unfinished: Sequence[Record], warnings: Sequence[str]) -> str:
    found = [f"{r.folder}: {describe_unfinished(r)}" for r in unfinished] + list(warnings)
    listing = "".join(f"\n  {line}" for line in found)
    return (
        f"no finished run to report on{':' if found else '.'}{listing}\n"
        f"Give run folders (each holds {FILE_NAME}) or a folder above them, and finish or repeat "
        "the runs that did not end."
    )
