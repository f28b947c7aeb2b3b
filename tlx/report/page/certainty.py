"""How sure an answer is, in plain words: the interval, what it rests on, what makes it wide."""

from __future__ import annotations

from collections.abc import Sequence

from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.difference import Difference
from tlx.report.comparison.recommend import DOUBT
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.page.spoken import (
    capital,
    counted,
    left_open,
    listed,
    lower_or_higher,
    one_each,
    short,
)

_HALF = 0.5
_MARKS = {"better": "▲", "worse": "▼"}


def how_sure(comparison: Comparison, advice: Recommendation) -> list[str]:
    """Sentences, the most telling first; nothing where nothing was learned."""
    if advice.outcome == "nothing learned":
        return ["No figure of this page says anything about freezing: nothing was learned."]
    if advice.difference is None:
        lines = _shown(comparison)
    else:
        lines = _of_choice(comparison, advice.difference)
        lines += _shown(comparison, briefly=True) if advice.arm is None else []
    lines.append(rests_on(comparison.rows))
    lines += _source(advice)
    lines += [_plain(line) for line in advice.words if line.startswith(DOUBT)]
    return lines


def _of_choice(comparison: Comparison, found: Difference) -> list[str]:
    measure, figure = comparison.main, comparison.quality.main.name
    if found.mean is None:
        return []
    told = f"Its {figure} on test is {lower_or_higher(found.mean, measure)}"
    than = "as" if told.endswith("the same") else "than"
    text = f"{told} {than} that of {found.reference}, the best of the others."
    if found.low is None or found.high is None or found.pairs < 2:
        return [f"{text} With {one_each(found)}, another seed may turn that round."]
    return [
        f"{text} The truth may be {left_open(found.low, found.high, measure)} (95 % interval: of "
        "100 studies like this, 95 give one that holds the truth)."
    ]


def _shown(comparison: Comparison, *, briefly: bool = False) -> list[str]:
    """Which arms are shown to differ from what they are compared with, and which are not."""
    found = [each for each in comparison.differences if each.figure == comparison.main.key]
    known = [each for each in found if each.verdict != "not comparable"]
    measured = any(map(comparison.reference, comparison.rows))
    if not measured and len(comparison.rows) > 1:
        return ["No arm without a freeze was trained, so what freezing costs is not known."]
    if not known:
        return ["No two arms could be compared."] if len(comparison.rows) > 1 else []
    against = reference_words(comparison)
    lines = []
    for verdict, mark in _MARKS.items():
        if names := [each.arm for each in known if each.verdict == verdict]:
            told = _told(names, len(known), mark)
            lines.append(f"Shown to be {verdict} than {against}: {told}.")
    if any(each.shown and each.pairs < 2 for each in known):
        lines.append(
            "What is shown with one seed is shown of these trainings alone: another seed may turn "
            "it round."
        )
    if briefly:
        return lines
    if rest := [each for each in known if not each.shown]:
        told = _told([each.arm for each in rest], len(known), "= not shown")
        lines.append(f"No difference from {against} shown: {told}.")
        lines += _missed(comparison, rest)
    return lines


def reference_words(comparison: Comparison) -> str:
    """What arms are compared with: the one arm by its name, several by what they share."""
    found = map(comparison.reference, comparison.rows)
    references = {row.arm.label: row.arm.depth for row in found if row is not None}
    if len(references) == 1:
        return next(iter(references))
    plain = all(depth == "none" for depth in references.values())
    return "the same without a freeze" if plain else "what they are compared with"


def _told(names: Sequence[str], of: int, mark: str) -> str:
    """The arms, or how many of all they are and how the table marks them."""
    return listed(names) if short(names) else f"{len(names)} of {of} arms ({mark} in the table)"


def _missed(comparison: Comparison, rest: Sequence[Difference]) -> list[str]:
    """How large a difference would have had to be: not shown is not the same as not there."""
    least = [each.detectable for each in rest if each.detectable is not None and each.pairs > 1]
    name = comparison.quality.word
    if not least:
        one = one_each(rest[0])
        return [f"That does not say that there is none: with {one}, luck is not known."]
    if min(least) >= 1:
        return ["That does not say that there is none: this study could not show any."]
    size = comparison.main.show(min(least))
    return [
        f"That does not say that there is none: a true one below about {size} {name} would mostly "
        "have been missed."
    ]


def rests_on(rows: Sequence[Row]) -> str:
    """On how many seeds and test pictures the figures of arms rest."""
    counts = sorted({row.figures for row in rows})
    each = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    trainings = "one training" if counts == [1] else f"{each} trainings"
    folds = sorted({len(row.arm.folds.compared) for row in rows if row.arm.folds})
    if folds:
        seeds = "one seed" if counts == [1] else f"{each} seeds"
        trainings = f"{seeds}, with a training for each of {folds[-1]} folds,"
    quality = rows[0].quality
    tested = [record for row in rows for record in row.arm.tested]
    pictures = _most(record.number("test", "images") for record in tested) or _most(
        record.number("test", "pictures") for record in tested
    )
    text = f"It rests on {trainings} of each arm"
    if counts != [1]:
        text += " (equal but for the seed, the number that all chance in a training comes from)"
    if pictures:
        text += f" and on {counted(pictures, 'test picture')}"
        boxes = _most(record.number("test", "boxes") for record in tested)
        text += f" with {counted(boxes, 'object')}" if quality.count == "boxes" and boxes else ""
    return f"{text}."


def _most(values: object) -> int | None:
    known = [value for value in values if value]  # type: ignore[attr-defined]
    return round(max(known)) if known else None


def _source(advice: Recommendation) -> list[str]:
    """Whether pictures or seeds are what is missing."""
    found, settling = advice.difference, advice.settling
    share = found.picture_share if found is not None else None
    if share is None and settling is not None:
        share = settling.picture_share
    if found is not None and found.pairs >= 2 and share is None:
        return [
            "The runs did not keep what they found, so the luck of the test pictures is not in "
            "the interval: the truth may lie further off."
        ]
    if share is None or (found is not None and found.pairs < 2):
        return []
    part = f"{100 * share:.0f} % of the uncertainty"
    if share > _HALF:
        return [f"The test pictures make up {part}: more of them help more than more seeds."]
    return [f"The test pictures make up only {part}: more seeds help more than more pictures."]


def _plain(line: str) -> str:
    return capital(line.removeprefix(DOUBT))
