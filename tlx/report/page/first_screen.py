"""The first screen: what to do, how sure that is, what it costs, what to do next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tlx.report.comparison.candidates import over_limits
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.verdict import nothing_has_learned
from tlx.report.factors import Analysis
from tlx.report.page.certainty import how_sure, reference_words
from tlx.report.page.choice import keys_of, meaning, row_of, training_command
from tlx.report.page.cost import cost_of
from tlx.report.page.next_step import next_step, unfinished
from tlx.report.page.parts import Answer, Part
from tlx.report.page.several_sets import answer_of_sets
from tlx.report.page.spoken import duration, listed, short

DO, SURE, COST = "What to do", "How sure is this?", "What it costs"
_UNFIT = "No arm can be recommended: "
_SEVERAL = {
    "its training time is": "their training times are", "it has": "they have",
    "it was": "they were", "it froze": "they froze",
}  # fmt: skip


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
        found = answer_of_sets(comparison, recommendation, analysis, arguments)
    else:
        found = Answer(
            headline_of(comparison, recommendation),
            [
                _what_to_do(comparison, recommendation),
                Part(SURE, how_sure(comparison, recommendation)),
                Part(COST, cost_of(comparison, recommendation)),
                next_step(comparison, recommendation, arguments),
            ],
        )
    *parts, last = found.parts
    last = replace(last, lines=[*unfinished(comparison), *last.lines])
    return replace(found, parts=[*parts, last])


def headline_of(comparison: Comparison, advice: Recommendation) -> str:
    """One sentence or two; where nothing is shown they say that."""
    name, accepted = comparison.quality.main.name, advice.limits.accepted_loss
    if (nothing := nothing_has_learned(comparison)) is not None:
        return nothing.partition("; next")[0].rstrip(".") + "."
    if advice.arm is not None:
        row, cost = row_of(comparison, advice.arm), advice.cost
        of_all = f"of all that are shown to lose at most {accepted:g} {name} against the best"
        if row.fit_min is not None and (cost is None or cost.timed):
            time = duration(row.fit_min.mean)
            return f"Use {advice.arm}. It trains in {time}, the shortest time {of_all}."
        return (
            f"Use {advice.arm}. It takes the least arithmetic in training {of_all}; times cannot "
            "be compared here."
        )
    if advice.outcome == "lean":
        return (
            f"Not settled yet. If you have to choose today, use {advice.lean}: these runs lean to "
            f"it, but do not show that it loses at most {accepted:g} {name}."
        )
    if advice.outcome == "open":
        return f"No answer yet: {_open(comparison, advice)}"
    why = advice.words[0].removeprefix(_UNFIT).rstrip(".")
    reasons, arms = _reasons(advice), len(comparison.rows)
    if advice.outcome == "too few" and len(reasons) == 1 and len(advice.refused) == arms > 1:
        why += f": {_of_several(*reasons)}"
    return f"No answer yet: {why}."


def _reasons(advice: Recommendation) -> dict[str, list[str]]:
    """The arms that were not taken by the reason, which leaves single runs out."""
    found = defaultdict(list)
    for label, why in advice.refused.items():
        found[why.partition(" (")[0]].append(label)
    return dict(found)


def _of_several(why: str) -> str:
    """The reason of one arm as that of several."""
    for one, several in _SEVERAL.items():
        why = why.replace(one, several)
    return why


def _open(comparison: Comparison, advice: Recommendation) -> str:
    """What is shown of the arms where none can be taken."""
    found = [each for each in comparison.differences if each.figure == comparison.main.key]
    known = [each for each in found if each.verdict != "not comparable"]
    shown = [each for each in known if each.shown]
    name, limits = comparison.quality.main.name, advice.limits
    kept = [limits.train_minutes, limits.memory_gb, limits.latency_ms]
    none = "none" if kept == [None, None, None] else "none that keeps the limits"
    bound = f"{none} is shown to be within {limits.accepted_loss:g} {name} of the best"
    if not any(map(comparison.reference, comparison.rows)):
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
    which = ""
    if row.arm.folds is not None and row.arm.first.fold is not None:
        which = (
            f", on all folds but fold {row.arm.first.fold} (without data.folds and data.fold it "
            "trains on the set's own splits)"
        )
    lines.append(f"Train with {keys_of(comparison, row)}, here with all that the study had{which}:")
    return Part(DO, lines, line)


def _do_nothing_yet(comparison: Comparison, advice: Recommendation) -> list[str]:
    if advice.outcome == "nothing learned":
        return ["Choose nothing from these runs. First find out why nothing was learned."]
    if advice.outcome == "no limit kept":
        return ["Choose nothing from these runs under these limits."]
    if advice.outcome == "too few":
        if not advice.refused:
            return ["Choose nothing yet: there is nothing to compare with."]
        return [
            "Choose nothing yet: it takes two arms that can be taken.",
            *(
                f"{listed(labels)}: {_of_several(why) if len(labels) > 1 else why}."
                for why, labels in _reasons(advice).items()
            ),
        ]
    accepted, word = advice.limits.accepted_loss, comparison.quality.word
    twice = f"{2 * accepted:g} {word}"
    if advice.bound is None or advice.bound > 2 * accepted:
        why = f"of no arm can a loss of {twice} be ruled out, which is twice what is accepted"
    else:
        why = (
            f"each arm seems to lose more than {accepted:g} {word}, or a loss of {twice}, twice "
            "what is accepted, cannot be ruled out"
        )
    return [f"Choose nothing from these runs yet: {why}.", *_highest(comparison, advice)]


def _highest(comparison: Comparison, advice: Recommendation) -> list[str]:
    """Which arm has the highest figure, and what there is to say against taking it."""
    tested = [(row.test_main.mean, row) for row in comparison.rows if row.test_main is not None]
    if not tested:
        return []
    mean, best = max(tested, key=lambda pair: pair[0])
    label, name = best.arm.label, comparison.quality.main.name
    others = [
        comparison.difference(row.arm.label, comparison.main.key)
        for _, row in tested
        if row is not best
    ]
    below = [each is not None and each.reference == label and each.shown for each in others]
    against = f"; {over}" if (over := over_limits(best, advice.limits, {})) else ""
    luck = "" if all(below) else ", which may be luck"
    return [f"The highest {name} seen is that of {label} ({mean:.3f}){luck}{against}."]
