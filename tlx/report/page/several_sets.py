"""The first screen of a study of several data sets: each set's answer, and what holds over them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tlx.report.comparison.by_set import of_each_set
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.measures import Measure
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.statistics import Pooled
from tlx.report.factors import Analysis
from tlx.report.factors.analysis import OfFactor
from tlx.report.factors.cells import Treatment
from tlx.report.factors.levels import DATA
from tlx.report.factors.words import answer
from tlx.report.page.certainty import rests_on
from tlx.report.page.choice import keys_of, row_of
from tlx.report.page.cost import cost_of, mebibytes
from tlx.report.page.next_step import missing, next_step, no_reference
from tlx.report.page.parts import Answer, Part
from tlx.report.page.spoken import capital, duration, given_up, listed, short
from tlx.report.page.tables import ABSENT, Cell, Table, plain_table

_MOST = 3  # arms that are told of over the sets; all stand further down
_FEW_SETS = 5


def answer_of_sets(
    comparison: Comparison,
    recommendation: Recommendation,
    analysis: Analysis,
    arguments: Sequence[str],
) -> Answer:
    """Headline, parts and a table with a row a set."""
    parts = of_each_set(comparison)
    over = next((found for found in analysis.factors if found.factor is DATA), None)
    told = _over_sets(over, recommendation, analysis.measure)
    headline = " ".join([_headline(parts, recommendation.sets), *told[:1]])
    return Answer(
        headline,
        [
            Part("What to do", _what_to_do(parts, recommendation)),
            Part("How sure is this?", [*told[1:], *_how_sure(over, parts, analysis.measure)]),
            Part("What it costs", _costs(parts, recommendation)),
            _next(parts, recommendation, over, arguments),
        ],
        _table(parts, recommendation),
    )


def _named(label: str, data: str) -> str:
    """An arm's name without that of the set."""
    return re.sub(rf"(?<= ){re.escape(data)}(?: |$)", "", label).strip()


def _headline(parts: Mapping[str, Comparison], sets: Mapping[str, Recommendation]) -> str:
    taken: dict[str, list[str]] = {}
    lean: dict[str, list[str]] = {}
    open_: list[str] = []
    for data, advice in sets.items():
        if advice.arm is not None:
            taken.setdefault(_named(advice.arm, data), []).append(data)
        elif advice.lean is not None:
            lean.setdefault(_named(advice.lean, data), []).append(data)
        else:
            open_.append(data)
    if len(taken) == 1 and not lean and not open_:
        return f"Use {next(iter(taken))} on all {len(sets)} data sets."
    told = [f"use {arm} on {listed(where)}" for arm, where in taken.items()]
    told += [
        f"on {listed(where)} it is not settled, and the runs lean to {arm}"
        for arm, where in lean.items()
    ]
    if len(open_) == len(sets):
        told = [f"no answer yet on any of the {len(sets)} data sets ({listed(open_)})"]
    elif open_:
        told.append(f"no answer yet on {listed(open_)}")
    told += [f"on {data} {line}" for data in open_ for line in _shown(parts[data], data)]
    return f"{capital('; '.join(told))}."


def _shown(part: Comparison, data: str) -> list[str]:
    """What is shown of arms of a set of which none can be taken, as parts of a sentence."""
    found = [each for each in part.differences if each.figure == part.main.key and each.shown]
    own = {row.arm.label for row in part.rows}
    lines = []
    for verdict in ("better", "worse"):
        these = [each for each in found if each.verdict == verdict and each.arm in own]
        names = [_named(each.arm, data) for each in these]
        if names:
            who = listed(names) if short(names) else f"{len(names)} arms"
            single = " (with one seed)" if any(each.pairs < 2 for each in these) else ""
            lines.append(
                f"{who} {'is' if len(names) == 1 else 'are'} shown to be {verdict}{single}"
            )
    return lines


def _over_sets(
    over: OfFactor | None, recommendation: Recommendation, measure: Measure
) -> list[str]:
    """What holds over all sets, a sentence an arm: that which most sets take first, then those
    that are shown to differ."""
    if over is None or not over.pooled:
        why = over.reason if over is not None and over.reason else None
        told = f": {why}" if why else "; each set answers for itself"
        return [f"What holds over the sets together cannot be told{told}."]
    named = Counter(
        _named(label, data)
        for data, advice in recommendation.sets.items()
        if (label := advice.arm or advice.lean) is not None
    )
    order = sorted(over.pooled, key=lambda each: (-named[each.label], not over.pooled[each].shown))
    lines = [_pooled(treatment, over.pooled[treatment], measure) for treatment in order[:_MOST]]
    if len(order) > _MOST:
        lines.append(f"{len(order) - _MOST} more stand under “Does the answer change?”.")
    return lines


def _pooled(treatment: Treatment, over: Pooled, measure: Measure) -> str:
    low, high = max(over.low, -1.0), min(over.high, 1.0)
    verdict = "no difference shown" if not over.shown else "a gain" if low > 0 else "a loss"
    return (
        f"Over the {over.sets} sets together {treatment} is {_signed(over.mean, measure)} "
        f"{measure.title.removeprefix('test ')} on average (95 % interval {_signed(low, measure)} "
        f"to {_signed(high, measure)}: {verdict})."
    )


def _signed(value: float, measure: Measure) -> str:
    return f"{'−' if value < 0 else '+'}{measure.show(abs(value))}"


def _how_sure(
    over: OfFactor | None, parts: Mapping[str, Comparison], measure: Measure
) -> list[str]:
    lines = _together([(rests_on(part.rows), data) for data, part in parts.items()])
    if over is None:
        return lines
    lines.append(answer(over, measure))
    if over.pooled:
        few = next(iter(over.pooled.values())).sets < _FEW_SETS
        lines.append(
            "What is said of the sets together takes them for a random draw of all sets that you "
            "might have; a set unlike all of them can lie outside."
            + (" So few sets hardly tell how much sets differ." if few else "")
        )
    return lines


def _what_to_do(parts: Mapping[str, Comparison], recommendation: Recommendation) -> list[str]:
    lines = []
    for data, advice in recommendation.sets.items():
        label = advice.arm or advice.lean
        if label is None:
            lines.append(("choose nothing from these runs yet.", data))
            continue
        part = parts[data]
        today = "" if advice.arm else "if you have to choose today, "
        lines.append((f"{today}train with {keys_of(part, row_of(part, label))}.", data))
    return _together(lines)


def _costs(parts: Mapping[str, Comparison], recommendation: Recommendation) -> list[str]:
    lines = []
    for data, advice in recommendation.sets.items():
        told = cost_of(parts[data], advice)[0]
        for row in parts[data].rows:
            told = told.replace(row.arm.label, _named(row.arm.label, data))
        lines.append((told, data))
    return _together(lines)


def _together(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Sentences of sets, each once with all the sets that it is said of."""
    of: dict[str, list[str]] = {}
    for told, data in lines:
        of.setdefault(told, []).append(data)
    return [f"{listed(sets)}: {told[:1].lower()}{told[1:]}" for told, sets in of.items()]


def _next(
    parts: Mapping[str, Comparison],
    recommendation: Recommendation,
    over: OfFactor | None,
    arguments: Sequence[str],
) -> Part:
    """What each set lacks; the command gives all of them the seeds that one of them needs most."""
    told: list[tuple[str, str]] = []
    most = None
    for data, advice in recommendation.sets.items():
        if advice.settling is not None or advice.arm is not None:
            told += [(line, data) for line in no_reference(parts[data])]
        if advice.settling is not None:
            told += [(line, data) for line in missing(advice.settling)]
            if most is None or len(advice.settling.seeds) > len(most.seeds):
                most = advice.settling
        elif advice.arm is None:
            told += [(line, data) for line in next_step(parts[data], advice, arguments).lines]
    lines = _together(told) or ["Nothing more has to be trained to answer for these sets."]
    if over is not None and over.pooled:
        lines.append("To narrow what holds over the sets together, add data sets and not seeds.")
    line = None
    if most is not None and most.seeds:
        line = most.command or f"seed={','.join(map(str, most.seeds))}"
        lines.append("Give the command of the study the most seeds that a set needs:")
    return Part("What to do next", lines, line)


def _table(parts: Mapping[str, Comparison], recommendation: Recommendation) -> Table | None:
    rows = []
    for data, advice in recommendation.sets.items():
        part, label = parts[data], advice.arm or advice.lean
        if label is None:
            rows.append([data, Cell("nothing is settled", mark="words"), None, None, None])
            continue
        row = row_of(part, label)
        how = "shown" if advice.arm else "to choose today (not shown)"
        lost = given_up(advice.difference, part.main) if advice.difference else None
        time = duration(row.fit_min.mean) if row.fit_min else None
        use = Cell(_named(label, data), how, "words")
        rows.append([data, use, time, Cell(lost or ABSENT, mark="words"), mebibytes(row)])
    name = recommendation.quality.main.name
    found = plain_table(
        "sets", "The answer of each data set for itself.",
        ["data set", "use", "train time", f"{name} given up against the best of the others",
         "peak memory"], rows,
    )  # fmt: skip
    return found and replace(found, rows=[[replace(r[0], mark=""), *r[1:]] for r in found.rows])
