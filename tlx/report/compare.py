"""Turn records into the rows of a comparison: one row an arm, each figure with its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tlx.errors import DataError
from tlx.report.arms import Arm, group_arms
from tlx.report.levels import (
    Levels,
    Reach,
    find_levels,
    time_to_loss,
    time_to_map,
    trivial_level,
)
from tlx.report.likeness import unlike
from tlx.report.proof import CHANGED, proof_of, worst_proof
from tlx.report.records import FILE_NAME, Record
from tlx.report.spread import Spread, ratio, spread

_BEYOND_BOUND = 1.25


@dataclass(frozen=True)
class Row:
    """The figures of one arm; None where no run of the arm has the figure."""

    arm: Arm
    test_map: Spread | None
    test_map_50: Spread | None
    step_s: Spread | None
    speedup: Spread | None
    bound_speedup: Spread | None
    time_to_loss: Reach | None
    time_to_map: Reach | None
    peak_memory_bytes: Spread | None
    memory_kind: str
    trainable_share: float | None
    fit_min: Spread | None
    frozen_proof: str

    def as_dict(self) -> dict[str, Any]:
        """The row for `report.json`, unrounded."""
        first, records = self.arm.first, self.arm.records
        plain: dict[str, Any] = {
            "arm": self.arm.label,
            "n": len(records),
            "seeds": [record.get("seed") for record in records],
            "runs": [record.name for record in records],
            "freeze": first.freeze,
            "policy": first.policy,
            "scratch": first.scratch,
            "memory_kind": self.memory_kind,
            "trainable_share": self.trainable_share,
            "frozen_proof": self.frozen_proof,
        }
        for name, value in vars(self).items():
            if name not in plain and name != "arm":
                plain[name] = None if value is None else value.as_dict()
        return plain


@dataclass(frozen=True)
class Comparison:
    """Everything a report says, in numbers; rows are in reading order."""

    rows: list[Row]
    levels: Levels
    warnings: list[str]
    differs: list[str]
    unfinished: list[Record]

    def reference(self, row: Row) -> Row | None:
        """The `freeze=none` row of the same setting, which may be the row itself."""
        return _reference(row.arm, self.rows)


def compare(
    records: Sequence[Record],
    *,
    map_level: float | None = None,
    loss_level: float | None = None,
    warnings: Sequence[str] = (),
) -> Comparison:
    """Compare the finished runs; the others are kept aside by name.

    Args:
        records: Runs as `load_records` gives them.
        map_level: Validation mAP@.5 to time the arms to; by default one that all reach.
        loss_level: Smoothed training loss to time the arms to; by default one that all reach.
        warnings: Warnings from reading the records, put before those of the comparison.

    Raises:
        ConfigError: a level that cannot be a level.
        DataError: there is no finished run; the message lists what was found instead.
    """
    finished = [record for record in records if record.status == "finished"]
    unfinished = [record for record in records if record.status != "finished"]
    if not finished:
        raise DataError(_nothing_to_compare(unfinished, warnings))
    arms, repeats = group_arms(finished)
    levels = find_levels(arms, loss_level, map_level)
    bare = [_row(arm, levels) for arm in arms]
    rows = [_with_speedup(row, bare) for row in bare]
    differences = unlike(arms)
    said = [*warnings, *(d.warning for d in differences), *repeats, *_row_warnings(rows)]
    if note := trivial_level(arms, levels.map):
        said.append(note)
    return Comparison(rows, levels, said, [d.what for d in differences], unfinished)


def describe_unfinished(record: Record) -> str:
    """Status of a run that did not finish, with the error when it recorded one."""
    error = ": ".join(filter(None, (record.text("error", "type"), record.text("error", "message"))))
    return f"{record.status}: {error}" if error else record.status


def _row(arm: Arm, levels: Levels) -> Row:
    def over_runs(*keys: str, scale: float = 1.0) -> Spread | None:
        numbers = [record.number(*keys) for record in arm.records]
        return spread(None if number is None else number * scale for number in numbers)

    shares = [record.number("bound", "step_share") for record in arm.records]
    device = over_runs("memory", "peak_device_bytes")
    trainable, frozen = over_runs("trainable", "parameters"), over_runs("frozen", "parameters")
    total = None if trainable is None or frozen is None else trainable.mean + frozen.mean
    return Row(
        arm=arm,
        test_map=over_runs("test", "map"),
        test_map_50=over_runs("test", "map_50"),
        step_s=over_runs("step_time", "median_s"),
        speedup=None,
        bound_speedup=spread(1 / share if share else None for share in shares),
        time_to_loss=time_to_loss(arm, levels.loss),
        time_to_map=time_to_map(arm, levels.map),
        peak_memory_bytes=device or over_runs("memory", "peak_rss_bytes"),
        memory_kind="GPU" if device else "RSS",
        trainable_share=trainable.mean / total if trainable and total else None,
        fit_min=over_runs("time", "fit_s", scale=1 / 60),
        frozen_proof=worst_proof(arm.records),
    )


def _reference(arm: Arm, rows: Sequence[Row]) -> Row | None:
    for row in rows:
        if (
            row.arm.depth == "none"
            and row.arm.first.policy == "fixed"
            and row.arm.setting == arm.setting
        ):
            return row
    return None


def _with_speedup(row: Row, rows: Sequence[Row]) -> Row:
    """The row with its speed-up, given only where one machine made both arms."""
    reference = _reference(row.arm, rows)
    machines = row.arm.machines | (reference.arm.machines if reference else frozenset())
    if reference is None or len(machines) > 1:
        return row
    if row is reference:
        step = row.step_s
        speedup = Spread(1.0, 1.0, 1.0, step.n) if step and step.low > 0 else None
    else:
        speedup = ratio(reference.step_s, row.step_s)
    return Row(**{**vars(row), "speedup": speedup})


def _row_warnings(rows: Sequence[Row]) -> list[str]:
    warnings = []
    for row in rows:
        label = row.arm.label
        changed = [r.name for r in row.arm.records if proof_of(r) == CHANGED]
        if changed:
            warnings.append(
                f"{label}: the frozen tensors CHANGED during training in {', '.join(changed)}; "
                "what this arm shows is not the effect of freezing."
            )
        if untested := [r.name for r in row.arm.records if r.number("test", "map_50") is None]:
            warnings.append(f"{label}: no test mAP@.5 in {', '.join(untested)}.")
        speedup, bound = row.speedup, row.bound_speedup
        if speedup and bound and speedup.mean > _BEYOND_BOUND * bound.mean:
            warnings.append(
                f"{label}: measured {speedup.mean:.2f}× against {bound.mean:.2f}× by arithmetic. "
                "Saved arithmetic does not explain that; look at data loading, memory traffic and "
                "what else the machine was doing before crediting the freeze."
            )
    return warnings


def _nothing_to_compare(unfinished: Sequence[Record], warnings: Sequence[str]) -> str:
    found = [f"{r.folder}: {describe_unfinished(r)}" for r in unfinished] + list(warnings)
    listing = "".join(f"\n  {line}" for line in found)
    return (
        f"no finished run to report on{':' if found else '.'}{listing}\n"
        f"Give run folders (each holds {FILE_NAME}) or a folder above them, and finish or repeat "
        "the runs that did not end."
    )
