"""The first words of the page: which arm to take, why, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.recommend import NEXT, TODAY, Recommendation
from tlx.report.comparison.verdict import verdict
from tlx.report.page.tables import Cell, Table, plain_table

_DOUBT = "Doubt: "


@dataclass(frozen=True)
class Answer:
    """A sentence that answers, what speaks for it, what it leaves open, and what to run next."""

    headline: str
    reasons: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    command: str | None = None

    def __contains__(self, line: object) -> bool:
        return line == self.headline or line in (*self.reasons, *self.doubts)


def answer_of(comparison: Comparison, recommendation: Recommendation) -> Answer:
    """The recommendation; where there is none, what the test figures say and what to do next."""
    headline, *others = recommendation.words
    if recommendation.arm is None:
        lean, settle = ([line for line in others if line.startswith(w)] for w in (TODAY, NEXT))
        told = [line for line in verdict(comparison)[:2] if line != headline]
        return Answer(headline, [*lean, *told, *settle], command=recommendation.command)
    doubts = [line.removeprefix(_DOUBT) for line in others if line.startswith(_DOUBT)]
    doubts = [line[:1].upper() + line[1:] for line in doubts]
    return Answer(headline, [line for line in others if not line.startswith(_DOUBT)], doubts)


def refused_table(recommendation: Recommendation) -> Table | None:
    """Why the other arms were not taken."""
    limits, quality = recommendation.limits, recommendation.quality
    chosen = " ".join(limits.as_arguments(quality))
    rows = [[arm, Cell(why, mark="words")] for arm, why in recommendation.refused.items()]
    caption = (
        f"Why other arms are not recommended; accepted loss of test {quality.main.name}: "
        f"{limits.accepted_loss:g}."
    )
    if chosen:
        caption += f" Limits: {chosen}."
    return plain_table("refused", caption, ["arm", "why"], rows)
