"""Name the arm for given limits: the cheapest whose loss of quality is shown to be small enough.

An arm's loss is bounded where the whole 95 % interval of its paired difference from the best arm
lies within what is accepted (a non-inferiority test). The best arm itself has to pass against the
next best, so that luck alone recommends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tlx.records.quality import Quality
from tlx.report.comparison.by_set import of_each_set, of_several_sets
from tlx.report.comparison.candidates import (
    Limits,
    over_limits,
    remedies,
    too_few,
    trained_on_less,
    why_unfit,
)
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.cost import Cost, cost_of
from tlx.report.comparison.difference import Difference, interval, spelled
from tlx.report.comparison.differences import chosen_pair
from tlx.report.comparison.recommendation import Outcome, Recommendation
from tlx.report.comparison.settle import best_other, what_settles
from tlx.report.comparison.verdict import nothing_has_learned

DOUBT = "Doubt: "
TODAY = "If you have to choose today,"


def recommend(
    comparison: Comparison,
    limits: Limits | None = None,
    latencies: Mapping[str, float] | None = None,
) -> Recommendation:
    """Recommend an arm, or say why none can be.

    Args:
        comparison: The study.
        limits: What can be afforded; without them only the accepted loss counts.
        latencies: Milliseconds a picture by arm label, from a benchmark on the device.
    """
    advice = _advise(comparison, limits or Limits(), latencies or {})
    return replace(advice, quality=comparison.quality)


def _advise(
    comparison: Comparison, limits: Limits, latencies: Mapping[str, float]
) -> Recommendation:
    quality = comparison.quality
    if "data" in comparison.differs:
        return _of_sets(comparison, limits, latencies)
    if line := nothing_has_learned(comparison):
        return Recommendation(None, [line], limits, {}, outcome="nothing learned")
    unfit = {row.arm.label: why for row in comparison.rows if (why := why_unfit(row))}
    unfit |= trained_on_less(comparison.rows)
    ranked = sorted(
        (row for row in comparison.rows if row.arm.label not in unfit),
        key=lambda row: -row.test_main.mean if row.test_main else 0.0,
    )
    if len(ranked) < 2:
        told = remedies(unfit, quality)
        return _none("too few", limits, unfit, too_few(ranked), told)
    refused = unfit | {
        row.arm.label: why for row in ranked if (why := over_limits(row, limits, latencies))
    }
    allowed = [row for row in ranked if row.arm.label not in refused]
    if not allowed:
        return _none("no limit kept", limits, refused, "no arm keeps the limits")
    cost, passed = cost_of(ranked), dict[str, Difference]()
    differences = {row.arm.label: _against_best(comparison, row, ranked) for row in allowed}
    for row in allowed:
        difference = differences[row.arm.label]
        if (why := _unbounded(comparison, difference, limits)) is None:
            passed[row.arm.label] = difference
        else:
            refused[row.arm.label] = why
    cheap = min((row for row in allowed if row.arm.label in passed), key=cost.of, default=None)
    if cheap is None:
        lean, today = _to_choose_today(comparison, allowed, differences, limits, cost)
        settling = what_settles(comparison, allowed, ranked, differences, limits)
        shown = _nothing_shown(ranked, limits, quality)
        found = _none("lean" if lean else "open", limits, refused, shown, [today, settling.words])
        label = lean.arm.label if lean else None
        return replace(
            found, command=settling.command, settling=settling, lean=label,
            difference=differences[label] if label else None, bound=_lowest_bound(differences),
        )  # fmt: skip
    label = cheap.arm.label
    for other in (arm for arm in passed if arm != label):
        refused[other] = f"its loss is small enough too, but {cost.more}"
    difference = passed[label]
    words = [
        f"Take {label}: {cost.least} ({cost.told(cheap)}) of the arms "
        f"whose loss of test {quality.main.name} is shown to be at most {limits.accepted_loss:g}.",
        f"Evidence: its test {quality.main.name} differs from that of {difference.reference}, "
        f"{'the best arm' if difference.reference == ranked[0].arm.label else 'the next best'}, by "
        f"{interval(difference, comparison.main)}, over {difference.pairs} seeds.",
        *_doubts(comparison, cheap, difference, len(allowed), limits, latencies, cost),
    ]
    return Recommendation(
        label, words, limits, refused, outcome="taken", difference=difference, cost=cost
    )


def _of_sets(
    comparison: Comparison, limits: Limits, latencies: Mapping[str, float]
) -> Recommendation:
    """The answer of each data set for itself; arms of two sets are never ranked."""
    sets = {
        name: replace(_advise(part, limits, latencies), quality=comparison.quality)
        for name, part in of_each_set(comparison).items()
    }
    return of_several_sets(sets, limits)


def _none(
    outcome: Outcome,
    limits: Limits,
    refused: Mapping[str, str],
    why: str,
    told: Sequence[str] = (),
) -> Recommendation:
    listed = [f"{label}: {reason}." for label, reason in refused.items()]
    words = [f"No arm can be recommended: {why}.", *told, *listed]
    return Recommendation(None, words, limits, dict(refused), outcome=outcome)


def _to_choose_today(
    comparison: Comparison,
    allowed: Sequence[Row],
    differences: Mapping[str, Difference],
    limits: Limits,
    cost: Cost,
) -> tuple[Row | None, str]:
    """What the evidence leans to where it settles nothing, and that in words.

    The lean is the cheapest arm that is not seen to lose more than is accepted, and whose interval
    leaves out twice that loss: at a true loss of twice what is accepted, few leans are wrong.
    """
    measure, accepted = comparison.main, limits.accepted_loss
    left = []
    for row in allowed:
        found = differences[row.arm.label]
        if found.mean is None or found.mean < -accepted:
            continue
        if found.pairs >= 2 and found.low is not None and found.low >= -2 * accepted:
            left.append(row)
    single = all(found.pairs < 2 for found in differences.values())
    if single:
        # Seeds are unknown: only the best figure seen is no loss in sight.
        means = {row.arm.label: differences[row.arm.label].mean for row in allowed}
        best = [row for row in allowed if (mean := means[row.arm.label]) is not None and mean >= 0]
        left = best[:1]
    if not left:
        return None, f"{TODAY} nothing speaks for an arm: {why_no_lean(differences, limits)}."
    row = min(left, key=cost.of)
    found = differences[row.arm.label]
    regret = max(0.0, -(found.mean or 0.0))
    told = spelled(found, measure)
    if single:
        why = "a lean from one seed: the best figure seen, and another seed may turn it round"
    else:
        why = f"a lean: of the arms not seen to lose more than {accepted:g}, {cost.least}"
    return row, (
        f"{TODAY} {row.arm.label} ({cost.told(row)}): {why}. Its "
        f"{measure.title} differs from that of {found.reference} by {told}; what it seems to lose "
        f"is {regret:.3f}."
    )


def why_no_lean(differences: Mapping[str, Difference], limits: Limits) -> str:
    """Why none of the arms is leant to, after a colon."""
    accepted, bound = limits.accepted_loss, _lowest_bound(differences)
    if bound is None or bound > 2 * accepted:
        return f"of none can a loss of {2 * accepted:g}, twice what is accepted, be left out"
    return (
        f"each seems to lose more than {accepted:g}, or a loss of {2 * accepted:g}, twice what is "
        "accepted, cannot be left out of it"
    )


def _against_best(comparison: Comparison, row: Row, ranked: Sequence[Row]) -> Difference:
    """The arm's difference from the best of the others; uncorrected, as its interval is read."""
    best = best_other(row, ranked)
    return chosen_pair(row.arm, best.arm, [row.arm, best.arm], comparison.main)


def _unbounded(comparison: Comparison, difference: Difference, limits: Limits) -> str | None:
    """Why the loss is not shown to be within what is accepted, None where it is."""
    if difference.verdict == "not comparable":
        return f"not comparable with {difference.reference} ({difference.reason})"
    if difference.pairs < 2 or difference.low is None:
        return f"one seed cannot bound its loss against {difference.reference}"
    if difference.low < -limits.accepted_loss:
        measure = comparison.main
        return (
            f"against {difference.reference} its {measure.title} differs by "
            f"{interval(difference, measure)}, which a loss above {limits.accepted_loss:g} is "
            "part of"
        )
    return None


def _lowest_bound(differences: Mapping[str, Difference]) -> float | None:
    """The least loss that some arm is shown not to exceed; None where no loss is bounded."""
    known = (d.low for d in differences.values() if d.low is not None and d.pairs >= 2)
    return min((-low for low in known), default=None)


def _nothing_shown(ranked: Sequence[Row], limits: Limits, quality: Quality) -> str:
    counts = sorted({row.figures for row in ranked})
    several = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    seeds = "one seed" if counts == [1] else f"{several} seeds"
    return (
        f"of no arm within the limits is the loss shown to be at most {limits.accepted_loss:g} "
        f"with {seeds} an arm; a larger accepted loss ({quality.accept}) asks less of them"
    )


def _doubts(
    comparison: Comparison,
    row: Row,
    difference: Difference,
    candidates: int,
    limits: Limits,
    latencies: Mapping[str, float],
    cost: Cost,
) -> list[str]:
    doubts = []
    if not cost.timed:
        doubts.append("what its training saves is by arithmetic: times are not comparable")
    depths = {each.arm.depth for each in comparison.rows}
    if len(depths) > 1 and "none" not in depths:
        doubts.append("freeze=none was not tried, so what freezing costs is not known")
    if candidates > 1:
        doubts.append(f"the interval is that of one comparison, and {candidates} arms were tried")
    if difference.pairs < 3:
        doubts.append(f"{difference.pairs} seeds are few")
    if limits.latency_ms is not None and row.arm.label not in latencies:
        doubts.append(
            "its latency was not measured, so the limit on it was not applied (freezing does not "
            "change the network that is deployed)"
        )
    if limits.train_minutes is not None or limits.memory_gb is not None:
        doubts.append("time and memory are those of this machine")
    doubts.append("the best arm was found on the same test set, which flatters it a little")
    return [f"{DOUBT}{'; '.join(doubts)}."]
