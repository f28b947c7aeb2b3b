"""Sets of trunk blocks, by their positions from 0."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

Blocks = frozenset[int]


def as_blocks(value: Iterable[int] | int) -> Blocks:
    """A set of positions; a number stands for so many leading blocks."""
    return frozenset(range(value) if isinstance(value, int) else value)


def leading(blocks: Blocks) -> int:
    """How many leading blocks of a trunk are in the set without a gap."""
    return next(place for place in count() if place not in blocks)


def saved_passes(blocks: Blocks) -> int:
    """How much of a step a freeze saves, roughly, to order freezes by: of a leading block two
    passes in three, of another one its gradient of the weights alone (`tlx.freeze.bound`)."""
    return len(blocks) + leading(blocks)
