"""Compare arms figure by figure, over paired seeds, with one correction a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from tlx.records.arms import SCRATCH
from tlx.report.comparison.arms import Arm, baseline, nearest, reference_of
from tlx.report.comparison.difference import Difference, Verdict, sentence
from tlx.report.comparison.measures import Measure, runs_of
from tlx.report.comparison.outcomes import Outcome, drift_fit, has_figure, outcome_of, pair_up
from tlx.report.comparison.statistics import ALPHA, Contrast, SeedCount, holm, seeds_needed
from tlx.report.comparison.statistics.contrast import MOST_SEEDS, needed_noncentrality

_LARGEST = 700.0  # its exponential is still a number


def against_references(arms: Sequence[Arm], measures: Iterable[Measure]) -> list[Difference]:
    """Every arm against its reference (`reference_of`), one family a figure and reference."""
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
        for difference in family(
            members, by_label[label], measure, freeze_only=baseline(members[0], arms) is None
        )
    ]


def against_scratch(arms: Sequence[Arm], measure: Measure) -> list[Difference]:
    """Every pretrained arm against the from-scratch arm of its setting that is most like it."""
    families: dict[str, list[Arm]] = {}
    baselines = {arm.label: arm for arm in arms if arm.depth == SCRATCH}
    for arm in arms:
        alike = [other for other in baselines.values() if other.setting == arm.setting]
        if arm.depth != SCRATCH and (reference := nearest(arm, alike)) is not None:
            families.setdefault(reference.label, []).append(arm)
    return [
        difference
        for label, members in families.items()
        for difference in family(members, baselines[label], measure)
    ]


def family(
    arms: Sequence[Arm], reference: Arm, measure: Measure, *, freeze_only: bool = True
) -> list[Difference]:
    """Arms against one reference, corrected for their number by Holm.

    An arm is left out where neither it nor the reference has the figure. With `freeze_only` the
    difference has to be that of the freeze; else it is that of all that the labels say.
    """
    known = [arm for arm in arms if _has_any(arm, measure) or _has_any(reference, measure)]
    together = {
        arm.label: pair_up(arm, reference, measure, same_training=freeze_only) for arm in known
    }
    in_model = [arm for arm in known if len(together[arm.label]) > 1]
    fit = drift_fit([*in_model, reference], measure) if in_model else None
    outcomes = {
        arm.label: outcome_of(arm, reference, measure, together[arm.label], fit) for arm in known
    }
    tested = {label: out.p for label, out in outcomes.items() if out.p is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    spread = _seed_sd([*arms, reference], measure)
    return [
        _difference(label, reference.label, measure, out, corrected.get(label), len(tested), spread)
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
    spread = _seed_sd(field, measure)
    return _difference(one.label, other.label, measure, outcome, corrected, count, spread)


def contrast_of(one: Arm, other: Arm, measure: Measure) -> Contrast | None:
    """The difference of two arms before any correction; None where none can be had."""
    pairs = pair_up(one, other, measure, same_training=False)
    return outcome_of(one, other, measure, pairs, drift_fit([one, other], measure)).contrast


def _seed_sd(arms: Sequence[Arm], measure: Measure) -> float | None:
    """Standard deviation over seeds within an arm, pooled; of the logarithm for a speed."""
    squares, free = 0.0, 0
    for arm in arms:
        runs = runs_of(arm, measure)
        known = [measure.value(record) for record in runs if has_figure(record, measure)]
        values = np.array([value for value in known if value is not None], dtype=np.float64)
        if len(values) > 1:
            values = np.log(values) if measure.speed else values
            squares += float(((values - values.mean()) ** 2).sum())
            free += len(values) - 1
    return math.sqrt(squares / free) if free else None


def _has_any(arm: Arm, measure: Measure) -> bool:
    return any(
        has_figure(record, measure) or (measure.timed and record.beside)
        for record in runs_of(arm, measure)
    )


def _difference(
    arm: str,
    reference: str,
    measure: Measure,
    out: Outcome,
    p_holm: float | None,
    family: int,
    seed_sd: float | None,
) -> Difference:
    contrast = out.contrast
    alpha = ALPHA / max(1, family)
    tested = contrast if out.p is not None else None
    low, high = tested.interval if tested else (None, None)
    if (
        low is not None and high is not None and measure.part
    ):  # a figure of the test set lies in 0..1
        low, high = max(low, -1.0), min(high, 1.0)
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
        seeds_needed=_seeds_needed(contrast, effect, alpha),
        verdict=_verdict(out, p_holm),
        method=out.method,
        drift=out.drift,
        reason=out.reason,
        picture_share=_picture_share(contrast),
        seed_sd=None if seed_sd is None else _scale(seed_sd, measure),
        folds=out.pairs.folds if measure.part else None,
        fold_share=_fold_share(contrast),
        by_fold=out.pairs.by_fold,
    )
    return replace(found, words=sentence(found, measure))


def _seeds_needed(contrast: Contrast | None, effect: float | None, alpha: float) -> SeedCount:
    """Seeds that settle the difference seen; `>100` where these test pictures never do."""
    plain = seeds_needed(effect, alpha)
    if contrast is None or not contrast.picture_part or not isinstance(plain, int):
        return plain
    fold_part = contrast.fold_part or 0.0
    for seeds in range(plain, MOST_SEEDS + 1):
        needed = needed_noncentrality(seeds - 1, alpha)
        if needed is None:
            return None
        if abs(contrast.mean) >= needed * math.hypot(
            contrast.sd / math.sqrt(seeds), math.sqrt(contrast.picture_part + fold_part)
        ):
            return seeds
    return ">100"


def _picture_share(contrast: Contrast | None) -> float | None:
    """The part of the variance that the test pictures make up; 1 for one pair of runs."""
    if contrast is None or contrast.picture_part is None or contrast.se == 0:
        return None
    return contrast.picture_part / contrast.se**2


def _fold_share(contrast: Contrast | None) -> float | None:
    """The part of the variance that folds make up, beyond that of the pictures in them."""
    if contrast is None or contrast.fold_part is None or contrast.se == 0:
        return None
    return contrast.fold_part / contrast.se**2


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
