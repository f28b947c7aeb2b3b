"""What would settle which arm to take: more seeds or more test pictures, how many, how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tlx.report.comparison.candidates import NEXT, Limits
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.difference import Difference
from tlx.report.comparison.differences import contrast_of
from tlx.report.comparison.figures import significant
from tlx.report.comparison.statistics import Contrast, foreseen
from tlx.report.comparison.sweep import with_seeds

MOST_SEEDS = 100
_MOST_PICTURES = 100  # times those that there are
_FIRST = 2  # more seeds where one tells nothing of their spread


@dataclass(frozen=True)
class Need:
    """What is missing: so many more seeds, or so many test pictures; both 0: no number helps."""

    seeds: int = 0
    pictures: int = 0


def needed(contrast: Contrast | None, accepted: float, *, leads: bool) -> Need:
    """What narrows the interval of a difference so far that a loss above `accepted` is left out.

    With the spreads that were measured, taken for the true ones.

    Args:
        contrast: The arm's difference from the best of the others; None: nothing is known.
        accepted: Loss of mAP that is accepted, above 0.
        leads: Whether the arm is the best of all. Of the arms that are alike some arm leads by
            chance, so a leader's interval need only be as narrow as the accepted loss; another
            arm's has to be narrower by what it seems to lose.
    """
    if contrast is None or contrast.pairs < 2:
        return Need(seeds=_FIRST)
    room = accepted if leads else accepted + min(0.0, contrast.mean)
    if room <= 0:
        return Need()
    for seeds in range(contrast.pairs + 1, contrast.pairs + MOST_SEEDS + 1):
        if _half(foreseen(contrast, seeds)) <= room:
            return Need(seeds=seeds - contrast.pairs)
    # With the seeds that there are, or else with as many as a study can well have.
    for seeds in (contrast.pairs, *(n for n in (3, 5, 10) if n > contrast.pairs)):
        if (count := _pictures(contrast, seeds, room)) is not None:
            return Need(seeds - contrast.pairs, count)
    return Need()


def _pictures(contrast: Contrast, seeds: int, room: float) -> int | None:
    """The number of test pictures that is enough; None where no number is, or none is counted."""
    if not contrast.picture_part or contrast.pictures is None:
        return None
    low, high = contrast.pictures, contrast.pictures * _MOST_PICTURES
    if _half(foreseen(contrast, seeds, high)) > room:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = _half(foreseen(contrast, seeds, middle)) <= room
        low, high = (low, middle) if enough else (middle, high)
    return high


def _half(contrast: Contrast) -> float:
    """Half the width of the 95 % interval."""
    low, high = contrast.interval
    return (high - low) / 2


@dataclass(frozen=True)
class Settling:
    """What would settle the question, in words and in numbers.

    Attributes:
        words: one sentence, with the minutes.
        need: so many more seeds or test pictures; neither: no number helps, or there is nothing
            that can be compared.
        minutes: how long the trainings take that are missing; 0 without a need, or where the
            times of these are not known.
        seeds: all seeds that the study is to have.
        pictures: how many test pictures there are; None where they are not counted.
        picture_share: their share of the variance, as a part of 1.
        first: nothing is known of the spread over seeds, so that they give a first interval.
        command: a line to paste that adds the seeds, where no pictures are missing.
    """

    words: str
    need: Need = Need()
    minutes: float = 0.0
    seeds: list[int] = field(default_factory=list)
    pictures: int | None = None
    picture_share: float | None = None
    first: bool = False
    command: str | None = None


def what_settles(
    comparison: Comparison,
    allowed: Sequence[Row],
    ranked: Sequence[Row],
    differences: Mapping[str, Difference],
    limits: Limits,
) -> Settling:
    """What would settle the question.

    It is said of the arm with the best figure within the limits: the one that more evidence would
    recommend.
    """
    comparable = [row for row in allowed if differences[row.arm.label].mean is not None]
    if not comparable:
        reason = differences[allowed[0].arm.label].reason
        return Settling(f"{NEXT} train runs that can be compared ({reason}).")
    row, accepted = comparable[0], limits.accepted_loss
    other = best_other(row, ranked)
    contrast = contrast_of(row.arm, other.arm, comparison.main)
    need = needed(contrast, accepted, leads=row is ranked[0])
    timed = [(each, each.fit_min.mean) for each in comparison.rows if each.fit_min]
    minutes = sum(mean * (each.arm.folds.count if each.arm.folds else 1) for each, mean in timed)
    if len(timed) < len(comparison.rows):  # of those that were alone it would be too few
        minutes = 0.0
    records = [record for each in comparison.rows for record in each.arm.records]
    known = sorted({int(text) for r in records if (text := str(r.get("seed"))).isdecimal()})
    start = max(known, default=-1) + 1
    seeds = [*known, *range(start, start + need.seeds)]
    if need.pictures:
        assert contrast is not None
        more = f", with {_counted(need.seeds, 'more seed')}" if need.seeds else ""
        share = (contrast.picture_part or 0.0) / contrast.se**2
        needs = (contrast.pairs + need.seeds) * minutes
        return Settling(
            f"{NEXT} more seeds alone cannot settle {accepted:g}: the test pictures make up "
            f"{100 * share:.0f} % of the variance. About {need.pictures} test pictures instead of "
            f"{contrast.pictures} would{more} (add pictures and run the study again"
            f"{f': about {significant(needs)} min' if needs else ''}).",
            need, needs, seeds, contrast.pictures, share,
        )  # fmt: skip
    if not need.seeds:
        seems = contrast.mean if contrast else 0.0
        why = (
            f"{row.arm.label} has the best figure within the limits and seems to lose "
            f"{-seems:.3f}, so more runs would hardly recommend it"
            if row is not ranked[0] and seems <= -accepted
            else f"neither {MOST_SEEDS} more seeds nor a hundred times the test pictures would "
            f"settle {accepted:g}"
        )
        option = comparison.quality.accept
        told = f"{NEXT} {why}; a larger loss would have to be accepted ({option})."
        return Settling(told)
    line = with_seeds(records, seeds)
    how = "" if line else f", by the command of the study with seed={','.join(map(str, seeds))}"
    first = contrast is None or contrast.pairs < 2
    what = (
        f"{_counted(need.seeds, 'more seed')} would give a first interval"
        if first
        else f"about {_counted(need.seeds, 'more seed')} would most likely settle {accepted:g}"
    )
    needs = need.seeds * minutes
    words = f"{NEXT} {what}{f': about {significant(needs)} min' if needs else ''}{how}."
    return Settling(words, need, needs, seeds, first=first, command=line)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def best_other(row: Row, ranked: Sequence[Row]) -> Row:
    return next(other for other in ranked if other is not row)
