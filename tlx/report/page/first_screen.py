"""The first screen: what to do, how sure that is, what it costs, what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.verdict import nothing_has_learned
from tlx.report.factors import Analysis
from tlx.report.page.certainty import how_sure, reference_words
from tlx.report.page.choice import keys_of, meaning, row_of, training_command
from tlx.report.page.cost import cost_of
from tlx.report.page.next_step import next_step
from tlx.report.page.parts import Answer, Part
from tlx.report.page.several_sets import answer_of_sets
from tlx.report.page.spoken import duration, listed, short

DO, SURE, COST = "What to do", "How sure is this?", "What it costs"
_UNFIT = "No arm can be recommended: "


def answer_of(
    comparison: Comparison,
    recommendation: Recommendation,
    analysis: Analysis,
    arguments: Sequence[str] = (),
) -> Answer:
    """The answer in plain words, no stronger than the numbers.

    Args:
        comparison: The study.
        recommendation: What it recommends, and how far that is shown.
        analysis: What its factors show; the answer over several data sets is in it.
        arguments: Arguments of `python -m tlx.report` that make this report.
    """
    if recommendation.sets:
        return answer_of_sets(comparison, recommendation, analysis, arguments)
    return Answer(
        headline_of(comparison, recommendation),
        [
            _what_to_do(comparison, recommendation),
            Part(SURE, how_sure(comparison, recommendation)),
            Part(COST, cost_of(comparison, recommendation)),
            next_step(comparison, recommendation, arguments),
        ],
    )


def headline_of(comparison: Comparison, advice: Recommendation) -> str:
    """One sentence or two; where nothing is shown they say that."""
    name, accepted = comparison.quality.main.name, advice.limits.accepted_loss
    if (nothing := nothing_has_learned(comparison)) is not None:
        return nothing.partition("; next")[0].rstrip(".") + "."
    if advice.arm is not None:
        row = row_of(comparison, advice.arm)
        assert row.fit_min is not None
        return (
            f"Use {advice.arm}. It trains in {duration(row.fit_min.mean)}, the shortest time of "
            f"all that are shown to lose at most {accepted:g} {name} against the best."
        )
    if advice.outcome == "lean":
        return (
            f"Not settled yet. If you have to choose today, use {advice.lean}: these runs lean to "
            f"it, but do not show that it loses at most {accepted:g} {name}."
        )
    if advice.outcome == "open":
        return f"No answer yet: {_open(comparison, accepted)}"
    return f"No answer yet: {advice.words[0].removeprefix(_UNFIT)}"


def _open(comparison: Comparison, accepted: float) -> str:
    """What is shown of the arms where none can be taken."""
    found = [each for each in comparison.differences if each.figure == comparison.main.key]
    known = [each for each in found if each.verdict != "not comparable"]
    shown = [each for each in known if each.shown]
    name = comparison.quality.main.name
    bound = f"none is shown to be within {accepted:g} {name} of the best"
    if not found:
        return f"there is no freeze=none to compare with, and {bound}."
    if not known:
        return f"no two arms can be compared, so {bound}."
    if not shown:
        return f"no difference is shown between the arms, and {bound}."
    than = f" than {reference_words(comparison)}"
    better = [each.arm for each in shown if each.verdict == "better"]
    worse = [each.arm for each in shown if each.verdict == "worse"]
    told = [f"{_are(better)} shown to be better{than}"] if better else []
    told += [f"{_are(worse)} shown to be worse{'' if better else than}"] if worse else []
    if any(each.pairs < 2 for each in shown):
        told[-1] += " (with one seed, so of these trainings alone)"
    rest = len(known) - len(shown)
    told += [f"for {rest} other{'s' if rest > 1 else ''} no difference is shown"] if rest else []
    return f"of {len(known)} arms {', '.join(told)}; {bound}."


def _are(names: list[str]) -> str:
    who = listed(names) if short(names) else str(len(names))
    return f"{who} {'is' if len(names) == 1 else 'are'}"


def _what_to_do(comparison: Comparison, advice: Recommendation) -> Part:
    label = advice.arm or advice.lean
    if label is None:
        return Part(DO, _do_nothing_yet(comparison, advice))
    row = row_of(comparison, label)
    lines = [meaning(row)]
    line = training_command(comparison, row)
    if line is None:
        lines.append("On the command line of a training:")
        return Part(DO, lines, keys_of(comparison, row))
    lines.append(f"Train with {keys_of(comparison, row)}, here with all that the study had:")
    return Part(DO, lines, line)


def _do_nothing_yet(comparison: Comparison, advice: Recommendation) -> list[str]:
    if advice.outcome == "nothing learned":
        return ["Choose nothing from these runs. First find out why nothing was learned."]
    if advice.outcome == "no limit kept":
        return ["Choose nothing from these runs under these limits."]
    if advice.outcome == "too few":
        return ["Choose nothing yet: there is nothing to compare with."]
    twice = 2 * advice.limits.accepted_loss
    lines = [
        f"Choose nothing from these runs yet: of no arm can a loss of {twice:g} "
        f"{comparison.quality.word} be ruled out, which is twice what is accepted."
    ]
    tested = [row for row in comparison.rows if row.test_main is not None]
    if tested:
        best = max(tested, key=lambda row: row.test_main.mean if row.test_main else 0.0)
        assert best.test_main is not None
        lines.append(
            f"The highest {comparison.quality.main.name} seen is that of {best.arm.label} "
            f"({best.test_main.mean:.3f}), which may be luck."
        )
    return lines
