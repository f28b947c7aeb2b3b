"""Near-duplicates: found whatever their scale and brightness, and grouped."""

from __future__ import annotations

import numpy as np
import pytest

from tlx.data.duplicates import connected, near_duplicate_groups
from tlx.data.formats.difference_hash import difference_hash


def scene(seed: int, size: int = 64) -> np.ndarray:
    """A smooth random picture."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    return coarse.repeat(size // 8, axis=0).repeat(size // 8, axis=1)


def test_near_duplicates_survive_scale_and_brightness() -> None:
    series = [scene(1), scene(1, 96), scene(1) // 2 + 30]
    others = [scene(seed) for seed in range(2, 30)]
    assert near_duplicate_groups([others[0], *series, *others[1:]])[:5] == [0, 1, 1, 1, 2]
    assert len(set(near_duplicate_groups(others))) == len(others)


def test_near_duplicate_distance_counts_bits() -> None:
    def striped(flips: int) -> np.ndarray:
        """9 x 8 cells that brighten to the right, but in `flips` places darken."""
        cells = np.tile(np.arange(9, dtype=np.uint8) * 20 + 40, (8, 1))
        cells[:flips, 0] = 90
        return cells[..., None].repeat(3, axis=2)

    bits = [difference_hash(striped(flips)) for flips in (0, 4, 5)]
    assert [(bits[0] != b).sum() for b in bits] == [0, 4, 5]
    assert near_duplicate_groups([striped(0), striped(4)]) == [0, 0]
    assert near_duplicate_groups([striped(0), striped(5)]) == [0, 1]
    assert near_duplicate_groups([striped(0), striped(5), striped(3)]) == [0, 0, 0]


def test_near_duplicates_of_nothing_and_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert near_duplicate_groups([]) == []
    pictures = [scene(seed) for seed in range(20)] * 2
    whole = near_duplicate_groups(pictures, distance=20)
    monkeypatch.setattr("tlx.data.duplicates.COMPARED", 60)
    assert near_duplicate_groups(pictures, distance=20) == whole
    assert whole[:20] == whole[20:]


def test_connected_components() -> None:
    roots = connected(6, [(0, 1), (4, 5), (1, 4)])
    assert roots[0] == roots[1] == roots[4] == roots[5]
    assert len({roots[0], roots[2], roots[3]}) == 3
