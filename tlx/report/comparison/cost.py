"""What an arm costs in training, where its quality allows several: minutes, or else arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tlx.report.comparison.compare import Row
from tlx.report.comparison.figures import significant
from tlx.report.comparison.overlap import HELD_UP, waited_share


@dataclass(frozen=True)
class Cost:
    """The order of arms by what they cost.

    Attributes:
        timed: by minutes of training, validation included. Else by the multiply-adds of the steps,
            forward and backward: the times of runs that were not alone on their machine are none.
    """

    timed: bool

    @property
    def least(self) -> str:
        return "the shortest training" if self.timed else "the least arithmetic in training"

    @property
    def more(self) -> str:
        return "its training takes longer" if self.timed else "its training is more arithmetic"

    def of(self, row: Row) -> float:
        """A number to compare with those of other arms; infinite where it is not known."""
        found = _minutes(row) if self.timed else arithmetic(row)
        return math.inf if found is None else found

    def told(self, row: Row) -> str:
        if self.timed:
            return f"{significant(self.of(row))} min"
        share = 1 / row.bound_speedup.mean if row.bound_speedup else math.nan
        return f"{100 * share:.0f} % of the arithmetic of a step in which everything trains"


def cost_of(rows: Sequence[Row]) -> Cost:
    """By time where each arm's can be compared, or where there is nothing else to go by."""
    timed = all(row.fit_min is not None and not _held_up(row) for row in rows)
    return Cost(timed or any(arithmetic(row) is None for row in rows))


def arithmetic(row: Row) -> float | None:
    """Multiply-adds of the steps on one picture, over all epochs and relative to the forward pass
    of each; None where they are not on record."""
    first = row.arm.first
    macs, share = first.number("bound", "forward_macs"), first.number("bound", "step_share")
    epochs = first.number("epochs")
    return macs * share * epochs if macs and share and epochs else None


def _minutes(row: Row) -> float | None:
    return row.fit_min.mean if row.fit_min else None


def _held_up(row: Row) -> bool:
    alone = [record for record in row.arm.records if not record.beside]
    return any((waited_share(record) or 0.0) > HELD_UP for record in alone)
