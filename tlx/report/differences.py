"""Compare arms figure by figure, over paired seeds, with one correction a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tlx.report.arms import Arm, reference_of
from tlx.report.difference import Difference, Verdict
from tlx.report.measures import Measure
from tlx.report.outcomes import Outcome, drift_fit, outcome_of
from tlx.report.pairing import has_figure, pair_up
from tlx.report.statistics import ALPHA, holm, seeds_needed
from tlx.report.words import sentence

_LARGEST = 700.0  # its exponential is still a number


def against_references(arms: Sequence[Arm], measures: Iterable[Measure]) -> list[Difference]:
    """Every arm against the `freeze=none` arm of its setting, one family a figure and reference."""
    families: dict[str, list[Arm]] = {}
    for arm in arms:
        reference = reference_of(arm, arms)
        if reference is not None and reference is not arm:
            families.setdefault(reference.label, []).append(arm)
    by_label = {arm.label: arm for arm in arms}
    return [
        difference
        for measure in measures
        for label, members in families.items()
        for difference in family(members, by_label[label], measure)
    ]


def against_scratch(arms: Sequence[Arm], measure: Measure) -> list[Difference]:
    """Every pretrained arm against the from-scratch arm of its setting."""
    found = []
    for scratch in (arm for arm in arms if arm.depth == "scratch"):
        rivals = [arm for arm in arms if arm.depth != "scratch" and arm.setting == scratch.setting]
        found += family(rivals, scratch, measure)
    return found


def family(arms: Sequence[Arm], reference: Arm, measure: Measure) -> list[Difference]:
    """Arms against one reference, corrected for their number by Holm.

    An arm is left out where neither it nor the reference has the figure.
    """
    known = [arm for arm in arms if _has_any(arm, measure) or _has_any(reference, measure)]
    together = {arm.label: pair_up(arm, reference, measure, same_training=True) for arm in known}
    in_model = [arm for arm in known if len(together[arm.label]) > 1]
    fit = drift_fit([*in_model, reference], measure) if in_model else None
    outcomes = {
        arm.label: outcome_of(arm, reference, measure, together[arm.label], fit) for arm in known
    }
    tested = {label: out.p for label, out in outcomes.items() if out.p is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [
        _difference(label, reference.label, measure, out, corrected.get(label), len(tested))
        for label, out in outcomes.items()
    ]


def chosen_pair(one: Arm, other: Arm, among: Sequence[Arm], measure: Measure) -> Difference:
    """Two arms that were chosen by their figures out of several, corrected for all their pairs.

    The best of many looks better than it is; Bonferroni over the pairs that could have been chosen
    keeps the rate of a false verdict.
    """
    pairs = pair_up(one, other, measure, same_training=False)
    field = [arm for arm in among if _has_any(arm, measure)]
    fit = drift_fit(field, measure) or drift_fit([one, other], measure)
    outcome = outcome_of(one, other, measure, pairs, fit)
    count = max(1, math.comb(len(field), 2))
    corrected = None if outcome.p is None else min(1.0, count * outcome.p)
    return _difference(one.label, other.label, measure, outcome, corrected, count)


def _has_any(arm: Arm, measure: Measure) -> bool:
    return any(has_figure(record, measure) for record in arm.records)


def _difference(
    arm: str, reference: str, measure: Measure, out: Outcome, p_holm: float | None, family: int
) -> Difference:
    contrast = out.contrast
    alpha = ALPHA / max(1, family)
    tested = contrast if out.p is not None else None
    low, high = tested.interval if tested else (None, None)
    effect = tested.effect if tested else None
    found = Difference(
        arm=arm,
        reference=reference,
        figure=measure.key,
        pairs=len(out.pairs),
        mean=_scale(contrast.mean, measure) if contrast else None,
        low=None if low is None else _scale(low, measure),
        high=None if high is None else _scale(high, measure),
        relative=measure.speed,
        p=out.p,
        p_holm=p_holm,
        family=family,
        effect=effect,
        detectable=_least(tested.detectable(alpha), measure) if tested else None,
        seeds_needed=seeds_needed(effect, alpha),
        verdict=_verdict(out, p_holm),
        method=out.method,
        drift=out.drift,
        reason=out.reason,
    )
    return replace(found, words=sentence(found, measure))


def _verdict(out: Outcome, p_holm: float | None) -> Verdict:
    if out.contrast is None and p_holm is None:
        return "not comparable"
    if p_holm is None or p_holm > ALPHA:
        return "no difference shown"
    return "better" if out.gain > 0 else "worse"


def _scale(value: float, measure: Measure) -> float:
    return math.expm1(min(value, _LARGEST)) if measure.speed else value


def _least(value: float | None, measure: Measure) -> float | None:
    return -math.expm1(-value) if measure.speed and value is not None else value
