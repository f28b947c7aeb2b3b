"""Which arm to take, how sure that is, and what would settle what is open: the answer as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tlx.records.quality import DETECTION, Quality
from tlx.report.comparison.candidates import Limits
from tlx.report.comparison.cost import Cost
from tlx.report.comparison.difference import Difference
from tlx.report.comparison.settle import Settling

Outcome = Literal[
    "taken", "lean", "open", "no limit kept", "too few", "nothing learned", "several sets"
]  # fmt: skip


@dataclass(frozen=True)
class Recommendation:
    """The arm, or None; `words` give the answer, the evidence and the doubt, in this order.

    `refused` says of every other arm why it was not taken. `command` is a line to paste that adds
    what would settle an open question; None where there is none, or where it is not known.

    Attributes:
        outcome: how the question ended: an arm is `taken`; the evidence leans to one (`lean`) or to
            none (`open`); or why there is no answer.
        lean: the arm to choose today where none is taken.
        difference: that arm's, or the taken one's, from the best of the others.
        bound: where no arm is taken, the least loss that is shown not to be exceeded by one.
        settling: what would settle an open question.
        cost: what the arm that is taken is the cheapest by.
        sets: of a study of several data sets the answer of each, by the name of the set.
    """

    arm: str | None
    words: list[str]
    limits: Limits
    refused: dict[str, str]
    command: str | None = None
    quality: Quality = DETECTION
    outcome: Outcome = "open"
    lean: str | None = None
    difference: Difference | None = None
    bound: float | None = None
    settling: Settling | None = None
    cost: Cost | None = None
    sets: dict[str, Recommendation] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The recommendation for `report.json`."""
        found: dict[str, Any] = {
            "arm": self.arm,
            "words": self.words,
            "limits": self.limits.as_dict(self.quality),
            "refused": self.refused,
            "command": self.command,
        }
        if self.sets:
            found["sets"] = {name: advice.as_dict() for name, advice in self.sets.items()}
        return found
