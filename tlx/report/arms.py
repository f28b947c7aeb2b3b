"""Arms of a study: runs that differ in nothing but the seed, under the name a reader knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tlx.learned import learned
from tlx.report.records import Record

_SPOKEN = ("backbone", "data")
_SETTINGS = {"input_size": "input", "epochs": "epochs", "batch_size": "batch"}


@dataclass(frozen=True)
class Arm:
    """The finished runs of one arm, ordered by seed; there is at least one."""

    label: str
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """A run that stands for what all runs of the arm share."""
        return self.records[0]

    @property
    def depth(self) -> str:
        """`scratch` for the from-scratch baseline, otherwise the freeze setting."""
        return "scratch" if self.first.scratch else self.first.freeze

    @property
    def setting(self) -> tuple[str | None, ...]:
        """What must be equal for step times and test figures of two arms to be set side by side."""
        keys = ("backbone", "data", "input_size", "batch_size")
        return tuple(self.first.text(key) for key in keys)

    @property
    def machines(self) -> frozenset[tuple[str | None, ...]]:
        """The machines (CPU, cores, GPU) that the runs were made on."""
        return frozenset(machine_of(record) for record in self.records)

    @property
    def learned(self) -> bool:
        """False where every run is known to have learned nothing."""
        return any(learned(record.data) is not False for record in self.records)

    @property
    def by_seed(self) -> dict[str, Record]:
        """The run of each seed; a seed with several unlike runs belongs to none of them."""
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            if (seed := record.text("seed")) is not None:
                found[seed].append(record)
        return {seed: runs[0] for seed, runs in found.items() if len(runs) == 1}


def machine_of(record: Record) -> tuple[str | None, ...]:
    """CPU name, number of cores and GPU name of a run."""
    return tuple(record.text("environment", key) for key in ("cpu", "cores", "gpu"))


def base_label(record: Record) -> str:
    """`scratch` or `freeze=4`, with the policy behind it when that is not `fixed`."""
    label = f"freeze={record.freeze}"
    if record.scratch:
        label = "scratch" if record.freeze == "none" else f"scratch {label}"
    return label if record.policy == "fixed" else f"{label} {record.policy}"


def reference_of(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The `freeze=none` arm of the same setting, which may be the arm itself."""
    for other in arms:
        if other.depth == "none" and other.first.policy == "fixed" and other.setting == arm.setting:
            return other
    return None


def group_arms(records: Sequence[Record]) -> tuple[list[Arm], list[str]]:
    """Group finished runs into arms in reading order, with warnings about repeated seeds."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record, label in zip(records, _labels(records), strict=True):
        groups[label].append(record)
    arms: list[Arm] = []
    warnings: list[str] = []
    for label, members in groups.items():
        kept, notes = _without_repeats(label, members)
        kept.sort(key=lambda record: (record.number("seed") or 0, record.name))
        arms.append(Arm(label, tuple(kept)))
        warnings += notes
    return sorted(arms, key=_order), warnings


def _labels(records: Sequence[Record]) -> list[str]:
    """One label a record; what varies is spelled out, what is the same everywhere is not."""
    labels = [base_label(record) for record in records]
    for key in _SPOKEN:
        values = [record.text(key) for record in records]
        if len(set(values)) > 1:
            labels = [f"{label} {value}" for label, value in zip(labels, values, strict=True)]
    # Other settings are named only where one label would otherwise stand for unlike runs.
    for key, word in _SETTINGS.items():
        found: dict[str, set[str | None]] = defaultdict(set)
        for label, record in zip(labels, records, strict=True):
            found[label].add(record.text(key))
        labels = [
            f"{label} {word}={record.text(key)}" if len(found[label]) > 1 else label
            for label, record in zip(labels, records, strict=True)
        ]
    return labels


def _without_repeats(label: str, records: list[Record]) -> tuple[list[Record], list[str]]:
    """Drop older copies of the same run: a repeat of a seed is no second sample."""
    latest: dict[object, Record] = {}
    warnings: list[str] = []
    prints: dict[str, set[str | None]] = defaultdict(set)
    for record in sorted(records, key=lambda record: record.text("finished") or ""):
        seed, fingerprint = record.text("seed"), record.text("fingerprint")
        if seed is None or fingerprint is None:
            latest[id(record)] = record
            continue
        if (older := latest.get((seed, fingerprint))) is not None:
            warnings.append(
                f"{label}: seed {seed} was run twice with the same settings; "
                f"{record.folder} is used, {older.folder} is left out"
            )
        latest[seed, fingerprint] = record
        prints[seed].add(fingerprint)
    mixed = sorted(seed for seed, found in prints.items() if len(found) > 1)
    if mixed:
        warnings.append(
            f"{label}: seed {', '.join(mixed)} occurs under different fingerprints, so the arm "
            "mixes runs that differ in a setting which the label does not name; report them apart"
        )
    return list(latest.values()), warnings


def _order(arm: Arm) -> tuple[int, int, bool, str]:
    """Scratch, none, depths ascending, all, heads, named blocks; `fixed` before other policies."""
    ranks = {"scratch": 0, "none": 1, "all": 3, "heads": 4}
    number = int(arm.depth) if arm.depth.isdecimal() else -1
    rank = 2 if number >= 0 else ranks.get(arm.depth, 5)
    return rank, number, arm.first.policy != "fixed", arm.label
