"""Groups of near-identical pictures (frames of a series, re-encoded copies) by their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

from tlx.data.formats.difference_hash import BITS, packed_hash

DISTANCE = 4  # bits in which two pictures of a group may differ
COMPARED = 2**24  # hashes that are compared at a time: bounds the memory to 64 MiB
FEW = 1 / 8  # of all pairs: more candidates are not worth to be picked out


def near_duplicate_groups(pictures: Iterable[np.ndarray], distance: int = DISTANCE) -> list[int]:
    """Group pictures whose hashes differ in few bits, also through others between them.

    Args:
        pictures: uint8 RGB (H, W, 3) each, for example `(cache[item.digest] for item in items)`.
        distance: the most bits, of 64, in which two pictures of a group may differ.

    Returns:
        A group number for each picture, numbered from 0 in the order of first appearance.
    """
    return groups_of([packed_hash(Image.fromarray(picture)) for picture in pictures], distance)


def groups_of(hashes: Sequence[bytes], distance: int = DISTANCE) -> list[int]:
    """`near_duplicate_groups` by the hashes of the pictures (`packed_hash`)."""
    numbers = np.frombuffer(b"".join(hashes), np.uint64)
    distinct, inverse = np.unique(numbers, return_inverse=True)
    which = inverse.ravel().tolist()
    roots = connected(len(distinct), _close_pairs(distinct, distance))
    first_seen = {root: i for i, root in enumerate(dict.fromkeys(roots[j] for j in which))}
    return [first_seen[roots[j]] for j in which]


def groups_by_digest(hashes: Mapping[str, bytes]) -> dict[str, int]:
    """The same for {digest of a picture: its hash}."""
    return dict(zip(hashes, groups_of([*hashes.values()]), strict=True))


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


def _close_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[int, int]]:
    """Index pairs of distinct hashes, uint64 (n,), that differ in at most `distance` bits.

    Cut into one part more than bits may differ, two such hashes agree in a part (Norouzi, Punjani
    and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012). Only pairs that do
    are compared, unless these are many: then all are, by a matrix product.
    """
    parts = [
        _part(hashes, *ends) for ends in pairwise(np.linspace(0, BITS, distance + 2, dtype=int))
    ]
    candidates = sum(_pairs_alike(part) for part in parts)
    if candidates > FEW * len(hashes) * len(hashes) / 2:
        yield from _all_close_pairs(hashes, distance)
        return
    for part in parts:
        order = np.argsort(part, kind="stable")
        key, sorted_hashes = part[order], hashes[order]
        first, ahead = np.arange(len(order)), 0
        while len(first):
            ahead += 1
            first = first[first + ahead < len(order)]
            first = first[key[first] == key[first + ahead]]
            differ = _ones(sorted_hashes[first] ^ sorted_hashes[first + ahead])
            near = first[differ <= distance]
            yield from zip(order[near].tolist(), order[near + ahead].tolist(), strict=True)


def _part(hashes: np.ndarray, low: int, high: int) -> np.ndarray:
    """Bits `low` to `high` of each hash."""
    return (hashes >> np.uint64(low)) & np.uint64(2 ** (high - low) - 1)


def _pairs_alike(values: np.ndarray) -> int:
    counts = np.unique(values, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _ones(values: np.ndarray) -> np.ndarray:
    """How many bits of each value, uint64 (n,), are set."""
    return np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1).sum(1)


def _all_close_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[int, int]]:
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    signs = np.where(bits, 1, -1).astype(np.float32)  # their dot product is 64 - 2 x distance
    rows_at_once = max(1, COMPARED // max(1, len(signs)))
    for start in range(0, len(signs), rows_at_once):
        close = signs[start : start + rows_at_once] @ signs.T >= BITS - 2 * distance
        rows, columns = np.nonzero(close)
        ahead = rows + start < columns
        yield from zip((rows[ahead] + start).tolist(), columns[ahead].tolist(), strict=True)
