"""Near-identical pictures (frames of a series, re-encoded copies) by a difference hash.

dHash: each of 64 bits says whether a cell of the 9 x 8 gray thumbnail is darker than its right
neighbour (Krawetz, "Kind of Like That", hackerfactor.com, 2013). It survives scaling, re-encoding
and brightness; it does not see mirroring or crops, and tells pictures with little in them badly.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

BITS = 64
CHUNK = 1024  # rows compared at a time: bounds the memory to CHUNK x n floats


def difference_hash(pixels: np.ndarray) -> np.ndarray:
    """The 64 bits of one picture, bool (64,), from uint8 RGB (H, W, 3)."""
    gray = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BILINEAR)
    cells = np.asarray(gray)
    return (cells[:, :-1] < cells[:, 1:]).ravel()


def near_duplicate_groups(pictures: Iterable[np.ndarray], distance: int = 4) -> list[int]:
    """Group pictures whose hashes differ in few bits, also through others between them.

    Args:
        pictures: uint8 RGB (H, W, 3) each, for example `(cache[item.digest] for item in items)`.
        distance: the most bits, of 64, in which two pictures of a group may differ.

    Returns:
        A group number for each picture, numbered from 0 in the order of first appearance.
    """
    hashes = np.array([difference_hash(picture) for picture in pictures], bool).reshape(-1, BITS)
    distinct, inverse = np.unique(hashes, axis=0, return_inverse=True)
    which = inverse.ravel().tolist()
    numbers = connected(len(distinct), _close_pairs(distinct, distance))
    first_seen = {number: i for i, number in enumerate(dict.fromkeys(numbers[j] for j in which))}
    return [first_seen[numbers[j]] for j in which]


def connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of `count` nodes, one node that stands for all that `pairs` connect it with."""
    parents = list(range(count))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]  # halves the path for the next look-up
            i = parents[i]
        return i

    for a, b in pairs:
        parents[root(a)] = root(b)
    return [root(i) for i in range(count)]


def _close_pairs(hashes: np.ndarray, distance: int) -> Iterable[tuple[int, int]]:
    """Index pairs (a < b) of hashes, bool (n, 64), that differ in at most `distance` bits."""
    signs = np.where(hashes, 1, -1).astype(np.float32)  # their dot product is 64 - 2 x distance
    for start in range(0, len(signs), CHUNK):
        close = signs[start : start + CHUNK] @ signs.T >= BITS - 2 * distance
        rows, columns = np.nonzero(close)
        ahead = rows + start < columns
        yield from zip((rows[ahead] + start).tolist(), columns[ahead].tolist(), strict=True)
