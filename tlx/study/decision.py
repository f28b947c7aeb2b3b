"""Which depth a pilot chooses: successive halving over depths, and what its noise allows to say.

Successive halving: Jamieson & Talwalkar 2016, arXiv:1502.07943.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from tlx.records.learned import FLOOR

_CONFIDENCE = 0.95
ACCEPTED = 0.02  # val mAP that the deeper of two may seem to lose where noise hides the answer


@dataclass(frozen=True)
class Rung:
    """Scores (0..1, a validation figure of the best epoch) of depths that trained equally long.

    Attributes:
        epochs: of every run.
        floor: what scores of runs that found nothing stay below. figure: what a score is called.
        scores: for each depth, from the shallowest to the deepest, one score a seed, the seeds in
            the same order for all; None where the training of a seed diverged.
    """

    epochs: int
    scores: dict[str, list[float] | None]
    floor: float = FLOOR
    figure: str = "mAP"

    @property
    def learned(self) -> bool:
        """Whether some run found anything at all."""
        return any(max(scores) >= self.floor for scores in self.scores.values() if scores)

    def sound(self) -> list[str]:
        """Depths that did not diverge, from the shallowest to the deepest."""
        return [depth for depth, scores in self.scores.items() if scores]

    def ranking(self) -> list[str]:
        """Depths that did not diverge, the best first; of equals the deeper, which is cheaper."""
        means = {depth: fmean(scores) for depth, scores in self.scores.items() if scores}
        return sorted(reversed(means), key=lambda depth: -means[depth])

    def better_half(self) -> list[str]:
        """The depths that go on, from the shallowest to the deepest: half of them, at least two."""
        best = self.ranking()[: max(2, math.ceil(len(self.scores) / 2))]
        return [depth for depth in self.scores if depth in best]


@dataclass(frozen=True)
class Decision:
    """The depth that a pilot chose.

    Attributes:
        told: whether the difference of the two best exceeds the paired noise (or only one is left).
        best, second: the two best depths of the last rung; difference: mean of their paired
            differences; noise: the half-width of its 95 % interval, from `degrees_of_freedom`.
    """

    choice: str
    told: bool
    words: str
    best: str
    second: str | None = None
    difference: float | None = None
    noise: float | None = None
    degrees_of_freedom: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For `pilot.json`."""
        return asdict(self)


def decide(rungs: Sequence[Rung]) -> Decision:
    """The best depth of the last rung, or the deeper of the two best where that costs little.

    The deeper is taken where the best is not shown to be better, the deeper does not seem to lose
    more than `ACCEPTED`, and the noise leaves out a loss of twice that: else the noisier a pilot,
    the more it would freeze. Where nothing has learned the shallowest is taken.

    At least one depth must have scores there.
    """
    last = rungs[-1]
    best, *others = last.ranking()
    if not any(rung.learned for rung in rungs):
        # Nothing is given up by freezing least; the first rung holds every depth.
        choice = next(d for d, scores in rungs[0].scores.items() if scores is not None)
        return Decision(
            choice,
            False,
            f"nothing has learned: no depth reaches {last.floor:g} val {last.figure} after "
            f"{last.epochs} epochs, so none can be preferred; freeze={choice}, the shallowest, is "
            "taken because it gives nothing up. Give the pilot more epochs (policy.epochs)",
            choice,
        )
    if not others:
        return Decision(best, True, f"freeze={best} is the only depth that did not diverge", best)
    second = others[0]
    one, other = last.scores[best], last.scores[second]
    assert one is not None
    assert other is not None
    difference = fmean(a - b for a, b in zip(one, other, strict=True))
    noise, freedom = paired_noise(rungs)
    told = difference > noise
    deeper = next(d for d in reversed(last.scores) if d in (best, second))
    cheap = not told and difference <= ACCEPTED and difference + noise <= 2 * ACCEPTED
    choice = deeper if cheap else best
    figures = (
        f"{fmean(one):.3f} against {fmean(other):.3f} val {last.figure} after {last.epochs} "
        f"epochs with {len(one)} paired seeds, a difference of {difference:.3f} against a noise of "
        f"{noise:.3f}"
    )
    if best == deeper:
        why = f"freeze={best}, the best seen and the deeper one, is taken"
    elif cheap:
        why = (
            f"freeze={deeper}, the deeper one, is taken because its steps are cheaper and a loss "
            f"of {2 * ACCEPTED:g} is left out"
        )
    elif difference > ACCEPTED:
        why = (
            f"freeze={best}, the best seen, is taken because the deeper one seems to lose more "
            f"than {ACCEPTED:g}"
        )
    else:
        why = (
            f"freeze={best}, the best seen, is taken because the noise does not leave out that the "
            f"deeper one loses {2 * ACCEPTED:g}; more seeds (policy.seeds) would tell"
        )
    words = (
        f"freeze={best} is better than freeze={second}: {figures}"
        if told
        else f"the pilot cannot tell freeze={best} from freeze={second}: {figures}; {why}"
    )
    return Decision(choice, told, words, best, second, difference, noise, freedom)


def paired_noise(rungs: Sequence[Rung]) -> tuple[float, int]:
    """Half-width of the 95 % interval of a mean paired difference, and its degrees of freedom.

    The last rung must have two depths that did not diverge, and two seeds.

    Seeds shift all depths of a rung alike (they are paired), so the noise is what remains beside a
    shift for each depth and one for each seed: the residual of a two-way analysis of variance. It
    is pooled over the rungs, because two depths and two seeds alone leave one degree of freedom and
    would tell nothing; where the last rung is noisier than that, its own residual counts.
    """
    from scipy.stats import t  # here: every run imports this module, few have a pilot

    squares, variance, freedom, seeds = 0.0, 0.0, 0, 0
    # Runs that found nothing agree with one another, which tells nothing of the noise.
    for rung in [rung for rung in rungs if rung.learned] or rungs:
        scores = np.array([row for row in rung.scores.values() if row is not None])
        residual = (
            scores - scores.mean(0, keepdims=True) - scores.mean(1, keepdims=True) + scores.mean()
        )
        seeds, own = scores.shape[1], (scores.shape[0] - 1) * (scores.shape[1] - 1)
        variance = float((residual**2).sum()) / max(1, own)
        squares, freedom = squares + variance * own, freedom + own
    deviation = math.sqrt(2 * max(variance, squares / freedom) / seeds)
    return float(t.ppf((1 + _CONFIDENCE) / 2, freedom)) * deviation, freedom
