"""How a figure grows with the number of training pictures: y = a − b · n^−c.

The error of many trained networks falls as a power of the number of examples, towards what no more
of them takes away (Hestness et al. 2017, arXiv:1712.00409; for small sets Rosenfeld et al. 2020,
arXiv:1909.12673). a is the figure that the curve tends to (at most 1), b ≥ 0, and c is between .05
and 2: below, the curve is a straight line in log n as far as anyone can see; above, a step.

For a given c the curve is linear in a and b, so that c is searched on a grid and nothing has to
converge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LEAST_SIZES = 4
"""Three parameters need a fourth size for anything to be left that could speak against them."""
LEAST_RANGE = 3.0
"""The largest size over the smallest: within less than that any line is a power law."""
_EXPONENTS = np.geomspace(0.05, 2.0, 60)
_DRAWS = 2000
_SEED = 20171201


@dataclass(frozen=True)
class PowerLaws:
    """Curves, each of an entry of a, b and c, [D]."""

    a: Values
    b: Values
    c: Values

    def at(self, n: Values) -> Values:
        """The figures at numbers of pictures: [N] → [D, N]."""
        return self.a[:, None] - self.b[:, None] * n[None, :] ** -self.c[:, None]


def fit(n: Values, y: Values) -> PowerLaws:
    """The least squares of each row of figures.

    Args:
        n: numbers of pictures, [L], different ones.
        y: figures, [D, L].
    """
    best = np.full(len(y), np.inf)
    a, b, c = (np.zeros(len(y)) for _ in range(3))
    middle = y.mean(1)
    for exponent in _EXPONENTS:
        x = n**-exponent
        spread = x - x.mean()
        slope = np.maximum(-(y @ spread) / (spread @ spread), 0.0)
        limit = middle + slope * x.mean()
        # Beyond the largest figure that there is: the best of the curves that end there.
        over = limit > 1
        bound = np.maximum(((1 - y) @ x) / (x @ x), 0.0)
        slope, limit = np.where(over, bound, slope), np.where(over, 1.0, limit)
        squares = ((limit[:, None] - slope[:, None] * x - y) ** 2).sum(1)
        better = squares < best
        best = np.where(better, squares, best)
        a, b = np.where(better, limit, a), np.where(better, slope, b)
        c = np.where(better, exponent, c)
    return PowerLaws(a, b, c)


@dataclass(frozen=True)
class Noise:
    """What is not known of the figures of a curve.

    Attributes:
        seeds: runs at each size, [L].
        seed_sd: standard deviation of one run over seeds, pooled over sizes. free: its degrees of
            freedom, at least 2.
        pictures: what each test picture adds at each size, [L, P]; None where that is not known.
    """

    seeds: NDArray[np.int64]
    seed_sd: float
    free: int
    pictures: Values | None


def redrawn(y: Values, noise: Noise) -> Values:
    """Figures as other seeds and test pictures might have given them, [draws, L].

    Seeds are drawn from a normal distribution whose spread is drawn too, since a few runs hardly
    tell it; pictures with replacement, the same for all sizes, which share them.
    """
    rng = np.random.default_rng(_SEED)
    spread = noise.seed_sd * np.sqrt(noise.free / rng.chisquare(noise.free, _DRAWS))
    found = y + spread[:, None] * rng.normal(size=(_DRAWS, len(y))) / np.sqrt(noise.seeds)
    if noise.pictures is not None:
        count = noise.pictures.shape[1]
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=_DRAWS) / count
        found = found + drawn @ (noise.pictures - noise.pictures.mean(1, keepdims=True)).T
    return found
