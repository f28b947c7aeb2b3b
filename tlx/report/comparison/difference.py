"""What two arms show about each other in one figure, in numbers and in words.

The words are made from the numbers and no stronger than they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tlx.report.comparison.measures import Measure
from tlx.report.comparison.statistics import SeedCount
from tlx.report.comparison.statistics.contrast import SMALLEST_EFFECT

Verdict = Literal["better", "worse", "no difference shown", "not comparable"]
PAIRED, LOG_RANK = "paired t test", "log-rank test by permutation"
CROSSED, PICTURES = "seeds crossed with test pictures", "test pictures of one pair of runs"
STEPS = "blocks of steps of one pair of runs"
FOLDED = "folds of one seed and their test pictures"


@dataclass(frozen=True)
class Difference:
    """`arm` minus `reference`, over seeds that both have.

    Attributes:
        figure: Key of the measure.
        pairs: Seeds that were compared.
        mean: Mean difference in the figure's unit, or as a share of the reference where `relative`
            (-0.2 is a fifth less); None where nothing can be compared, or a level is not reached.
        low: Lower end of the 95 % interval of the mean, uncorrected; None for one pair.
        high: Upper end.
        relative: Whether the figure is compared by ratio.
        p: Two-sided p of the test.
        p_holm: The same, corrected for the `family` of comparisons it belongs to.
        family: How many comparisons were made at once.
        effect: Hedges' g of the paired differences.
        detectable: The smallest difference that would have been shown with 80 % power (where
            `relative`, the smallest reduction).
        seeds_needed: Seeds that show a difference as large as the one seen with 80 % power.
        verdict: For whoever wants more quality and less of all else.
        method: The test; None where none was made.
        picture_share: Share of the variance of the mean that the test pictures make up, the rest
            being that of the seeds; None where the pictures' part is not known.
        seed_sd: Standard deviation of one run's figure over seeds (a share where `relative`),
            pooled over the arms compared; None where none has two.
        drift: How the figure changed over the study by the drift of the machine alone, as a share;
            None where no model told it from the arms.
        folds: Over how many folds of the set each seed tested; None where it is not folded.
        fold_share: Share of the variance of the mean that folds make up beyond their pictures.
        by_fold: Whether the pairs are of runs of one seed and fold each, and not of seeds.
        reason: Why runs could not be compared, or what else may explain the difference.
        words: All of this as a sentence or two.
    """

    arm: str
    reference: str
    figure: str
    pairs: int
    mean: float | None
    low: float | None
    high: float | None
    relative: bool
    p: float | None
    p_holm: float | None
    family: int
    effect: float | None
    detectable: float | None
    seeds_needed: SeedCount
    verdict: Verdict
    method: str | None
    drift: float | None
    reason: str | None
    words: str = ""
    picture_share: float | None = None
    seed_sd: float | None = None
    folds: int | None = None
    fold_share: float | None = None
    by_fold: bool = False

    @property
    def shown(self) -> bool:
        """Whether a difference is established."""
        return self.verdict in ("better", "worse")

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        folded = ("folds", "fold_share", "by_fold")
        known = self.by_fold or self.folds is not None
        return {key: value for key, value in asdict(self).items() if known or key not in folded}


_ALL = 0.999  # a reduction by more is one to nothing
_VAST = 10.0  # beyond ten times the figures of an interval say no more


def sentence(difference: Difference, measure: Measure) -> str:
    """A difference with its evidence, its verdict, and what would settle it."""
    names = f"{difference.arm} against {difference.reference}"
    return f"{names}, {measure.title}: {judgement(difference, measure)}"


def judgement(difference: Difference, measure: Measure) -> str:
    """The same without the names, to follow words that give them."""
    if difference.verdict == "not comparable":
        return f"not comparable ({difference.reason})."
    if difference.pairs < 2 and difference.p_holm is not None:
        return _of_one_pair(difference, measure)
    if difference.pairs < 2:
        return (
            f"with n=1 seed a difference of {change(difference, measure)} is not evidence: no "
            "interval can be given, so no difference is established."
        )
    text = f"{_evidence(difference, measure)}: {difference.verdict} at {_pairs(difference)}"
    if measure.part:
        text += _sources(difference)
    if difference.reason and difference.method != LOG_RANK:
        text += f", but {difference.reason}"
    return f"{text}.{_prospect(difference, measure)}"


def _pairs(difference: Difference) -> str:
    return f"{difference.pairs} {'pairs of runs' if difference.by_fold else 'seeds'}"


def change(difference: Difference, measure: Measure) -> str:
    """The mean difference with its sign, in the unit of the figure or in per cent."""
    return _signed(difference.mean, _show(difference, measure))


def interval(difference: Difference, measure: Measure) -> str:
    """The mean difference with its 95 % interval."""
    show = _show(difference, measure)
    low, high = _signed(difference.low, show), _signed(difference.high, show)
    return f"{change(difference, measure)} (95 % interval {low} to {high})"


def spelled(difference: Difference, measure: Measure) -> str | None:
    """The mean difference, with its interval where there is one; None where there is neither."""
    if difference.mean is None:
        return None
    single = difference.low is None
    return change(difference, measure) if single else interval(difference, measure)


def evidence_of_p(p: float) -> str:
    """A p as it is quoted."""
    return "p<0.001" if p < 0.001 else f"p={p:.2g}"


def _evidence(difference: Difference, measure: Measure) -> str:
    assert difference.p_holm is not None
    p = evidence_of_p(difference.p_holm)
    if difference.family > 1:
        p += f" corrected for {difference.family} comparisons"
    if difference.method == LOG_RANK:
        return f"{difference.reason} (log-rank test, {p})"
    drift = ""
    if difference.drift is not None:
        drift = f"; {_signed(difference.drift, _percent)} of drift over the study taken out"
    return f"{interval(difference, measure)[:-1]}, {p}{drift})"


def _of_one_pair(difference: Difference, measure: Measure) -> str:
    """A verdict on two runs, with what it does not cover."""
    if difference.method == FOLDED:
        return (
            f"{_evidence(difference, measure)}: {difference.verdict} over {difference.folds} folds "
            "of one seed, each a training of its own. What another seed would move in all folds "
            "alike is not in it."
        )
    pictures = difference.method != STEPS
    covers = (
        "on these and like pictures" if pictures else "on this machine, by blocks of their steps"
    )
    spread, what = difference.seed_sd, "seed" if pictures else "run"
    if spread is None:
        others = "by how much no arm of this study tells, as none has two seeds"
    else:
        others = (
            f"by about {_show(difference, measure)(spread)}, the spread over this study's seeds"
        )
    return (
        f"{_evidence(difference, measure)}: {difference.verdict}. This is about these two runs "
        f"{covers}; another {what} may move each of them, {others}."
    )


def _sources(difference: Difference) -> str:
    """How much of the uncertainty is the pictures', and which to add: seeds or pictures."""
    share = difference.picture_share
    if share is None:
        return " (of seeds alone: without predictions the test pictures' part is unknown)"
    if difference.fold_share is not None:
        return (
            f" over {difference.folds} folds ({100 * share:.0f} % of the variance is the test "
            f"pictures', {100 * difference.fold_share:.0f} % the folds', the rest the seeds')"
        )
    add = "test pictures" if share > 0.5 else "seeds"
    return (
        f" ({100 * share:.0f} % of the variance is the test pictures', the rest the seeds': "
        f"more {add} would narrow it most)"
    )


def _prospect(difference: Difference, measure: Measure) -> str:
    """What a verdict of no difference is worth, and what would settle the question."""
    if difference.shown or difference.detectable is None:
        return ""
    if measure.part and difference.detectable > 1:
        return (
            f" {_pairs(difference)} could not show any difference that {_figure(measure)} can have."
        )
    if difference.relative and difference.detectable > _ALL:
        return f" {_pairs(difference)} could not show a reduction, however large."
    least = _show(difference, measure)(difference.detectable)
    size = f"a reduction of {least}" if difference.relative else f"a difference of {least}"
    can = f" {_pairs(difference)} show {size} or more in 80 of 100 studies"
    needed = difference.seeds_needed
    if difference.effect is None and difference.pairs < 3:
        return f"{can}; how many would settle this one, two cannot tell."
    if needed is None:
        small = difference.effect is None or abs(difference.effect) < SMALLEST_EFFECT
        return f"{can}; this one is as good as zero." if small else f"{can}."
    many = "more than 100" if isinstance(needed, str) else f"about {needed}"
    return f"{can}; {many} would settle one as small as this."


def _figure(measure: Measure) -> str:
    name = measure.title.removeprefix("test ")
    return "a mAP" if name.startswith("mAP") else name


def _show(difference: Difference, measure: Measure) -> Callable[[float], str]:
    return _percent if difference.relative else measure.show


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if value < _VAST else f"{100 * _VAST:.0f} % and more"


def _signed(value: float | None, show: Callable[[float], str]) -> str:
    assert value is not None
    return f"{'−' if value < 0 else '+'}{show(abs(value))}"
