"""Simulated studies of several data sets keep the nominal rates.

Differences are drawn from normal distributions: a part of each set (what sets truly differ by), of
the seed, of each run, of the test picture, and the rest; sets have unlike numbers of pictures and
are up to four times as noisy as one another. All bounds are binomial, as in
`test_simulated_studies.py`, and random states are fixed.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import binom

from tlx.report.comparison.statistics import pooled
from tlx.report.factors.analysis import OfFactor, corrected, of_factor
from tlx.report.factors.cells import Cell, Treatment
from tlx.report.factors.levels import BACKBONE, DATA, TRAIN, Factor

TREATMENTS = tuple(Treatment(f"freeze={depth}", "freeze=none") for depth in ("8", "all"))


class Noise(NamedTuple):
    """Standard deviations of what a seed does in a set, a run, a picture, and the rest."""

    seed: float
    run: float
    picture: float
    rest: float


NOISES = {
    "runs": Noise(0.0, 0.03, 0.02, 0.05),
    "seeds": Noise(0.03, 0.01, 0.02, 0.05),
    "pictures": Noise(0.0, 0.005, 0.2, 0.1),
    "all": Noise(0.01, 0.02, 0.15, 0.15),
}


def study(
    rng: np.random.Generator,
    noise: Noise,
    *,
    sets: int,
    seeds: int,
    backbones: int = 1,
    sizes: int = 1,
    tau: float = 0.0,
) -> list[Cell]:
    """The cells of a study in which nothing but data sets, by `tau`, changes anything."""
    cells = []
    for number in range(sets):
        scale, count = rng.uniform(0.5, 2), int(rng.integers(30, 90))
        for treatment in TREATMENTS:
            true = rng.normal(0, tau)
            seed = rng.normal(0, noise.seed * scale, (seeds, 1))
            for backbone, size in itertools.product(range(backbones), range(sizes)):
                values = (
                    true
                    + seed
                    + rng.normal(0, noise.run * scale, (seeds, 1))
                    + rng.normal(0, noise.picture, count)
                    + rng.normal(0, noise.rest, (seeds, count))
                )
                levels = {"data": number, "backbone": backbone, "train": 0.1 * 2**size}
                names = tuple(map(str, range(seeds)))
                gaps = values.mean(1)
                cells.append(Cell(treatment, levels, names, gaps, values, None, number, 0.0))
    return cells


def analysed(cells: list[Cell]) -> list[OfFactor]:
    factors: list[Factor] = [
        factor
        for factor in (DATA, BACKBONE, TRAIN)
        if len({cell.levels[factor.key] for cell in cells}) > 1
    ]
    found = []
    for factor in factors:
        levels = sorted({cell.levels[factor.key] for cell in cells}, key=str)
        found.append(of_factor(factor, factors, cells, {level: str(level) for level in levels}))
    return corrected([each for each in found if each is not None])


def false_alarms(noise: str, studies: int, sets: int, seeds: int, **more: int) -> int:
    rng = np.random.default_rng([sets, seeds, len(noise)])
    return sum(
        any(
            change.shown
            for found in analysed(study(rng, NOISES[noise], sets=sets, seeds=seeds, **more))
            for change in found.changes
        )
        for _ in range(studies)
    )


@pytest.mark.parametrize(
    ("noise", "sets", "seeds", "more"),
    [
        ("all", 3, 3, {}),
        ("runs", 2, 3, {"backbones": 2}),
        ("pictures", 2, 2, {"sizes": 4}),
        ("seeds", 1, 3, {"backbones": 3}),
    ],
)
def test_what_changes_with_nothing_is_seldom_said_to(
    noise: str, sets: int, seeds: int, more: dict[str, int]
) -> None:
    assert false_alarms(noise, 80, sets, seeds, **more) <= binom.ppf(0.999, 80, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"backbones": 3}, {"sizes": 5}])
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("sets", [2, 5])
@pytest.mark.parametrize("noise", NOISES)
def test_false_alarms_keep_to_their_rate_over_the_grid(
    noise: str, sets: int, seeds: int, more: dict[str, int]
) -> None:
    assert false_alarms(noise, 120, sets, seeds, **more) <= binom.ppf(0.999, 120, 0.05)


def test_a_change_that_is_there_is_found() -> None:
    """The rates above could be those of tests that never show anything."""
    rng = np.random.default_rng(3)
    shown = 0
    for _ in range(40):
        cells = study(rng, NOISES["runs"], sets=3, seeds=5)
        for cell in cells:
            if (cell.levels["data"], cell.treatment) == (1, TREATMENTS[1]):
                cell.gaps[:] -= 0.2
                assert cell.by_picture is not None
                cell.by_picture[:] -= 0.2
        (found,) = analysed(cells)
        named = {(change.treatment, change.what) for change in found.changes if change.shown}
        shown += (TREATMENTS[1], "1") in named
    assert shown > 36


def covered(noise: str, studies: int, sets: int, seeds: int, tau: float) -> tuple[int, int]:
    """How often the interval over sets holds the true mean, 0, and that of a new set a new one."""
    rng = np.random.default_rng([sets, seeds, round(1000 * tau)])
    mean = new = 0
    for _ in range(studies):
        cells = study(rng, NOISES[noise], sets=sets, seeds=seeds, tau=tau)
        (found,) = analysed(cells)
        over = found.pooled[TREATMENTS[0]]
        mean += over.low <= 0 <= over.high
        new += over.new_low <= rng.normal(0, tau) <= over.new_high
    return mean, new


@pytest.mark.parametrize(("sets", "tau"), [(2, 0.05), (3, 0.0), (5, 0.05)])
def test_intervals_over_sets_hold_the_truth(sets: int, tau: float) -> None:
    mean, new = covered("all", 40, sets, 3, tau)
    assert min(mean, new) >= binom.ppf(0.001, 40, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("sets", [2, 3, 4, 5])
@pytest.mark.parametrize("noise", ["runs", "all"])
def test_intervals_over_sets_hold_the_truth_over_the_grid(
    noise: str, sets: int, seeds: int, tau: float
) -> None:
    mean, new = covered(noise, 150, sets, seeds, tau)
    assert min(mean, new) >= binom.ppf(0.001, 150, 0.95)


def test_a_model_that_knows_no_spread_between_sets_is_too_sure() -> None:
    """The test above could fail: weights by the errors alone, as if all sets were one."""
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(60):
        y = rng.normal(0, 0.1, 4) + rng.normal(0, 0.02, 4)
        v = np.full(4, 0.02**2)
        half = 1.96 / np.sqrt((1 / v).sum())
        inside += abs((y / v).sum() / (1 / v).sum()) <= half
        assert (over := pooled(y, v)) is not None
        assert over.high - over.low > 2 * half
    assert inside < 30
