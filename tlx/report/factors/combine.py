"""A weighted sum of cells: what a level shows, or by how much levels differ.

Cells that were tested on the same pictures share these: the sum is made picture by picture, and its
spread over pictures is that of the sums. Cells of unlike pictures are independent.

Runs of each cell have a spread over seeds of their own. These are added up, with Satterthwaite's
(1946) degrees of freedom, but no more than those of cells that are all equally noisy: one cell that
is much noisier than it looks must not pass for many. Where seeds share something over cells, so
that the sums by seed spread wider than that, the rest is a part of its own with the degrees of
freedom of a few seeds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from tlx.report.comparison.statistics import ALPHA, Contrast, crossed, mixture, paired
from tlx.report.factors.cells import Cell

Weighted = Sequence[tuple[Cell, float]]


@dataclass(frozen=True)
class Sum:
    """A sum of cells, its mean, and the parts of its se² with their degrees of freedom.

    `seeds` is the smallest number over the test sets; `tested` is False where one seed of one test
    set tells nothing of the luck of a training.
    """

    mean: float
    parts: tuple[tuple[float, float], ...]
    seeds: int
    tested: bool

    @property
    def se(self) -> float:
        """The standard error."""
        return math.sqrt(sum(part for part, _ in self.parts))

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        half = mixture.bound(self.parts, ALPHA) * self.se
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Two-sided."""
        if self.se == 0:
            return 1.0 if self.mean == 0 else 0.0
        return mixture.two_sided_p(abs(self.mean) / self.se, self.parts)


def weighted_sum(cells: Weighted) -> Sum | None:
    """The sum of the cells' differences by their weights; None where cells share no seed, or where
    one seed without predictions tells of no spread."""
    groups: dict[Hashable, list[tuple[Cell, float]]] = defaultdict(list)
    for cell, weight in cells:
        if weight:
            groups[cell.tested_on].append((cell, weight))
    matched = [_of_common_seeds(group) for group in groups.values()]
    contrasts = [_same_pictures(group) for group in matched if group]
    known = [each for each in contrasts if each is not None]
    if not known or len(known) < len(groups):
        return None
    parts = _parts(matched, known)
    return Sum(
        math.fsum(each.mean for each in known),
        tuple(parts),
        min(each.pairs for each in known),
        all(each.pairs > 1 or each.fold_part is not None for each in known),
    )


def _of_common_seeds(cells: Weighted) -> Weighted:
    """The cells over the seeds that all have; nothing where there is none."""
    seeds = [s for s in cells[0][0].seeds if all(s in cell.seeds for cell, _ in cells)]
    return [(cell.at(seeds), weight) for cell, weight in cells] if seeds else []


def _same_pictures(cells: Weighted) -> Contrast | None:
    """The sum over cells of one test set and the same seeds, as one difference."""
    gaps = np.sum([weight * cell.gaps for cell, weight in cells], axis=0)
    least = math.sqrt(sum((weight * cell.least_sd) ** 2 for cell, weight in cells))
    pictures = [weight * cell.by_picture for cell, weight in cells if cell.by_picture is not None]
    if len(pictures) == len(cells) and pictures[0].shape[1] > 1:
        return crossed(gaps, np.sum(pictures, axis=0), least, cells[0][0].folds)
    return paired(gaps, least)


def _parts(groups: Sequence[Weighted], sums: Sequence[Contrast]) -> list[tuple[float, float]]:
    """Seeds of single cells, what seeds of a test set share beyond that, pictures and folds."""
    own: list[tuple[float, float, int]] = []  # variance, what it would be of equal noise, df
    others: list[tuple[float, float]] = []
    for cells, found in zip(groups, sums, strict=True):
        free = found.pairs - 1
        if not free:  # one seed: of pictures and folds alone
            others += found.parts or [(found.se**2, found.df)]
            continue
        mine = [_of_seeds(cell, weight) for cell, weight in cells]
        own += [(variance, weight, free) for variance, weight in mine]
        together = found.se**2 if found.seed_part is None else found.seed_part
        others.append((max(0.0, together - sum(variance for variance, _ in mine)), free))
        others += found.parts[1:]
    if not own:
        return others
    total = sum(variance for variance, _, _ in own)
    weighted = min(
        _satterthwaite([(variance, df) for variance, _, df in own]),
        _satterthwaite([(weight, df) for _, weight, df in own]),
    )
    return [(total, weighted), *others]


def _of_seeds(cell: Cell, weight: float) -> tuple[float, float]:
    """The variance of a cell's mean over seeds by its weight, and that of a noise of 1."""
    count = len(cell.gaps)
    sd = max(float(np.std(cell.gaps, ddof=1)), cell.least_sd)
    return weight**2 * sd**2 / count, weight**2 / count


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """The degrees of freedom of a sum of variances."""
    squares = sum(part**2 / df for part, df in parts)
    return sum(part for part, _ in parts) ** 2 / squares if squares else min(d for _, d in parts)
