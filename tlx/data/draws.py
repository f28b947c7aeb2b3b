"""Where in 0..1 a group of pictures lies: what decides its split, or its fold.

Plainly it is a hash of the group's contents, whatever else the set holds, so that a set that grows
keeps its members. No such rule can balance classes, for it does not see the others. Stratified, the
groups of a class are lined up in the order of their hashes and spread evenly over 0..1 (systematic
sampling: Madow and Madow 1944). A place in line is near the hash, so that a growing set moves a few
groups across a border and no others (`tests/data/test_split_folds.py` measures how many).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tlx.data.formats.annotations import Item

Groups = Mapping[str, Sequence[Item]]
"""The pictures of each group, under a name that depends on their contents only."""


def draw(key: str, seed: int | str) -> float:
    """A number in 0..1 that a group's name and the seed decide, whatever else the set holds."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def positions(
    groups: Groups, seed: int | str, *, stratify: bool, classes: Sequence[str] | None = None
) -> dict[str, float]:
    """A number in 0..1 for each group: its draw, or (`stratify`) its place among its like.

    Args:
        classes: their names (label k is classes[k - 1]), so that a new class changes no other's.
    """
    drawn = {key: draw(key, seed) for key in groups}
    if not stratify:
        return drawn
    found: dict[str, float] = {}
    for label, keys in strata(groups).items():
        name = classes[label - 1] if classes and label else label
        # A start of its own, or the first split would get the odd one of every small class.
        start = draw(f"class {name}", seed)
        total, before = sum(len(groups[key]) for key in keys), 0
        for key in sorted(keys, key=lambda key: drawn[key]):
            found[key] = (before + start * len(groups[key])) / total
            before += len(groups[key])
    return found


def strata(groups: Groups) -> dict[int, list[str]]:
    """Groups by the label of the rarest class that they hold; 0: those without a box.

    The rarest is that which the fewest groups hold: it is the one that a split may end up without.
    """
    holds = {
        key: {int(label) for item in items for label in item.labels}
        for key, items in groups.items()
    }
    counts = Counter(label for labels in holds.values() for label in labels)
    found: dict[int, list[str]] = defaultdict(list)
    for key, labels in holds.items():
        found[min(labels, key=lambda label: (counts[label], label), default=0)].append(key)
    return found


def fill_empty(homes: Mapping[Any, list[str]], sizes: Mapping[str, int]) -> None:
    """Give every split without a group the smallest one of the split that has most."""
    for keys in homes.values():
        if not keys:
            donor = max(homes.values(), key=len)
            smallest = min(donor, key=lambda key: sizes[key])
            donor.remove(smallest)
            keys.append(smallest)
