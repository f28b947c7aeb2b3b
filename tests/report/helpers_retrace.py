"""The figures of a report worked out again from records, with numpy and nothing of tlx.

What is computed here follows the definitions in docs/report.md, not the code of tlx.report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.stats

Record = dict[str, Any]
Arms = dict[str, list[Record]]
ORDER = ["scratch", "freeze=none", "freeze=4", "freeze=8", "freeze=8 two_phase", "freeze=all"]
DRAWN = 400


def read_arms(study: Path) -> Arms:
    """Finished runs by arm, in the order of the table; runs of an arm by seed."""
    arms: Arms = {}
    for path in study.glob("*/record.json"):
        record = json.loads(path.read_text())
        if record["status"] == "finished":
            arms.setdefault(name_of(record), []).append(record)
    return {
        name: sorted(arms[name], key=lambda record: record["seed"])
        for name in ORDER
        if name in arms
    }


def name_of(record: Record) -> str:
    scratch = record["weights"]["source"] == "scratch"
    name = "scratch" if scratch else f"freeze={record['freeze']}"
    return name if record["policy"] == "fixed" else f"{name} {record['policy']}"


def value(record: Record, *keys: str) -> float | None:
    found: Any = record
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Mean, smallest, largest and number of the known values."""
    known = [v for v in values if v is not None]
    if not known:
        return None
    return {"mean": float(np.mean(known)), "min": min(known), "max": max(known), "n": len(known)}


def over(records: list[Record], *keys: str, scale: float = 1.0) -> dict[str, float] | None:
    values = (value(record, *keys) for record in records)
    return spread(None if v is None else v * scale for v in values)


def points(record: Record, name: str) -> np.ndarray:
    """The points of a series without those that hold a null, [N, 3]."""
    return np.array([p for p in record[name] if None not in p], float).reshape(-1, 3)


def smoothed(record: Record) -> np.ndarray:
    """Mean of the loss over the last epoch's worth of steps, where there are as many, [M, 3]."""
    loss = points(record, "loss")
    window = round(len(loss) / len(record["map_50"]))
    means = np.convolve(loss[:, 2], np.ones(window) / window, mode="valid")
    return np.column_stack([loss[window - 1 :, :2], means])


def validations(record: Record) -> np.ndarray:
    return points(record, "map_50")


def curve(
    records: list[Record], series: Callable[[Record], np.ndarray], *, by_step: bool
) -> dict[str, Any]:
    """The arm's mean curve with its band, at no more than 400 of the steps all runs have."""
    runs = [series(record) for record in records]
    steps = runs[0][:, 1]
    for run in runs[1:]:
        steps = np.intersect1d(steps, run[:, 1])
    chosen = np.stack([run[np.isin(run[:, 1], steps)] for run in runs])  # [runs, K, 3]
    kept = np.arange(len(steps))
    if len(steps) > DRAWN:
        kept = np.unique(np.round(np.linspace(0, len(steps) - 1, DRAWN)).astype(int))
    seconds, values = chosen[:, kept, 0].mean(0), chosen[:, kept, 2]
    return {
        "seeds": len(records),
        "x": (steps[kept] if by_step else seconds).tolist(),
        "y": values.mean(0).tolist(),
        "low": values.min(0).tolist(),
        "high": values.max(0).tolist(),
    }


def loss_level(arms: Arms) -> float:
    return max(smoothed(record)[-1, 2] for records in arms.values() for record in records)


def map_level(arms: Arms) -> float:
    return min(
        validations(record)[:, 2].max()
        for name, records in arms.items()
        if name != "scratch"
        for record in records
    )


def half_width(gaps: np.ndarray, pictures: np.ndarray, resolved: float) -> float:
    """Half of the 95 % interval of gaps [S] whose pictures add [S, P], by sums over the cells."""
    seeds, count = pictures.shape
    cells, mean = seeds * count, pictures.mean()
    rows, columns = pictures.mean(1) - mean, pictures.mean(0) - mean
    own = seeds * sum(c * c for c in columns) / (count - 1)
    rest = sum(
        (pictures[s, p] - mean - rows[s] - columns[p]) ** 2
        for s in range(seeds)
        for p in range(count)
    ) / ((seeds - 1) * (count - 1))
    by_seed = max(gaps.var(ddof=1), resolved**2) / seeds
    by_picture = max(0.0, own - rest) / cells
    total = by_seed + by_picture
    free = total / (by_seed / (seeds - 1) + by_picture / (count - 1))
    return float(scipy.stats.t.ppf(0.975, free) * np.sqrt(total))


def pseudo(study: Path, record: Record, ious: list[float]) -> np.ndarray:
    """Pictures' pseudo-values of mAP: average precision with and without each, [P]."""
    images = json.loads((study / record["name"] / "predictions" / "test.json").read_text())[
        "images"
    ]
    columns = []
    for label in (1, 2):
        for least in ious:
            parts = [_judged(image, label, least) for image in images]
            if not (total := sum(objects for _, objects in parts)):
                continue
            whole = _average_precision(parts)
            columns.append(
                [
                    len(parts) * whole
                    - (len(parts) - 1) * _average_precision(parts[:p] + parts[p + 1 :])
                    if parts[p][1] < total
                    else whole
                    for p in range(len(parts))
                ]
            )
    return np.mean(columns, axis=0)


def _judged(image: dict[str, Any], label: int, least: float) -> tuple[list[Any], int]:
    """Score and hit of each detection of a class, and how many objects there are; none ignored."""
    truth, found = image["truth"], image["found"]
    assert not any(truth["ignored"])
    objects = [b for b, own in zip(truth["boxes"], truth["labels"], strict=True) if own == label]
    free, judged = list(objects), []
    rows = zip(found["scores"], found["boxes"], found["labels"], strict=True)
    for score, box, own in sorted(rows, key=lambda row: -row[0]):
        if own == label:
            best = max(free, key=lambda other: iou(box, other), default=None)
            hit = best is not None and iou(box, best) >= least
            if hit:
                free.remove(best)
            judged.append((score, hit))
    return judged, len(objects)


def _average_precision(parts: list[tuple[list[Any], int]]) -> float:
    judged = sorted((row for rows, _ in parts for row in rows), key=lambda row: -row[0])
    hits = np.cumsum([hit for _, hit in judged])
    total = sum(objects for _, objects in parts)
    curve = [(h / total, h / (n + 1)) for n, h in enumerate(hits)]
    levels = np.linspace(0, 1, 101)
    return float(np.mean([max((p for r, p in curve if r >= x), default=0.0) for x in levels]))


def seconds_to_loss(record: Record, level: float) -> float | None:
    series = smoothed(record)
    hits = series[series[:, 2] <= level]
    return float(hits[0, 0]) if len(hits) else None


def seconds_to_map(record: Record, level: float) -> float | None:
    series = validations(record)
    hits = series[series[:, 2] >= level]
    return float(hits[0, 0]) if len(hits) else None


def speedup(arms: Arms, name: str) -> dict[str, float]:
    """Step time of freeze=none over the arm's, with the widest range that the seeds allow."""
    base = over(arms["freeze=none"], "step_time", "median_s")
    own = over(arms[name], "step_time", "median_s")
    assert base is not None
    assert own is not None
    if name == "freeze=none":
        return {"mean": 1.0, "min": 1.0, "max": 1.0}
    return {
        "mean": base["mean"] / own["mean"],
        "min": base["min"] / own["max"],
        "max": base["max"] / own["min"],
    }


def frozen_proof(records: list[Record]) -> str:
    frozen = [r["frozen"] for r in records if r["frozen"]["parameters"]]
    if not frozen:
        return "–"
    if any(f["hash_before"] is None or f["hash_after"] is None for f in frozen):
        return "no proof"
    equal = all(f["hash_before"] == f["hash_after"] for f in frozen)
    return "unchanged" if equal else "CHANGED"


def front(places: dict[str, tuple[float, float]]) -> set[str]:
    """Names of those that none is at most as dear and at least as good as, and better in one."""
    best = set()
    for name, (x, y) in places.items():
        others = [place for other, place in places.items() if other != name]
        if not any(a <= x and b >= y and (a < x or b > y) for a, b in others):
            best.add(name)
    return best


def iou(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return shared / (sum(areas) - shared)


class Traced(NamedTuple):
    """A study that was reported on: its folder, its runs, `report.json`, the page."""

    study: Path
    arms: Arms
    data: dict[str, Any]
    page: str


def read_report(study: Path) -> Traced:
    folder = study / "report"
    data = json.loads((folder / "report.json").read_text())
    return Traced(study, read_arms(study), data, (folder / "index.html").read_text())


def same(found: Any, expected: Any) -> bool:
    """Equal up to the rounding of sums in another order."""
    return bool(found == pytest.approx(expected, rel=1e-9, abs=1e-12))
