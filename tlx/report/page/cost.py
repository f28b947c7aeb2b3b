"""What a choice costs, in plain words: training time, memory, energy, and the quality given up."""

from __future__ import annotations

from collections.abc import Callable

from tlx.report.comparison.candidates import over_limits, trained_on_less
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.figures import significant
from tlx.report.comparison.overlap import HELD_UP, waited_share
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.page.choice import row_of
from tlx.report.page.spoken import duration, given_up, listed, short

_LIKE = 0.005  # shares that are shown as 0 %


def cost_of(comparison: Comparison, advice: Recommendation) -> list[str]:
    """Of the arm that is named against its reference; where none is, the range of all arms."""
    label = advice.arm or advice.lean
    if label is None:
        return _range_of_all(comparison)
    row = row_of(comparison, label)
    reference = comparison.reference(row)
    other = None if reference is row else reference
    lines = [
        _time(comparison, row, other),
        _amount(row, other, "Memory in training", mebibytes),
        _amount(row, other, "Energy", _kilojoules),
    ]
    if advice.difference is not None:
        lost = given_up(advice.difference, comparison.main)
        against = advice.difference.reference
        lines.append(f"{comparison.quality.main.name} given up against {against}: {lost}.")
    lines += [_cheaper(comparison, row, advice), _waits(comparison)]
    return [line for line in lines if line]


def _time(comparison: Comparison, row: Row, other: Row | None) -> str:
    if row.fit_min is None:
        why = "other runs were at work beside it" if row.crowded else "it was not recorded"
        return f"Training time: not known, as {why}.{_by_arithmetic(row)}"
    text = f"Training time: {duration(row.fit_min.mean)}"
    found = comparison.difference(row.arm.label, "fit_min")
    if other is None or other.fit_min is None:
        return f"{text}."
    text += f"; {other.arm.label} takes {duration(other.fit_min.mean)}"
    if found is None or found.mean is None:
        return f"{text}. The two times cannot be compared."
    text += f", so it is {_less(found.mean)}"
    if found.low is not None and found.high is not None and _less(found.low) != _less(found.high):
        text += f" (95 % interval: {_less(found.low)} to {_less(found.high)})"
    return f"{text}."


def _by_arithmetic(row: Row) -> str:
    if row.bound_speedup is None or row.bound_speedup.mean <= 1:
        return ""
    speedup = f"{row.bound_speedup.mean:.2f} times as fast"
    return f" By arithmetic alone a step is {speedup} as one in which everything trains."


def _less(share: float) -> str:
    if abs(share) < _LIKE:
        return "as long"
    return f"{100 * abs(share):.0f} % {'less' if share < 0 else 'more'}"


def _amount(row: Row, other: Row | None, what: str, show: Callable[[Row], str | None]) -> str:
    if (own := show(row)) is None:
        return ""
    beside = show(other) if other is not None else None
    text = f"{what}: {own}"
    if other is not None and beside is not None:
        text += f"; {other.arm.label} {beside}"
    return f"{text}."


def mebibytes(row: Row) -> str | None:
    """Peak memory; None where it was not measured."""
    found = row.peak_memory_bytes
    return None if found is None else f"{found.mean / 2**20:.0f} MiB"


def _kilojoules(row: Row) -> str | None:
    if row.energy_kj is None:
        return None
    estimated = "" if row.energy_measured else " (estimated)"
    return f"{significant(row.energy_kj.mean)} kJ{estimated}"


def _cheaper(comparison: Comparison, row: Row, advice: Recommendation) -> str:
    """Arms that train faster and were not taken, as their loss may be too large."""
    if row.fit_min is None:
        return ""
    for_another_reason = trained_on_less(comparison.rows)
    faster = [
        f"{other.arm.label} ({duration(other.fit_min.mean)})"
        for other in comparison.rows
        if other.fit_min is not None
        and other.fit_min.mean < row.fit_min.mean
        and other.arm.label in advice.refused
        and other.arm.label not in for_another_reason
        and over_limits(other, advice.limits, {}) is None
    ]
    if not faster:
        return ""
    told = listed(faster) if short(faster) else f"{len(faster)} arms"
    return f"Faster, but not shown to be good enough: {told}."


def _range_of_all(comparison: Comparison) -> list[str]:
    timed = sorted(
        (row.fit_min.mean, row.arm.label) for row in comparison.rows if row.fit_min is not None
    )
    lines = [_range("Training time", timed, duration)] if timed else []
    if unknown := sum(row.fit_min is None and bool(row.crowded) for row in comparison.rows):
        lines.append(
            f"Training times of {unknown} arm{'s' if unknown > 1 else ''} are not known, as other "
            "runs were at work beside them."
        )
    sized = sorted(
        (row.peak_memory_bytes.mean, row.arm.label)
        for row in comparison.rows
        if row.peak_memory_bytes is not None
    )
    if sized:
        lines.append(_range("Memory in training", sized, lambda v: f"{v / 2**20:.0f} MiB"))
    if timed and (waits := _waits(comparison)):
        lines.append(waits)
    return lines or ["No run has its time or its memory on record."]


def _waits(comparison: Comparison) -> str:
    """That times hold the wait for a core, where that is much of them."""
    runs = [record for row in comparison.rows if row.fit_min for record in row.arm.records]
    most = max((share for run in runs if (share := waited_share(run))), default=0.0)
    if most <= HELD_UP:
        return ""
    return (
        f"Up to {100 * most:.0f} % of a training was waiting for a core that another program had: "
        "these times tell little of what was frozen."
    )


def _range(what: str, found: list[tuple[float, str]], show: Callable[[float], str]) -> str:
    """The least and the most, with the arms that they are of; of sorted figures."""
    (least, small), (most, large) = found[0], found[-1]
    if show(least) == show(most):
        return f"{what}: {show(least)}."
    if not short([small, large]):
        return f"{what}: from {show(least)} to {show(most)}."
    return f"{what}: from {show(least)} ({small}) to {show(most)} ({large})."
