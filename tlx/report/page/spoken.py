"""Figures and lists as a reader who knows no statistics would say them."""

from __future__ import annotations

from collections.abc import Sequence

from tlx.report.comparison.difference import Difference
from tlx.report.comparison.figures import significant
from tlx.report.comparison.measures import Measure

_HOURS = 120.0  # minutes from here on are said in hours
_MOST_NAMES, _MOST_LETTERS = 5, 70
_VAST = 1.0  # a difference of shares cannot be larger


def duration(minutes: float) -> str:
    """A time as people say it."""
    if minutes < 1:
        return f"{significant(60 * minutes)} s"
    if minutes < _HOURS:
        return f"{significant(minutes)} min"
    return f"{significant(minutes / 60)} h"


def lower_or_higher(value: float, measure: Measure) -> str:
    """A difference without a sign: `0.005 lower`."""
    size = measure.show(abs(value))
    if float(size.split()[0]) == 0:
        return "the same"
    return f"{size} {'lower' if value < 0 else 'higher'}"


def left_open(low: float, high: float, measure: Measure) -> str:
    """What an interval leaves open: `from 0.013 lower to 0.003 higher`."""
    return f"from {lower_or_higher(low, measure)} to {lower_or_higher(high, measure)}"


def given_up(difference: Difference, measure: Measure) -> str:
    """What a choice seems to lose against the best, and what it may lose at most."""
    mean = difference.mean or 0.0
    seen = "none seen" if mean >= 0 else f"{measure.show(-mean)} seen"
    if difference.low is None or difference.pairs < 2:
        return f"{seen}; how much it may be, {one_each(difference)} cannot tell"
    if difference.low >= 0:
        return f"{seen}, and none is likely"
    return f"{seen}; up to {measure.show(min(-difference.low, _VAST))} is possible"


def one_each(difference: Difference) -> str:
    """What two arms have that were compared with one seed."""
    return "one training each" if difference.folds is None else "one seed each"


def listed(names: Sequence[str], most: int = 5) -> str:
    """`a, b and c`; of many the first ones and how many more."""
    if len(names) > most:
        rest = len(names) - most + 1
        return f"{', '.join(names[: most - 1])} and {rest} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def short(names: Sequence[str]) -> bool:
    """Whether names can stand in a sentence; those of a study of many factors fill a screen."""
    return len(names) <= _MOST_NAMES and sum(map(len, names)) <= _MOST_LETTERS


def counted(number: int, what: str) -> str:
    """A number of things."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def capital(text: str) -> str:
    """The text as the beginning of a sentence; a key stays as it is typed."""
    return text if "=" in text.partition(" ")[0] else text[:1].upper() + text[1:]
