"""Train, val and test without the same picture in two of them.

A copy of a training picture in the test split rewards memory, and public sets are full of copies.
So byte-identical pictures, and where asked near-identical ones, are dealt out as one.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlx.data.annotations import Annotation, Item
from tlx.data.duplicates import connected
from tlx.data.split_notes import SplitNotes
from tlx.errors import ConfigError, DataError

TRUST = ("train", "val", "test")  # a picture in two splits stays in the later of them
TOLERANCE = 0.1  # warn where a split that was cut misses its number of images by a larger part


SPLITS = ("named", "cut")  # keep the splits that a set names, or divide all its pictures anew


def without_splits(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Each picture once, of no named split; a list's mere mention of a picture is no picture."""
    unique = {(a.image, a.unused): a for a in annotations}
    return [replace(annotation, split=None) for annotation in unique.values()]


def refuse_copied_splits(annotations: Sequence[Annotation]) -> None:
    """A split that is a copy of another one would be measured on what was trained on.

    Raises:
        DataError: two splits name the same pictures.
    """
    named: dict[str, set[Path]] = defaultdict(set)
    for annotation in annotations:
        if annotation.split and not annotation.unused:
            named[annotation.split].add(annotation.image)
    alike = [s for s in named if any(t != s and named[t] == named[s] for t in named)]
    if alike:
        raise DataError(
            f"the lists of {' and '.join(alike)} hold the same {len(named[alike[0]])} pictures: "
            "what is trained on would be the test. Have all pictures divided with data.splits=cut"
        )


@dataclass
class SplitResult:
    """The items of each split, sorted by digest, and the notes."""

    train: list[Item]
    val: list[Item]
    test: list[Item]
    notes: SplitNotes


def split_items(
    items: Sequence[Item],
    *,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int = 0,
    groups: list[int] | None = None,
    classes: list[str] | None = None,
    amend: Callable[[dict[str, list[Item]]], None] | None = None,
) -> SplitResult:
    """Keep the splits that the set names and cut val and test, where it names none, from train.

    The pictures are ordered by digest and shuffled by `seed`, so neither paths nor the order of
    `items` matter. Groups go to test until it is full, then to val; one that does not fit any
    more stays in train, so that large series train and do not crowd the evaluation.

    Args:
        items: all checked items.
        val_fraction: part of the images that are divided, in (0, 1).
        test_fraction: likewise.
        seed: of the shuffle.
        groups: a group number per item (`tlx.data.duplicates`), kept together when cutting. Splits
            that the set names are not changed by them: such near leaks are only noted.
        classes: class names for the notes; label numbers without them.
        amend: changes the items of each split once the cut is made (`tlx.data.fixes`).

    Raises:
        ConfigError: fractions that leave nothing for one of the splits.
        DataError: too few different pictures to fill each split.
    """
    if not (val_fraction > 0 and test_fraction > 0 and val_fraction + test_fraction < 1):
        raise ConfigError(
            f"val_fraction {val_fraction} and test_fraction {test_fraction} must be positive and "
            "leave something for train: their sum must be under 1"
        )
    group_of = _group_keys(items, groups)
    notes = SplitNotes()
    notes.add_items(items)
    parts: dict[str, list[Item]] = {split: [] for split in TRUST}
    for item in _without_leaks(items, notes):
        parts[item.split or "train"].append(item)
    if emptied := [split for split in notes.named if not parts[split]]:
        raise DataError(
            f"every picture of {emptied[0]} is byte-identical to one of a more trusted split: "
            "correct the lists, or have all pictures divided with data.splits=cut"
        )
    wanted = {"test": test_fraction, "val": val_fraction}
    _cut(parts, {s: f for s, f in wanted.items() if not parts[s]}, group_of, seed, notes)
    if amend is not None:
        amend(parts)
    notes.add_near_leaks(parts, group_of)
    notes.add_counts(parts, classes)
    train, val, test = (sorted(parts[s], key=lambda i: (i.digest, str(i.image))) for s in TRUST)
    return SplitResult(train, val, test, notes)


def _group_keys(items: Sequence[Item], groups: list[int] | None) -> dict[Item, str]:
    """The smallest digest in each item's group: a name that depends on the contents only."""
    first: dict[Any, int] = {}
    pairs = [(i, first.setdefault(item.digest, i)) for i, item in enumerate(items)]
    if groups is not None:
        if len(groups) != len(items):
            raise ValueError(f"{len(groups)} group numbers for {len(items)} items")
        pairs += [(i, first.setdefault(group, i)) for i, group in enumerate(groups)]
    roots = connected(len(items), pairs)
    smallest: dict[int, str] = {}
    for root, item in zip(roots, items, strict=True):
        smallest[root] = min(item.digest, smallest.get(root, item.digest))
    return {item: smallest[root] for root, item in zip(roots, items, strict=True)}


def _without_leaks(items: Sequence[Item], notes: SplitNotes) -> list[Item]:
    """The items without the copies of pictures that a more trusted split holds too."""
    home: dict[str, str] = {}
    for item in items:
        split = item.split or "train"
        home[item.digest] = max(split, home.get(item.digest, split), key=TRUST.index)
    placed = [(item, item.split or "train", home[item.digest]) for item in items]
    notes.add_leaks([leak for leak in placed if leak[1] != leak[2]])
    return [item for item, split, kept_in in placed if split == kept_in]


def _cut(
    parts: dict[str, list[Item]],
    fractions: dict[str, float],
    group_of: dict[Item, str],
    seed: int,
    notes: SplitNotes,
) -> None:
    """Move whole groups from parts["train"] to each split in `fractions`."""
    members: dict[str, list[Item]] = defaultdict(list)
    for item in parts["train"]:
        members[group_of[item]].append(item)
    if len(members) <= len(fractions):
        raise DataError(
            f"{len(parts['train'])} images in {len(members)} different groups cannot fill train"
            f"{''.join(f' and {split}' for split in fractions)}: add images, name the splits, or "
            "(frames of a fixed camera) give data.group_near_duplicates=false"
        )
    pool = [members[key] for key in sorted(members)]
    random.Random(seed).shuffle(pool)
    total = len(parts["train"])
    for position, (split, fraction) in enumerate(fractions.items()):
        wanted = max(1, round(fraction * total))
        taken, pool = _fill(pool, wanted, spare=len(fractions) - position)
        parts[split] = [item for group in taken for item in group]
        if abs(len(parts[split]) - wanted) > TOLERANCE * wanted:
            notes.warnings.append(
                f"{split} holds {len(parts[split])} images, not {wanted}: the groups of duplicates "
                "are too large to meet it"
            )
    parts["train"] = [item for group in pool for item in group]


def _fill(
    pool: list[list[Item]], wanted: int, spare: int
) -> tuple[list[list[Item]], list[list[Item]]]:
    """(groups of together at most `wanted` images, the rest, at least `spare` groups).

    Where not even the smallest group fits, it is taken all the same: no split stays empty.
    """
    taken: list[list[Item]] = []
    rest: list[list[Item]] = []
    room = wanted
    for group in pool:
        if len(group) <= room and len(taken) < len(pool) - spare:
            taken.append(group)
            room -= len(group)
        else:
            rest.append(group)
    if not taken:
        taken.append(rest.pop(min(range(len(rest)), key=lambda i: len(rest[i]))))
    return taken, rest
