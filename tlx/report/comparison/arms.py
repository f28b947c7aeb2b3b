"""Arms of a study: runs that differ in nothing but the seed, under the name a reader knows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from tlx.records.arms import SCRATCH, arm_key, arm_labels, natural, unlike_keys, varying_keys
from tlx.records.learned import diverged, learned
from tlx.report.comparison.records import Record

_SETTING = (
    "backbone.name", "data.name", "data.root", "detector.input_size", "classifier.input_size",
    "trainer.batch_size", "trainer.accumulate",
)  # fmt: skip
_EARLIER: Mapping[str, Any] = {"trainer.accumulate": 1}  # of records that say nothing of it
_UNKNOWN = "(settings not recorded)"


@dataclass(frozen=True)
class Folds:
    """Of a set's `count` folds those that are compared, from 0, and what a seed shows over them.

    `seeds` has a record a seed, of all these folds together (`tlx.report.comparison.folds`).
    """

    count: int
    compared: tuple[int, ...]
    seeds: tuple[Record, ...]

    def as_dict(self) -> dict[str, Any]:
        """The folds for `report.json`."""
        return {"count": self.count, "compared": list(self.compared)}


@dataclass(frozen=True)
class Arm:
    """The finished runs of one arm, ordered by seed and fold; there is at least one.

    Attributes:
        settings: what they share, by key (`tlx.records.arms`).
        lost: runs of the arm that did not finish because their loss ceased to be a number.
        folds: of runs that test one fold each; None where runs test all test pictures.
    """

    label: str
    records: tuple[Record, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    lost: tuple[Record, ...] = ()
    folds: Folds | None = None

    @property
    def tested(self) -> tuple[Record, ...]:
        """The runs, or where each tests a fold, what each seed shows over the folds compared."""
        return self.records if self.folds is None else self.folds.seeds

    @property
    def first(self) -> Record:
        """A run that stands for what all runs of the arm share."""
        return self.records[0]

    @property
    def depth(self) -> str:
        """`scratch` for the from-scratch baseline, otherwise the freeze setting."""
        return SCRATCH if self.first.scratch else self.first.freeze

    @property
    def setting(self) -> tuple[str, ...]:
        """What must be equal for step times and test figures of two arms to be set side by side."""
        return tuple(str({**_EARLIER, **self.settings}.get(key)) for key in _SETTING)

    @property
    def machines(self) -> frozenset[tuple[str | None, ...]]:
        """The machines (CPU, cores, GPU) that the runs were made on."""
        return frozenset(machine_of(record) for record in self.records)

    @property
    def learned(self) -> bool:
        """False where every run is known to have learned nothing."""
        return any(learned(record.data) is not False for record in self.records)

    @property
    def sound(self) -> list[Record]:
        """The finished runs that neither diverged nor learned nothing."""
        return [
            record
            for record in self.records
            if learned(record.data) is not False and not diverged(record.data)
        ]

    @property
    def fallen(self) -> str | None:
        """How many runs diverged, and of which seeds; None where none did."""
        runs = [*self.records, *self.lost]
        return _some(len(runs), [run for run in runs if diverged(run.data)], "diverged")

    @property
    def idle(self) -> str | None:
        """How many runs learned nothing, and of which seeds; None where none or all did so."""
        without = [run for run in self.records if learned(run.data) is False]
        if not self.learned:
            return None
        return _some(len(self.records), without, "learned nothing")


def by_seed(records: Sequence[Record]) -> dict[str, Record]:
    """The run of each seed, or of each seed and fold; one with several unlike runs has none."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if (seed := record.text("seed")) is not None:
            found[_seed_and_fold(record, seed)].append(record)
    return {seed: runs[0] for seed, runs in found.items() if len(runs) == 1}


def _seed_and_fold(record: Record, seed: str) -> str:
    fold = None if record.parts else record.fold
    return seed if fold is None else f"{seed} fold {fold}"


def _some(count: int, runs: Sequence[Record], what: str) -> str | None:
    if not runs:
        return None
    seeds = sorted((_seed_and_fold(run, str(run.get("seed"))) for run in runs), key=natural)
    return f"{len(runs)} of {count} runs {what} (seed {', '.join(seeds)})"


def machine_of(record: Record) -> tuple[str | None, ...]:
    """CPU name, number of cores and GPU name of a run."""
    return tuple(record.text("environment", key) for key in ("cpu", "cores", "gpu"))


def reference_of(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """The arm that this one is compared with, which may be the arm itself.

    Where freeze varies it is the `freeze=none` arm of the same setting, of several the one that is
    most like this arm; else the `baseline` of the arms on the same data.
    """
    if (common := baseline(arm, arms)) is not None:
        return common
    free = [
        other
        for other in arms
        if other.depth == "none" and other.first.policy == "fixed" and other.setting == arm.setting
    ]
    return arm if arm in free else nearest(arm, free)


def nearest(arm: Arm, others: Sequence[Arm]) -> Arm | None:
    """Of others the arm that differs in the fewest keys, apart from what is frozen."""
    return min(others, key=lambda o: len(unlike_keys(arm.settings, o.settings)), default=None)


def baseline(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """Where arms on the same data freeze the same: the one with most defaults; else None.

    Of arms that are alike in that it is the first.
    """
    data = [other for other in arms if _data(other) == _data(arm)]
    if len(data) < 2 or len({other.depth for other in data}) > 1:
        return None
    return min(data, key=lambda other: len(not_default(other, data)))


def not_default(arm: Arm, arms: Sequence[Arm]) -> list[str]:
    """The keys that vary among the arms and have another value here than by default."""
    task = arm.first.text("config", "task") or "detect"
    defaults = _defaults(task, arm.first.text("config", "data", "name") or "")
    varying = varying_keys([other.settings for other in arms])
    return [key for key in varying if arm.settings.get(key) != defaults.get(key)]


@cache
def _defaults(task: str, data: str) -> dict[str, Any]:
    """What a run has of which nothing but its data is said: of the schema and of `conf/`, whose
    word is the later one.

    Args:
        data: the name of the set; one that `conf/data` has brings defaults of its own.
    """
    from tlx.config.check import conf_dir  # these import torch
    from tlx.config.composition import composed
    from tlx.config.identity import settings
    from tlx.config.typed import plain

    chosen = [f"task={task}", "data.root=/"]
    if task == "detect":
        known = (conf_dir() / "data" / f"{data}.yaml").is_file()
        chosen.append(f"data={data if known else 'auto'}")
    return settings(plain(composed(chosen)))


def baseline_words(arms: Sequence[Arm]) -> list[str]:
    """Where arms freeze the same, which of them the others are compared with, and why."""
    lines = []
    for arm in arms:
        if baseline(arm, arms) is not arm:
            continue
        others = [other for other in arms if _data(other) == _data(arm)]
        varying = varying_keys([other.settings for other in others])
        defaults = [key for key in varying if key not in not_default(arm, others)]
        why = f"it has the default of {', '.join(defaults)}" if defaults else "it is the first"
        lines.append(
            f"These arms freeze the same (freeze={arm.first.freeze}), so they are compared with "
            f"{arm.label}: {why}."
        )
    return lines


def _data(arm: Arm) -> tuple[str, ...]:
    return tuple(str(arm.settings.get(key)) for key in ("data.name", "data.root"))


def group_arms(records: Sequence[Record]) -> tuple[list[Arm], list[str]]:
    """Group finished runs into arms in reading order, with warnings about repeated seeds."""
    places: dict[tuple[str, str], str] = {}
    settings = [_settled(record, places) for record in records]
    _tell_datasets_apart(records, settings)
    groups: dict[str, list[int]] = defaultdict(list)
    for place, label in enumerate(_labels(records, settings)):
        groups[label].append(place)
    arms: list[Arm] = []
    warnings: list[str] = []
    for label, members in groups.items():
        kept, notes = _without_repeats(label, [records[place] for place in members])
        kept.sort(key=lambda run: (run.number("seed") or 0, run.fold or 0, run.name))
        arms.append(Arm(label, tuple(kept), settings[members[0]]))
        warnings += notes
    return sorted(arms, key=_order), warnings


def with_lost(arms: Sequence[Arm], unfinished: Sequence[Record]) -> list[Arm]:
    """The arms with those of their runs that did not finish because they diverged."""
    lost: dict[str, list[Record]] = defaultdict(list)
    for record in unfinished:
        if diverged(record.data):
            lost[arm_key(record.settings)].append(record)
    return [replace(arm, lost=tuple(lost.get(arm_key(arm.first.settings), ()))) for arm in arms]


def _labels(records: Sequence[Record], settings: Sequence[dict[str, Any]]) -> list[str]:
    """One label a record; a run without its configuration is in no arm of runs with theirs."""
    labels = [""] * len(records)
    for configured in (True, False):
        places = [i for i, record in enumerate(records) if record.configured is configured]
        found = arm_labels([settings[place] for place in places])
        mixed = not configured and len(places) < len(records)
        for place, label in zip(places, found, strict=True):
            labels[place] = f"{label} {_UNKNOWN}" if mixed else label
    return labels


def _settled(record: Record, places: dict[tuple[str, str], str]) -> dict[str, Any]:
    """The record's settings, a place of known content under the first name that it had."""
    found = dict(record.settings)
    dataset = _content(record)
    contents = {
        "backbone.weights": record.text("weights", "sha256"),
        "data.root": json.dumps(dataset, sort_keys=True) if dataset else None,
    }
    if found.get("data.splits") not in ("named", "cut", None):
        contents["data.splits"] = contents["data.root"]
    for key, content in contents.items():
        value = found.get(key)
        if (
            content is not None
            and isinstance(value, str)
            and (key != "backbone.weights" or "/" in value or "@" in value)
        ):
            found[key] = places.setdefault((key, content), value)
    return found


def _content(record: Record) -> Any:
    """Which pictures with which boxes a run had in which split.

    What changes from run to run of an arm is left out: the splits of a fold, the pictures that a
    seed draws.
    """
    dataset = record.get("dataset")
    if not isinstance(dataset, Mapping):
        return dataset
    if record.fold is not None:
        return {"classes": dataset.get("classes"), "whole": dataset.get("whole")}
    splits = dataset.get("splits")
    if record.draws_train and isinstance(splits, Mapping):
        return {**dataset, "splits": {k: v for k, v in splits.items() if k != "train"}}
    return dataset


def _tell_datasets_apart(records: Sequence[Record], settings: Sequence[dict[str, Any]]) -> None:
    """Number the contents of a data set that changed between runs of one configuration.

    Runs of before and after a correction are no seeds of one arm.
    """
    found: dict[str, dict[str, int]] = defaultdict(dict)
    seen = []
    for record, own in zip(records, settings, strict=True):
        asked = arm_key({key: value for key, value in own.items() if key.startswith("data.")})
        content = json.dumps(_content(record), sort_keys=True)
        found[asked].setdefault(content, len(found[asked]) + 1)
        seen.append((own, asked, content))
    for own, asked, content in seen:
        if len(found[asked]) > 1:
            own["dataset"] = "unknown" if content == "null" else found[asked][content]


def _without_repeats(label: str, records: list[Record]) -> tuple[list[Record], list[str]]:
    """Drop older copies of the same run: a repeat of a seed is no second sample."""
    latest: dict[object, Record] = {}
    warnings: list[str] = []
    prints: dict[str, set[str | None]] = defaultdict(set)
    for record in sorted(records, key=lambda record: record.text("finished") or ""):
        seed = record.text("seed")
        seed = None if seed is None else _seed_and_fold(record, seed)
        # All runs of an arm have its settings, if these are known at all.
        fingerprint = "" if record.configured else record.text("fingerprint")
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


def _order(arm: Arm) -> tuple[int, int, bool, list[tuple[int, float, str]]]:
    """Scratch, none, depths ascending, all, heads, named blocks; `fixed` before other policies."""
    ranks = {SCRATCH: 0, "none": 1, "all": 3, "heads": 4}
    number = int(arm.depth) if arm.depth.isdecimal() else -1
    rank = 2 if number >= 0 else ranks.get(arm.depth, 5)
    return rank, number, arm.first.policy != "fixed", natural(arm.label)
