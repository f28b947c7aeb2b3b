"""What two arms show about each other in one figure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tlx.report.comparison.statistics import SeedCount

Verdict = Literal["better", "worse", "no difference shown", "not comparable"]
PAIRED, LOG_RANK = "paired t test", "log-rank test by permutation"
CROSSED, PICTURES = "seeds crossed with test pictures", "test pictures of one pair of runs"
STEPS = "blocks of steps of one pair of runs"


@dataclass(frozen=True)
class Difference:
    """`arm` minus `reference`, over seeds that both have.

    Attributes:
        figure: Key of the measure.
        pairs: Seeds that were compared.
        mean: Mean difference in the figure's unit, or as a share of the reference where `relative`
            (-0.2 is a fifth less); None where nothing can be compared, or a level is not reached.
        low: Lower end of the 95 % interval of the mean, uncorrected; None for one pair.
        high: Upper end.
        relative: Whether the figure is compared by ratio.
        p: Two-sided p of the test.
        p_holm: The same, corrected for the `family` of comparisons it belongs to.
        family: How many comparisons were made at once.
        effect: Hedges' g of the paired differences.
        detectable: The smallest difference that would have been shown with 80 % power (where
            `relative`, the smallest reduction).
        seeds_needed: Seeds that show a difference as large as the one seen with 80 % power.
        verdict: For whoever wants more quality and less of all else.
        method: The test; None where none was made.
        picture_share: Share of the variance of the mean that the test pictures make up, the rest
            being that of the seeds; None where the pictures' part is not known.
        seed_sd: Standard deviation of one run's figure over seeds (a share where `relative`),
            pooled over the arms compared; None where none has two.
        drift: How the figure changed over the study by the drift of the machine alone, as a share;
            None where no model told it from the arms.
        reason: Why runs could not be compared, or what else may explain the difference.
        words: All of this as a sentence or two.
    """

    arm: str
    reference: str
    figure: str
    pairs: int
    mean: float | None
    low: float | None
    high: float | None
    relative: bool
    p: float | None
    p_holm: float | None
    family: int
    effect: float | None
    detectable: float | None
    seeds_needed: SeedCount
    verdict: Verdict
    method: str | None
    drift: float | None
    reason: str | None
    words: str = ""
    picture_share: float | None = None
    seed_sd: float | None = None

    @property
    def shown(self) -> bool:
        """Whether a difference is established."""
        return self.verdict in ("better", "worse")

    def as_dict(self) -> dict[str, Any]:
        """The unrounded numbers for `report.json`."""
        return asdict(self)
