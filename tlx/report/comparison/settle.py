"""What would settle which arm to take: more seeds or more test pictures, and how many."""

from __future__ import annotations

from dataclasses import dataclass

from tlx.report.comparison.statistics import Contrast, foreseen

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
