"""The answer in words, made from the numbers and no stronger than they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tlx.report.compare import Comparison, Row
from tlx.report.formats import seconds, three
from tlx.report.spread import SUPPORTED, Spread, chance_apart, overlap

Format = Callable[[float], str]


def verdict(comparison: Comparison) -> list[str]:
    """Sentences that answer which arm is best, which is fastest, and whether that is shown."""
    lines = []
    if comparison.differs:
        lines.append(
            f"Unlike runs are compared (they differ in {', '.join(comparison.differs)}): read the "
            "warnings before the figures."
        )
    for data, rows in _by_data(comparison.rows).items():
        where = f" ({data})" if "data" in comparison.differs else ""
        lines += _best_on_test(rows, where)
    lines += _fastest_step(comparison.rows)
    lines += _first_to_level(comparison)
    lines += _against_reference(comparison)
    lines += _against_scratch(comparison.rows)
    return lines + _grain(comparison.rows)


def judge(one: Spread, other: Spread, show: Format) -> str:
    """Whether two figures over seeds establish a difference, as a sentence."""
    gap = show(abs(one.mean - other.mean))
    if min(one.n, other.n) < 2:
        count = "n=1 seed per arm" if one.n == other.n else f"n={one.n} and n={other.n} seeds"
        return (
            f"With {count} a difference of {gap} is not evidence: no interval can be given, "
            "so no difference is established."
        )
    ranges = f"{_range(one, show)} against {_range(other, show)}"
    if overlap(one, other):
        return f"The ranges over seeds overlap ({ranges}): no difference is shown."
    chance = chance_apart(one, other)
    strength = "supports a difference" if chance <= SUPPORTED else "is a hint, not proof"
    return (
        f"The ranges over seeds lie apart ({ranges}). Two arms that do not differ would do that "
        f"in 1 of {1 / chance:.0f} cases (n={one.n} and n={other.n}), so this {strength}."
    )


def judge_briefly(one: Spread, other: Spread) -> str:
    """`judge` in a few words, for lines that follow a full sentence."""
    if min(one.n, other.n) < 2:
        return "n=1, not established"
    if overlap(one, other):
        return "ranges overlap, no difference shown"
    chance = chance_apart(one, other)
    strength = "supported" if chance <= SUPPORTED else "a hint"
    return f"ranges lie apart, 1 in {1 / chance:.0f} by chance, {strength}"


def best_and_worst(rows: Sequence[Row]) -> tuple[Row, Row] | None:
    """Best and worst arm by test mAP@.5, among the data set that most arms share."""
    shared = max(_by_data(rows).values(), key=len)
    ranked = _ranked(shared, lambda row: row.test_map_50, highest=True)
    return (ranked[0][0], ranked[-1][0]) if len(ranked) > 1 else None


def _range(figure: Spread, show: Format) -> str:
    return f"{show(figure.low)}–{show(figure.high)}"


def _by_data(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.arm.first.text("data") or "unnamed data", []).append(row)
    return groups


def _ranked(
    rows: Sequence[Row], figure: Callable[[Row], Spread | None], *, highest: bool
) -> list[tuple[Row, Spread]]:
    known = [(row, value) for row in rows if (value := figure(row)) is not None]
    return sorted(known, key=lambda pair: pair[1].mean, reverse=highest)


def _best_on_test(rows: Sequence[Row], where: str) -> list[str]:
    ranked = _ranked(rows, lambda row: row.test_map_50, highest=True)
    if not ranked:
        return [f"Best on test{where}: unknown, no arm has a test mAP@.5."]
    row, best = ranked[0]
    strict = f", mAP@[.5:.95] {row.test_map.mean:.3f}" if row.test_map else ""
    line = f"Best on test{where}: {row.arm.label} (mAP@.5 {best.mean:.3f}{strict})"
    if len(ranked) == 1:
        return [f"{line}; no other arm to compare it with."]
    other, second = ranked[1]
    return [f"{line}; next: {other.arm.label} ({second.mean:.3f}). {judge(best, second, three)}"]


def _fastest_step(rows: Sequence[Row]) -> list[str]:
    ranked = _ranked(rows, lambda row: row.step_s, highest=False)
    if len(ranked) < 2:
        return []
    (row, fastest), (other, second) = ranked[:2]
    return [
        f"Fastest step: {row.arm.label} ({seconds(fastest.mean)}){_speedup(row)}; "
        f"next: {other.arm.label} ({seconds(second.mean)}; {judge_briefly(fastest, second)})."
    ]


def _speedup(row: Row) -> str:
    """Measured speed-up and bound, to stand behind other words."""
    if row.speedup is None:
        return ""
    bound = f" (arithmetic alone: {row.bound_speedup.mean:.2f}×)" if row.bound_speedup else ""
    return f", step rate {row.speedup.mean:.2f}× that of freeze=none{bound}"


def _first_to_level(comparison: Comparison) -> list[str]:
    level = comparison.levels.map
    full = [row for row in comparison.rows if row.time_to_map and not row.time_to_map.missed]
    ranked = _ranked(full, _seconds_to_map, highest=False)
    if level is None or len(ranked) < 2:
        return []
    (row, first), (other, second) = ranked[:2]
    return [
        f"First to validation mAP@.5 ≥ {level.value:.3f}: {row.arm.label} "
        f"({seconds(first.mean)} of fit); next: {other.arm.label} ({seconds(second.mean)}; "
        f"{judge_briefly(first, second)})."
    ]


def _seconds_to_map(row: Row) -> Spread | None:
    return row.time_to_map.seconds if row.time_to_map else None


def _against_reference(comparison: Comparison) -> list[str]:
    lines = []
    for row in comparison.rows:
        reference = comparison.reference(row)
        if reference is None or reference is row or row.arm.first.scratch:
            continue
        one, other = row.test_map_50, reference.test_map_50
        if one is None or other is None:
            continue
        gap = one.mean - other.mean
        lines.append(
            f"{row.arm.label} against {reference.arm.label}: test mAP@.5 {gap:+.3f} "
            f"({judge_briefly(one, other)}){_speedup(row)}."
        )
    return lines


def _against_scratch(rows: Sequence[Row]) -> list[str]:
    """Name what pretrained weights bring, and negative transfer where the seeds support it."""
    lines = []
    for scratch in (row for row in rows if row.arm.depth == "scratch"):
        rivals = [
            row for row in rows if row is not scratch and row.arm.setting == scratch.arm.setting
        ]
        ranked = _ranked(rivals, lambda row: row.test_map_50, highest=False)
        if not ranked or scratch.test_map_50 is None:
            continue
        row, worst = ranked[0]
        gap = worst.mean - scratch.test_map_50.mean
        line = (
            f"{row.arm.label}, the weakest pretrained arm, against {scratch.arm.label}: test "
            f"mAP@.5 {gap:+.3f} ({judge_briefly(worst, scratch.test_map_50)})."
        )
        lines.append(f"{line} Below scratch is negative transfer." if gap < 0 else line)
    return lines


def _grain(rows: Sequence[Row]) -> list[str]:
    counts = [r.number("test", "boxes") for row in rows for r in row.arm.records]
    boxes = min((count for count in counts if count), default=None)
    if boxes is None:
        return []
    return [
        f"The test set holds {boxes:.0f} boxes: one box found or missed moves recall by "
        f"{1 / boxes:.3f}, so a smaller difference is less than one box."
    ]
