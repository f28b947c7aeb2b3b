"""Folds of a set, pooled: what the runs of a seed show when every picture is tested once.

Runs of k folds are k models, whose scores cannot be ranked as one model's, so detections are not
thrown together. A class's AP is the mean over the folds, each weighted by its objects of the class
in that fold, so that every object counts once; mAP is the mean over the classes. Arms are compared
over the folds that all of them have.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tlx.records.quality import DETECTION, number
from tlx.report.comparison.arms import Arm, Folds, by_seed
from tlx.report.comparison.records import Record

_MEANS = {"map": "ap", "map_50": "ap_50", "voc07_ap50": "voc07_ap50"}
_IGNORED = "difficult"  # boxes that are neither hits nor misses; earlier records do not count them
_MOST_SETS = 256  # sets of folds that are looked at: a study that lacks runs has a few
_ByFold = dict[int, Record]


def pool_folds(arms: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """The arms with what their seeds show over the folds that all have, and what to know of it.

    Arms without folds are as they were.
    """
    groups: dict[tuple[str, ...], list[Arm]] = defaultdict(list)
    for arm in arms:
        if arm.first.fold is not None:
            groups[_study(arm)].append(arm)
    pooled: dict[str, Arm] = {}
    warnings: list[str] = []
    for members in groups.values():
        found, told = _pool(members)
        pooled |= {arm.label: arm for arm in found}
        warnings += told
    return [pooled.get(arm.label, arm) for arm in arms], warnings


def _study(arm: Arm) -> tuple[str, ...]:
    """What arms must share to be compared over the same folds: all that divides the pictures."""
    keys = ("name", "root", "splits", "split_seed", "folds", "stratify", "group_near_duplicates")
    return tuple(str(arm.settings.get(f"data.{key}")) for key in keys)


def _pool(arms: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """Arms of one set of folds."""
    count = int(arms[0].first.number("config", "data", "folds") or 0)
    runs = {arm.label: _by_seed_and_fold(arm) for arm in arms}
    compared = common_folds([list(seeds.values()) for seeds in runs.values()])
    found = []
    left_out: list[str] = []
    for arm in arms:
        whole = {s: r for s, r in runs[arm.label].items() if compared and compared <= r.keys()}
        seeds = tuple(_pooled([own[fold] for fold in sorted(compared)]) for own in whole.values())
        left_out += [
            f"{arm.label} seed {seed} (without fold {_listed(compared - own.keys())})"
            for seed, own in runs[arm.label].items()
            if seed not in whole
        ]
        found.append(replace(arm, folds=Folds(count, tuple(sorted(compared)), seeds)))
    return found, _warnings(count, compared, left_out)


def _warnings(count: int, compared: Collection[int], left_out: Sequence[str]) -> list[str]:
    if not compared:
        return ["Folds: no run has a figure on test."]
    if len(compared) == count:
        tested = f"every picture is tested once in {count} folds, by {count} models"
    else:
        plural = "s" if len(compared) > 1 else ""
        tested = (
            f"only fold{plural} {_listed(compared)} of {count} (numbered from 0) "
            f"{'are' if plural else 'is'} there for all arms, so that a part of the pictures is "
            "not tested; the figures are of these alone, and other runs count in times and memory "
            "only"
        )
    lines = [
        f"Folds: {tested}. A figure on test is the mean over folds, in each class weighted by its "
        "objects. Training sets of folds overlap, so that intervals are a little too narrow "
        "(docs/statistics.md)."
    ]
    if left_out:
        lines.append(f"Not in the figures on test, as folds are missing: {'; '.join(left_out)}.")
    return lines


def _listed(folds: Collection[int]) -> str:
    return ", ".join(map(str, sorted(folds)))


def _by_seed_and_fold(arm: Arm) -> dict[str, _ByFold]:
    """The run of each fold of each seed, where it has a figure."""
    found: dict[str, _ByFold] = defaultdict(dict)
    for record in by_seed(arm.records).values():
        if record.fold is not None and record.tested(DETECTION.main.key) is not None:
            found[str(record.get("seed"))][record.fold] = record
    return dict(found)


def common_folds(arms: Sequence[Sequence[Mapping[int, object]]]) -> frozenset[int]:
    """The folds to compare over: those that keep the most arms, then runs, then folds.

    Args:
        arms: Of each arm what folds each of its seeds has; a seed takes part that has them all.
    """
    sets = {frozenset(seed) for seeds in arms for seed in seeds}
    grown = set(sets)
    for one in sorted(sets, key=sorted):  # what several seeds share
        if len(grown) < _MOST_SETS:
            grown |= {one & other for other in grown}

    def kept(folds: frozenset[int]) -> tuple[int, int, int, list[int]]:
        seeds = [sum(folds <= set(seed) for seed in own) for own in arms]
        within = sum(count > 0 for count in seeds)
        return within, sum(seeds) * len(folds), len(folds), [-fold for fold in sorted(folds)]

    return max((folds for folds in grown if folds), key=kept, default=frozenset())


def _pooled(runs: Sequence[Record]) -> Record:
    """The runs of the folds of one seed as one: the figures on test, and on which pictures."""
    first = runs[0]
    data = {**first.data, "test": _test(runs), "dataset": _dataset(runs)}
    return replace(first, data=data, parts=tuple(runs))


def _test(runs: Sequence[Record]) -> dict[str, Any]:
    classes = dict.fromkeys(n for r in runs for n in (r.get("test", "per_class") or {}))
    rows = {name: _class([r.get("test", "per_class", name) for r in runs]) for name in classes}
    found: dict[str, Any] = {}
    for figure, of_class in _MEANS.items():
        known = [value for row in rows.values() if (value := number(row, of_class)) is not None]
        found[figure] = math.fsum(known) / len(known) if known else None
    for count in ("images", "boxes"):
        found[count] = round(sum(run.number("test", count) or 0 for run in runs))
    return found | {"per_class": rows}


def _class(rows: Sequence[object]) -> dict[str, Any]:
    """A class over the folds, each weighted by its objects that count."""
    found: dict[str, Any] = {
        count: round(sum(number(row, count) or 0 for row in rows)) for count in ("boxes", _IGNORED)
    }
    for figure in _MEANS.values():
        known = [
            (value, (number(row, "boxes") or 0) - (number(row, _IGNORED) or 0))
            for row in rows
            if (value := number(row, figure)) is not None
        ]
        total = sum(weight for _, weight in known)
        mean = math.fsum(value * weight for value, weight in known) / total if total else None
        found[figure] = mean
    reasons = [row.get("reason") for row in rows if isinstance(row, Mapping)]
    found["reason"] = None if found["ap"] is not None else next(filter(None, reasons), None)
    return found


def _dataset(runs: Sequence[Record]) -> dict[str, Any] | None:
    """Of each split the pictures of all folds, as digests that are equal where these are."""
    parts = [run.get("dataset", "splits") for run in runs]
    if not all(isinstance(part, Mapping) for part in parts):
        return None
    splits: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        of_split = [part.get(split) for part in parts]
        if all(isinstance(each, Mapping) for each in of_split):
            splits[split] = {
                "images": sum(each.get("images") or 0 for each in of_split),
                **{key: _joined([each.get(key) for each in of_split]) for key in _DIGESTS},
            }
    return {"classes": runs[0].get("dataset", "classes"), "splits": splits}


_DIGESTS = ("pictures", "boxes")


def _joined(digests: Sequence[object]) -> str:
    """The digest of digests; of one fold its own."""
    if len(digests) == 1:
        return str(digests[0])
    return hashlib.sha256("\n".join(map(str, digests)).encode()).hexdigest()[:16]
