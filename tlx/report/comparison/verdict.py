"""The answer in words, made from the numbers and no stronger than they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tlx.records.learned import never_reached, too_low
from tlx.records.quality import Quality
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.difference import judgement, sentence
from tlx.report.comparison.differences import chosen_pair
from tlx.report.comparison.figures import Spread, seconds


def verdict(comparison: Comparison) -> list[str]:
    """Sentences that answer which arm is best, which is fastest, and whether that is shown."""
    lines = []
    if line := nothing_has_learned(comparison):
        return [line]
    for row in comparison.rows:
        if not row.arm.learned:
            lines.append(f"{row.arm.label} has learned nothing ({too_low(comparison.quality)}).")
        lines += [f"{row.arm.label}: {told}." for told in (row.arm.fallen, row.arm.idle) if told]
    if comparison.differs:
        lines.append(
            f"Unlike runs are compared (they differ in {', '.join(comparison.differs)}): read the "
            "warnings before the figures."
        )
    lines += comparison.baselines
    if crowded := [name for row in comparison.rows for name in row.crowded]:
        runs = sum(len(row.arm.records) for row in comparison.rows)
        lines.append(
            f"Times of {len(crowded)} of {runs} runs are not comparable, as they ran beside others "
            "on one machine; what is said of times is said of the other runs."
        )
    for data, rows in _by_data(comparison.rows).items():
        where = f" ({data})" if "data" in comparison.differs else ""
        lines += _best_on_test(comparison, rows, where)
    lines += _fastest_step(comparison)
    lines += _first_to_level(comparison)
    lines += _against_reference(comparison)
    lines += _against_scratch(comparison)
    lines += comparison.design
    return lines + _grain(comparison.quality, comparison.rows)


def nothing_has_learned(comparison: Comparison) -> str | None:
    """The verdict where no arm learned anything, None where one did."""
    if any(row.arm.learned for row in comparison.rows):
        return None
    quality = comparison.quality
    return (
        f"Nothing has learned: {never_reached(quality)}, so no arm can be preferred; "
        f"next: {quality.remedy}."
    )


def best_and_worst(rows: Sequence[Row]) -> tuple[Row, Row] | None:
    """Best and worst arm by the main test figure, among the data set that most arms share."""
    shared = max(_by_data(rows).values(), key=len)
    ranked = _ranked(shared, lambda row: row.test_main, highest=True)
    return (ranked[0][0], ranked[-1][0]) if len(ranked) > 1 else None


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


def _against_next(comparison: Comparison, ranked: Sequence[tuple[Row, Spread]], figure: str) -> str:
    """The first of a ranking against the second, both having been picked by this very ranking."""
    first, second = ranked[0][0].arm, ranked[1][0].arm
    measure = comparison.measures[figure]
    difference = chosen_pair(first, second, [row.arm for row, _ in ranked], measure)
    return f"Between the two: {judgement(difference, measure)}"


def _best_on_test(comparison: Comparison, rows: Sequence[Row], where: str) -> list[str]:
    quality = comparison.quality
    able = [row for row in rows if row.arm.learned]
    ranked = _ranked(able, lambda row: row.test_main, highest=True)
    if not ranked:
        return [f"Best on test{where}: unknown, no arm has a test {quality.main.name}."]
    row, best = ranked[0]
    second = f", {quality.second.name} {row.test_second.mean:.3f}" if row.test_second else ""
    line = f"Best on test{where}: {row.arm.label} ({quality.main.name} {best.mean:.3f}{second})"
    if len(ranked) == 1:
        return [f"{line}; no other arm that has learned to compare it with."]
    other, runner_up = ranked[1]
    told = _against_next(comparison, ranked, comparison.main.key)
    return [f"{line}; next: {other.arm.label} ({runner_up.mean:.3f}). {told}"]


def _fastest_step(comparison: Comparison) -> list[str]:
    ranked = _ranked(comparison.rows, lambda row: row.step_s, highest=False)
    if len(ranked) < 2:
        return []
    (row, fastest), (other, second) = ranked[:2]
    return [
        f"Fastest step: {row.arm.label} ({seconds(fastest.mean)}){_speedup(comparison, row)}; "
        f"next: {other.arm.label} ({seconds(second.mean)}). "
        f"{_against_next(comparison, ranked, 'step_s')}"
    ]


def _speedup(comparison: Comparison, row: Row) -> str:
    """Measured speed-up and bound, to stand behind other words."""
    reference = comparison.reference(row)
    if row.speedup is None or reference is None:
        return ""
    bound = f" (arithmetic alone: {row.bound_speedup.mean:.2f}×)" if row.bound_speedup else ""
    return f", step rate {row.speedup.mean:.2f}× that of {reference.arm.label}{bound}"


def _first_to_level(comparison: Comparison) -> list[str]:
    level, quality = comparison.levels.main, comparison.quality
    full = [row for row in comparison.rows if row.time_to_main and not row.time_to_main.missed]
    ranked = _ranked(full, _seconds_to_main, highest=False)
    if level is None or len(ranked) < 2:
        return []
    (row, first), (other, second) = ranked[:2]
    return [
        f"First to validation {quality.main.name} ≥ {level.value:.3f}: {row.arm.label} "
        f"({seconds(first.mean)} of training); next: {other.arm.label} ({seconds(second.mean)}). "
        f"{_against_next(comparison, ranked, f'time_to_{quality.short}')}"
    ]


def _seconds_to_main(row: Row) -> Spread | None:
    return row.time_to_main.seconds if row.time_to_main else None


def _against_reference(comparison: Comparison) -> list[str]:
    """Main test figure and step time of every arm against its reference, each with its verdict."""
    lines = []
    for row in comparison.rows:
        if row.arm.depth == "scratch":
            continue
        quality = comparison.difference(row.arm.label, comparison.main.key)
        step = comparison.difference(row.arm.label, "step_s")
        told = [quality.words] if quality else []
        if step:
            measure = comparison.measures["step_s"]
            words = judgement(step, measure)
            told.append(f"Step time: {words}" if quality else sentence(step, measure))
        if told:
            lines.append(" ".join(told))
    return lines


def _against_scratch(comparison: Comparison) -> list[str]:
    """Name what pretrained weights bring, and negative transfer where the seeds support it."""
    lines = []
    for scratch in (row for row in comparison.rows if row.arm.depth == "scratch"):
        found = [
            difference
            for difference in comparison.against_scratch
            if difference.reference == scratch.arm.label and difference.mean is not None
        ]
        if not found:
            continue
        weakest = min(found, key=lambda difference: difference.mean or 0.0)
        line = f"The weakest pretrained arm: {weakest.words}"
        if weakest.verdict == "worse":
            line += " That is negative transfer."
        elif weakest.mean is not None and weakest.mean < 0:
            line += " Negative transfer (below scratch) is seen but not shown."
        lines.append(line)
    return lines


def _grain(quality: Quality, rows: Sequence[Row]) -> list[str]:
    counts = [r.number("test", quality.count) for row in rows for r in row.arm.tested]
    least = min((count for count in counts if count), default=None)
    if least is None:
        return []
    return [
        f"The test set holds {least:.0f} {quality.count}: {quality.grain} {1 / least:.3f}, so a "
        f"smaller difference is less than one {quality.unit}."
    ]
