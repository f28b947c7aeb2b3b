"""Sums of cells: against Welch's test, with what cells share, with what seeds share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from tlx.report.factors.cells import Cell, Treatment
from tlx.report.factors.combine import Sum, weighted_sum

TREATMENT = Treatment("freeze=all", "freeze=none")


def cell(
    gaps: list[float] | np.ndarray, tested_on: str = "guns", pictures: np.ndarray | None = None,
    seeds: str = "",
) -> Cell:  # fmt: skip
    names = tuple(seeds or "0123456789"[: len(gaps)])
    return Cell(TREATMENT, {}, names, np.array(gaps), pictures, None, tested_on, 0.0)


def less(one: Cell, other: Cell) -> Sum:
    found = weighted_sum([(one, 1.0), (other, -1.0)])
    assert found is not None
    return found


def test_two_sets_are_compared_by_welch_s_test() -> None:
    one, other = [0.02, -0.01, 0.05], [-0.06, -0.02, -0.05, -0.01]
    found = less(cell(one), cell(other, "ppe"))
    welch = ttest_ind(one, other, equal_var=False)
    assert found.mean == pytest.approx(np.mean(one) - np.mean(other))
    assert found.se == pytest.approx(found.mean / welch.statistic)
    # Its degrees of freedom, but where one side is noisier than its number says.
    assert found.p == pytest.approx(welch.pvalue, rel=0.1)
    assert found.p >= welch.pvalue


def test_one_noisy_cell_does_not_pass_for_many() -> None:
    """A level of one cell against five: two thirds of 9 degrees of freedom are of no use."""
    rng = np.random.default_rng(0)
    cells = [cell(rng.normal(0, 1, 3), str(number)) for number in range(6)]
    found = weighted_sum([(cells[0], 1.0), *((each, -0.2) for each in cells[1:])])
    assert found is not None
    # (1 + 5 · .04)² / (1 / 2 + 5 · .0016 / 2): Satterthwaite's of equal noise.
    assert found.parts[0][1] <= 1.2**2 / (0.5 + 5 * 0.0016 / 2) + 1e-9


def test_what_seeds_do_to_all_cells_alike_is_not_averaged_away() -> None:
    shared = np.array([-0.1, 0.0, 0.1])
    cells = [cell(shared + 0.001 * place) for place in range(4)]
    mean = weighted_sum([(each, 0.25) for each in cells])
    assert mean is not None
    # All four together are as uncertain as one.
    assert mean.se == pytest.approx(0.1 / np.sqrt(3), rel=1e-6)
    # … and a difference between two is no better known than single spreads let it be.
    change = less(cells[1], cells[0])
    assert change.mean == pytest.approx(0.001)
    assert change.se >= 0.1 / np.sqrt(3)


def test_pictures_that_cells_share_drop_out_of_a_change() -> None:
    rng = np.random.default_rng(1)
    pictures = rng.normal(0, 1, 50) + np.zeros((3, 1))
    gaps = pictures.mean(1)
    noise = rng.normal(0, 0.01, (2, 3))
    one, other = (cell(gaps + own, pictures=pictures + own[:, None]) for own in noise)
    change = less(one, other)
    assert sum(part for part, _ in change.parts[2:]) == pytest.approx(0, abs=1e-9)
    assert change.p == pytest.approx(ttest_rel(*noise).pvalue, abs=0.3)
    # Of unlike pictures their luck is in it, twice.
    apart = less(one, cell(gaps + noise[1], "ppe", pictures + noise[1][:, None]))
    assert apart.se > 5 * change.se
    assert apart.se == pytest.approx(np.sqrt(2 * pictures[0].var(ddof=1) / 50), rel=0.05)


def test_cells_are_matched_by_their_seeds() -> None:
    one = cell([0.1, 0.2, 0.4], seeds="012")
    other = cell([0.4, 0.1], seeds="20")
    found = less(one, other)
    assert found.seeds == 2
    assert found.mean == pytest.approx((0.4 - 0.4 + 0.1 - 0.1) / 2)
    assert weighted_sum([(one, 1.0), (cell([0.3], seeds="7"), -1.0)]) is None


def test_one_seed_tells_of_its_pictures_alone() -> None:
    pictures = np.random.default_rng(2).normal(0, 1, (1, 40))
    alone = weighted_sum([(cell([0.1], pictures=pictures), 1.0)])
    assert alone is not None
    assert not alone.tested
    assert alone.se == pytest.approx(pictures.std(ddof=1) / np.sqrt(40))
    assert weighted_sum([(cell([0.1]), 1.0)]) is None
