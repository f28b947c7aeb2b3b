"""Name the arm for given limits: the cheapest whose loss of mAP is shown to be small enough.

An arm's loss is bounded where the whole 95 % interval of its paired difference from the best arm
lies within what is accepted (a non-inferiority test). The best arm itself has to pass against the
next best, so that luck alone recommends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlx.report.compare import Comparison, Row
from tlx.report.difference import Difference
from tlx.report.differences import chosen_pair
from tlx.report.formats import significant
from tlx.report.limits import Limits
from tlx.report.proof import CHANGED
from tlx.report.verdict import nothing_has_learned
from tlx.report.words import interval, spelled

FIGURE = "test_map_50"
TODAY = "If you have to choose today,"
_GIGABYTE = 1e9
_MOST_SEEDS = 100


@dataclass(frozen=True)
class Recommendation:
    """The arm, or None; `words` give the answer, the evidence and the doubt, in this order.

    `refused` says of every other arm why it was not taken.
    """

    arm: str | None
    words: list[str]
    limits: Limits
    refused: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The recommendation for `report.json`."""
        return {
            "arm": self.arm,
            "words": self.words,
            "limits": vars(self.limits),
            "refused": self.refused,
        }


def recommend(
    comparison: Comparison,
    limits: Limits | None = None,
    latencies: Mapping[str, float] | None = None,
) -> Recommendation:
    """Recommend an arm, or say why none can be.

    Args:
        comparison: The study.
        limits: What can be afforded; without them only the accepted loss of mAP counts.
        latencies: Milliseconds a picture by arm label, from a benchmark on the device.
    """
    limits, latencies = limits or Limits(), latencies or {}
    if "data" in comparison.differs:
        return _none(limits, {}, "the runs are of several data sets; report them apart")
    if line := nothing_has_learned(comparison.rows):
        return Recommendation(None, [line], limits, {})
    idle = {
        row.arm.label: "it has learned nothing" for row in comparison.rows if not row.arm.learned
    }
    ranked = _ranked(comparison)
    if len(ranked) < 2:
        return _none(limits, idle, "fewer than two arms have a test mAP@.5, a fit time and a proof")
    refused = idle | {
        row.arm.label: why for row in ranked if (why := _over(row, limits, latencies))
    }
    allowed = [row for row in ranked if row.arm.label not in refused]
    if not allowed:
        return _none(limits, refused, "no arm keeps the limits")
    passed: dict[str, Difference] = {}
    differences = {row.arm.label: _against_best(comparison, row, ranked) for row in allowed}
    for row in allowed:
        difference = differences[row.arm.label]
        if (why := _unbounded(comparison, difference, limits)) is None:
            passed[row.arm.label] = difference
        else:
            refused[row.arm.label] = why
    cheap = min((row for row in allowed if row.arm.label in passed), key=_minutes, default=None)
    if cheap is None:
        lean = _to_choose_today(comparison, allowed, differences, limits)
        return _none(limits, refused, _nothing_shown(ranked, limits), lean)
    label = cheap.arm.label
    for other in passed.keys() - {label}:
        refused[other] = "its loss is small enough too, but its fit takes longer"
    difference = passed[label]
    words = [
        f"Take {label}: the shortest fit ({significant(_minutes(cheap))} min) of the arms whose "
        f"loss of test mAP@.5 is shown to be at most {limits.accepted_map_loss:g}.",
        f"Evidence: its test mAP@.5 differs from that of {difference.reference}, "
        f"{'the best arm' if difference.reference == ranked[0].arm.label else 'the next best'}, by "
        f"{interval(difference, comparison.measures[FIGURE])}, over {difference.pairs} seeds.",
        *_doubts(cheap, difference, len(allowed), limits, latencies),
    ]
    return Recommendation(label, words, limits, refused)


def _none(
    limits: Limits, refused: Mapping[str, str], why: str, lean: Sequence[str] = ()
) -> Recommendation:
    listed = [f"{label}: {reason}." for label, reason in refused.items()]
    return Recommendation(
        None, [f"No arm can be recommended: {why}.", *lean, *listed], limits, dict(refused)
    )


def _to_choose_today(
    comparison: Comparison,
    allowed: Sequence[Row],
    differences: Mapping[str, Difference],
    limits: Limits,
) -> list[str]:
    """What the evidence leans to where it settles nothing, and what would settle it.

    The lean is the cheapest arm that is not seen to lose more than is accepted, and whose interval
    leaves out twice that loss: at a true loss of twice what is accepted, few leans are wrong.
    """
    measure, accepted = comparison.measures[FIGURE], limits.accepted_map_loss
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
        best = [row for row in allowed if (differences[row.arm.label].mean or -1.0) >= 0]
        left = best[:1]
    settle = _what_settles(allowed, differences, limits)
    if not left:
        return [
            f"{TODAY} nothing speaks for an arm: of none can a loss of {2 * accepted:g}, twice "
            "what is accepted, be left out.",
            *settle,
        ]
    row = min(left, key=_minutes)
    found = differences[row.arm.label]
    regret = max(0.0, -(found.mean or 0.0))
    told = spelled(found, measure)
    if single:
        why = "a lean from one seed: the best figure seen, and another seed may turn it round"
    else:
        why = f"a lean: of the arms not seen to lose more than {accepted:g}, the shortest fit"
    return [
        f"{TODAY} {row.arm.label} ({significant(_minutes(row))} min): {why}. Its test mAP@.5 "
        f"differs from that of {found.reference} by {told}; what it seems to lose is {regret:.3f}.",
        *settle,
    ]


def _what_settles(
    allowed: Sequence[Row], differences: Mapping[str, Difference], limits: Limits
) -> list[str]:
    """The next command: seeds, or test pictures, that narrow the interval to what is accepted."""
    accepted = limits.accepted_map_loss
    if not allowed or accepted <= 0:
        return []
    seeds = {str(r.get("seed")) for row in allowed for r in row.arm.records}
    start = 1 + max((int(seed) for seed in seeds if seed.isdecimal()), default=-1)
    minutes = sum(_minutes(row) for row in allowed)
    repeat = "python -m tlx.train -m, with the study's settings and seed="
    # In order of their figures: the first is the one that more evidence would recommend.
    found_all = [differences[row.arm.label] for row in allowed]
    known = [d for d in found_all if d.pairs >= 2 and d.low is not None]
    if not known:
        listed = ",".join(str(start + place) for place in range(2))
        return [
            f"Next: two more seeds give a first interval ({repeat}{listed}: about "
            f"{significant(2 * minutes)} min)."
        ]
    found = known[0]
    half = ((found.high or 0.0) - (found.low or 0.0)) / 2
    goal, share = (accepted / half) ** 2 if half > 0 else math.inf, found.picture_share or 0.0
    if goal <= share:
        images = max(r.number("test", "images") or 0 for row in allowed for r in row.arm.records)
        count = f"{math.ceil(2 * share / goal * images)} test pictures instead of {images:.0f}"
        return [
            f"Next: more seeds alone cannot settle {accepted:g}: the test pictures make up "
            f"{100 * share:.0f} % of the variance. About {count} would."
        ]
    more = max(1, math.ceil((1 - share) * found.pairs / (goal - share)) - found.pairs)
    if more > _MOST_SEEDS:
        return [f"Next: more than {_MOST_SEEDS} seeds would be needed to settle {accepted:g}."]
    listed = ",".join(str(start + place) for place in range(more))
    return [
        f"Next: about {more} more seed{'s' if more > 1 else ''} would settle {accepted:g} "
        f"({repeat}{listed}: about {significant(more * minutes)} min)."
    ]


def _ranked(comparison: Comparison) -> list[Row]:
    """Arms that could be taken, the best on test first; one whose frozen part moved is no arm."""
    known = [
        (row.test_map_50.mean, row)
        for row in comparison.rows
        if row.test_map_50 and row.fit_min and row.frozen_proof != CHANGED and row.arm.learned
    ]
    return [row for _, row in sorted(known, key=lambda pair: -pair[0])]


def _minutes(row: Row) -> float:
    return row.fit_min.mean if row.fit_min else math.inf


def _over(row: Row, limits: Limits, latencies: Mapping[str, float]) -> str | None:
    """Which limit the arm's worst run does not keep, or is not known to keep."""
    memory, fit = row.peak_memory_bytes, row.fit_min
    if limits.train_minutes is not None and fit is not None and fit.high > limits.train_minutes:
        return f"its fit takes up to {significant(fit.high)} min"
    if limits.memory_gb is not None:
        if memory is None:
            return "its memory was not measured"
        if memory.high > limits.memory_gb * _GIGABYTE:
            return f"it needs up to {memory.high / _GIGABYTE:.2f} GB ({row.memory_kind})"
    latency = latencies.get(row.arm.label)
    if limits.latency_ms is not None and latency is not None and latency > limits.latency_ms:
        return f"a picture takes {significant(latency)} ms"
    return None


def _against_best(comparison: Comparison, row: Row, ranked: Sequence[Row]) -> Difference:
    """The arm's difference from the best of the others; uncorrected, as its interval is read."""
    best = next(other for other in ranked if other is not row)
    return chosen_pair(row.arm, best.arm, [row.arm, best.arm], comparison.measures[FIGURE])


def _unbounded(comparison: Comparison, difference: Difference, limits: Limits) -> str | None:
    """Why the loss is not shown to be within what is accepted, None where it is."""
    if difference.verdict == "not comparable":
        return f"not comparable with {difference.reference} ({difference.reason})"
    if difference.pairs < 2 or difference.low is None:
        return f"one seed cannot bound its loss against {difference.reference}"
    if difference.low < -limits.accepted_map_loss:
        measure = comparison.measures[FIGURE]
        return (
            f"against {difference.reference} its test mAP@.5 differs by "
            f"{interval(difference, measure)}, which a loss above {limits.accepted_map_loss:g} is "
            "part of"
        )
    return None


def _nothing_shown(ranked: Sequence[Row], limits: Limits) -> str:
    fewest = min(row.figures for row in ranked)
    return (
        f"of no arm within the limits is the loss shown to be at most {limits.accepted_map_loss:g} "
        f"(down to {fewest} seeds an arm); more seeds narrow the intervals, a larger accepted loss "
        "asks less of them"
    )


def _doubts(
    row: Row,
    difference: Difference,
    candidates: int,
    limits: Limits,
    latencies: Mapping[str, float],
) -> list[str]:
    doubts = []
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
    return [f"Doubt: {'; '.join(doubts)}."]
