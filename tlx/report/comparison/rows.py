"""The rows of a comparison: one an arm, each figure with its range over seeds, and the proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlx.records.quality import Quality
from tlx.report.comparison.arms import Arm, reference_of
from tlx.report.comparison.figures import Spread, ratio, spread
from tlx.report.comparison.levels import Reach, over_arm
from tlx.report.comparison.measures import Measure, memory_kind, runs_of, test_key
from tlx.report.comparison.records import Record

UNCHANGED, CHANGED, NO_PROOF, NOTHING_FROZEN = "unchanged", "CHANGED", "no proof", "–"
_WORST_FIRST = (CHANGED, NO_PROOF, UNCHANGED, NOTHING_FROZEN)


def proof_of(record: Record) -> str:
    """The word for one run, the worst of its phases'; frozen tensors without both hashes are
    `no proof`. A later phase without any has not begun."""
    words = {NOTHING_FROZEN}
    if record.number("frozen", "parameters") or record.get("frozen", "blocks"):
        words.add(_word(record.get("frozen")))
    for phase in record.items("phases")[1:]:
        if isinstance(phase, Mapping) and phase.get("hash_before") is not None:
            words.add(_word(phase))
    return next(word for word in _WORST_FIRST if word in words)


def _word(hashed: Any) -> str:
    before, after = (hashed.get(key) for key in ("hash_before", "hash_after"))
    if before is None or after is None:
        return NO_PROOF
    return UNCHANGED if before == after else CHANGED


def worst_proof(records: Iterable[Record]) -> str:
    """The word for several runs: one changed run is enough for CHANGED."""
    words = {proof_of(record) for record in records}
    return next(word for word in _WORST_FIRST if word in words)


_BEYOND_BOUND = 1.25


@dataclass(frozen=True)
class Row:
    """The figures of one arm; None where no run of the arm has the figure.

    Main and second figure are those of the arm's `quality`.
    """

    arm: Arm
    test_second: Spread | None
    test_main: Spread | None
    step_s: Spread | None
    speedup: Spread | None
    bound_speedup: Spread | None
    time_to_loss: Reach | None
    time_to_main: Reach | None
    peak_memory_bytes: Spread | None
    memory_kind: str
    trainable_share: float | None
    fit_min: Spread | None
    energy_kj: Spread | None
    energy_measured: bool | None
    frozen_proof: str

    @property
    def figures(self) -> int:
        """How many runs have the main test figure; where none has, how many runs there are."""
        return self.test_main.n if self.test_main else len(self.arm.tested)

    @property
    def quality(self) -> Quality:
        """What the arm's runs are judged by."""
        return self.arm.first.quality

    @property
    def crowded(self) -> list[str]:
        """Runs whose times are not comparable: others ran beside them on the same machine."""
        return [record.name for record in self.arm.records if record.beside]

    def as_dict(self) -> dict[str, Any]:
        """The row for `report.json`, unrounded."""
        first, records = self.arm.first, self.arm.records
        plain: dict[str, Any] = {
            "arm": self.arm.label,
            "n": self.figures,
            "seeds": [record.get("seed") for record in self.arm.tested],
            "runs": [record.name for record in records],
            "not_alone": self.crowded,
            "freeze": first.freeze,
            "policy": first.policy,
            "scratch": first.scratch,
            "memory_kind": self.memory_kind,
            "energy_measured": self.energy_measured,
            "trainable_share": self.trainable_share,
            "frozen_proof": self.frozen_proof,
        }
        if self.arm.folds is not None:
            plain["folds"] = self.arm.folds.as_dict()
        quality = self.quality
        keys = {
            "test_second": test_key(quality.second),
            "test_main": test_key(quality.main),
            "time_to_main": f"time_to_{quality.short}",
        }
        for name, value in vars(self).items():
            if name not in plain and name != "arm":
                plain[keys.get(name, name)] = None if value is None else value.as_dict()
        return plain


def make_rows(arms: Sequence[Arm], figures: Mapping[str, Measure]) -> list[Row]:
    """The rows of the arms, in their order."""
    bare = [_row(arm, figures) for arm in arms]
    return [_with_speedup(row, bare) for row in bare]


def _row(arm: Arm, figures: Mapping[str, Measure]) -> Row:
    def over_runs(*keys: str) -> Spread | None:
        return spread(record.number(*keys) for record in arm.records)

    def of(key: str) -> Spread | None:
        return spread(figures[key].of(record) for record in runs_of(arm, figures[key]))

    def until(key: str) -> Reach | None:
        return over_arm([figures[key].reached(record) for record in arm.records])

    quality = arm.first.quality
    shares = [record.number("bound", "step_share") for record in arm.records]
    trainable, frozen = over_runs("trainable", "parameters"), over_runs("frozen", "parameters")
    total = None if trainable is None or frozen is None else trainable.mean + frozen.mean
    energy = of("energy_kj")
    measured = (record.get("energy", "measured") is True for record in arm.records)
    return Row(
        arm=arm,
        test_second=of(test_key(quality.second)),
        test_main=of(test_key(quality.main)),
        step_s=of("step_s"),
        speedup=None,
        bound_speedup=spread(1 / share if share else None for share in shares),
        time_to_loss=until("time_to_loss"),
        time_to_main=until(f"time_to_{quality.short}"),
        peak_memory_bytes=of("peak_memory_bytes"),
        memory_kind=memory_kind(arm.first) or "RSS",
        trainable_share=trainable.mean / total if trainable and total else None,
        fit_min=of("fit_min"),
        energy_kj=energy,
        energy_measured=None if energy is None else all(measured),
        frozen_proof=worst_proof(arm.records),
    )


def reference_row(row: Row, rows: Sequence[Row]) -> Row | None:
    """The row that this one is compared with, which may be the row itself."""
    reference = reference_of(row.arm, [other.arm for other in rows])
    return next((other for other in rows if other.arm is reference), None)


def _with_speedup(row: Row, rows: Sequence[Row]) -> Row:
    """The row with its speed-up over `freeze=none`, where one machine made both arms."""
    reference = reference_row(row, rows)
    machines = row.arm.machines | (reference.arm.machines if reference else frozenset())
    if reference is None or reference.arm.depth != "none" or len(machines) > 1:
        return row
    if row is reference:
        step = row.step_s
        speedup = Spread(1.0, 1.0, 1.0, step.n) if step and step.low > 0 else None
    else:
        speedup = ratio(reference.step_s, row.step_s)
    return Row(**{**vars(row), "speedup": speedup})


def row_warnings(rows: Sequence[Row]) -> list[str]:
    """What to know of single arms: frozen tensors that moved, figures missing or unlikely."""
    warnings = []
    for row in rows:
        label = row.arm.label
        changed = [r.name for r in row.arm.records if proof_of(r) == CHANGED]
        if changed:
            warnings.append(
                f"{label}: the frozen tensors CHANGED during training in {', '.join(changed)}; "
                "what this arm shows is not the effect of freezing."
            )
        main = row.quality.main
        if untested := [r.name for r in row.arm.records if r.tested(main.key) is None]:
            warnings.append(f"{label}: no test {main.name} in {', '.join(untested)}.")
        speedup, bound = row.speedup, row.bound_speedup
        if speedup and bound and speedup.mean > _BEYOND_BOUND * bound.mean:
            warnings.append(
                f"{label}: measured {speedup.mean:.2f}× against {bound.mean:.2f}× by arithmetic. "
                "Saved arithmetic does not explain that; look at data loading, memory traffic and "
                "what else the machine was doing before crediting the freeze."
            )
    return warnings
