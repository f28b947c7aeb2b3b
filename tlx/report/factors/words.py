"""What the factors show, in plain sentences no stronger than the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from tlx.report.comparison.difference import evidence_of_p
from tlx.report.comparison.measures import Measure
from tlx.report.comparison.statistics import Pooled
from tlx.report.factors.analysis import Analysis, Change, OfFactor
from tlx.report.factors.cells import Treatment
from tlx.report.factors.curves import LearningCurve
from tlx.report.factors.levels import DATA

_MANY_SETS = 5  # from here on the spread between sets is more than a guess
_VAST = 1.0  # a difference of shares cannot be larger


def answers(analysis: Analysis) -> list[str]:
    """A sentence a factor: does the answer change with it?"""
    return [answer(found, analysis.measure) for found in analysis.factors]


def about_answers(analysis: Analysis) -> str:
    """What the sentences are about."""
    return (
        f"Differences are of {analysis.measure.title}, each arm from its reference in the same "
        "setting."
    )


def answer(found: OfFactor, measure: Measure) -> str:
    """Does the answer change with this factor?"""
    title = found.factor.title
    if not found.changes:
        return f"Whether the answer changes with the {title} cannot be told: {found.reason}."
    shown = [change for change in found.changes if change.shown]
    if shown:
        first = max(shown, key=lambda change: abs(change.sum.mean))
        more = len(shown) - 1
        others = f" ({more} more below)" if more else ""
        return f"The answer changes with the {title}: {told(first, found, measure)}{others}."
    largest = max(found.changes, key=lambda change: abs(change.sum.mean))
    wide = max(abs(end) for change in found.changes for end in change.sum.interval)
    return (
        f"That the answer changes with the {title} is not shown. The largest change seen: "
        f"{told(largest, found, measure)}. {_left_open(wide, measure)}"
    )


def told(change: Change, found: OfFactor, measure: Measure) -> str:
    """One change: how much lower or higher a difference is, with its interval and p."""
    treatment, total = change.treatment, change.sum
    size = measure.show(abs(total.mean))
    way = "lower" if total.mean < 0 else "higher"
    low, high = (_signed(end, measure) for end in total.interval)
    p = evidence_of_p(change.p_holm)
    if change.family > 1:
        p += f" corrected for {change.family} comparisons"
    evidence = f"95 % interval of the change {low} to {high}, {p}"
    what = f"the difference of {treatment.label} from {treatment.against} is {size} {way}"
    if change.what is None:
        return f"{what} with every doubling ({evidence})"
    place = found.factor.place.format(change.what)
    than = change.others if change.others == "the others" else found.factor.place.format(
        change.others
    )  # fmt: skip
    return f"{place} {what} than {_in_others(found, than)} ({evidence})"


def _in_others(found: OfFactor, than: str) -> str:
    """`on the others`, `with the others`, or the words of the other level."""
    return found.factor.place.format("the others") if than == "the others" else than


def _left_open(wide: float, measure: Measure) -> str:
    if wide >= _VAST:
        return "These runs could not show any change: they are too few."
    return f"Changes of up to {measure.show(wide)} cannot be left out."


def over_sets(found: OfFactor, measure: Measure) -> list[str]:
    """What holds over data sets, a sentence a treatment, and what these sentences take for true."""
    if found.factor is not DATA or not found.pooled:
        return []
    lines = [_over(treatment, over, measure) for treatment, over in found.pooled.items()]
    count = next(iter(found.pooled.values())).sets
    few = (
        f" {_number(count).capitalize()} sets hardly tell how much sets differ, and the intervals "
        "are as wide as that: add sets, not seeds, to narrow them."
        if count < _MANY_SETS
        else ""
    )
    return [
        *lines,
        "These two intervals take the data sets for a random draw from all the sets that you might "
        "have, and their true differences for normally distributed. They were chosen and not "
        f"drawn: a set unlike all of them can lie outside.{few}",
    ]


def _over(treatment: Treatment, over: Pooled, measure: Measure) -> str:
    def ends(low: float, high: float) -> str:
        return f"{_signed(max(low, -1.0), measure)} to {_signed(min(high, 1.0), measure)}"

    return (
        f"Over {over.sets} data sets {treatment} is {_signed(over.mean, measure)} on average "
        f"(95 % interval {ends(over.low, over.high)}); on a new set it lies within "
        f"{ends(over.new_low, over.new_high)} (95 % prediction interval). Between sets it varies "
        f"by {measure.show(over.tau)} (standard deviation; 95 % interval "
        f"{measure.show(over.tau_low)} to {_up_to(over.tau_high, measure)})."
    )


def _up_to(value: float, measure: Measure) -> str:
    return measure.show(value) if value < _VAST else "no bound"


def of_curve(curve: LearningCurve, measure: Measure, *, several_sets: bool) -> str:
    """What more labelled pictures would bring an arm, or why that cannot be said."""
    figure = measure.title.removeprefix("test ")
    where = f"{curve.data}, {curve.arm}" if several_sets else curve.arm
    if curve.fitted is None:
        return f"{where}: what more pictures would bring cannot be said: {curve.reason}."
    gain, most = curve.fitted.gains[-1], curve.sizes[-1].pictures
    return (
        f"{where}: {gain.pictures} more labelled pictures (beside the {most} there are): "
        f"{_signed(gain.mean, measure)} {figure} (95 % interval {_signed(gain.low, measure)} to "
        f"{_signed(gain.high, measure)})."
    )


def about_curves(curves: Sequence[LearningCurve]) -> list[str]:
    """What the curves take for true; nothing where none was fitted."""
    fitted = [curve for curve in curves if curve.fitted is not None]
    if not fitted:
        return []
    most = max(curve.sizes[-1].pictures for curve in fitted)
    lines = [
        f"This goes beyond the largest training set (at most {most} pictures): nothing was "
        "measured there, and the figures hold if the power law goes on and the new pictures are "
        "like the old ones. The interval has the luck of seeds and test pictures, not that "
        "doubt. These curves cannot fall: an interval that begins near 0 leaves open that more "
        "pictures bring nothing."
    ]
    if any(curve.paired for curve in fitted):
        lines.append(
            "All seeds of a size had the same training pictures: which ones these happened to be "
            "is not in the interval (data.train_draw=seed puts it there)."
        )
    lines.append(
        "All sizes of a curve had the same number of epochs, so that small ones had fewer steps."
    )
    return lines


def _number(count: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(count, str(count))


def _signed(value: float, measure: Measure) -> str:
    return f"{'−' if value < 0 else '+'}{measure.show(abs(value))}"
