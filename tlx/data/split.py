"""Train, val and test without the same picture in two of them.

A copy of a training picture in the test split rewards memory, and public sets are full of copies.
So byte-identical pictures, and where asked near-identical ones, are dealt out as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tlx.common.errors import ConfigError, DataError
from tlx.config.splits import Fold
from tlx.data.draws import draw, fill_empty, positions
from tlx.data.duplicates import connected
from tlx.data.folds import groups_of_fold, refuse_named
from tlx.data.formats.annotations import Annotation, Item
from tlx.data.fraction import TrainPart
from tlx.data.membership import UNSEEN, Membership, restore
from tlx.data.split_notes import SplitNotes

TRUST = ("train", "val", "test")  # a picture in two splits stays in the later of them
TOLERANCE = 2.0  # warn where a split that was cut misses its number of images by this factor


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
    """The items of each split, sorted by digest, and the notes; `spare`: train ones left out."""

    train: list[Item]
    val: list[Item]
    test: list[Item]
    notes: SplitNotes
    spare: list[Item] = field(default_factory=list)


def split_items(
    items: Sequence[Item],
    *,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int = 0,
    groups: list[int] | None = None,
    classes: list[str] | None = None,
    stratify: bool = False,
    fold: Fold | None = None,
    part: TrainPart | None = None,
    amend: Callable[[dict[str, list[Item]]], None] | None = None,
) -> SplitResult:
    """Keep the splits that the set names and cut val and test, where it names none, from train.

    Where a picture goes follows from a hash of its group's contents and of `seed`, and from nothing
    else in the set: a set that grows keeps its old members where they were, and the sizes of the
    splits are near their fractions, not equal to them. Two things move members: a group of more
    pictures than a whole split should have trains, so that long series do not crowd the evaluation,
    and a split that would be empty takes a group from the largest one.

    Args:
        items: all checked items.
        val_fraction: part of the images that are divided, in (0, 1).
        test_fraction: likewise.
        seed: of the hash.
        groups: a group number per item (`tlx.data.duplicates`), kept together when cutting. Splits
            that the set names are not changed by them: such near leaks are only noted.
        classes: class names for the notes; label numbers without them.
        stratify: bring the classes' shares of the splits that are cut nearer to those of the whole,
            for which a set that grows moves a few members (`tlx.data.draws`).
        fold: which pictures are tested, of a set that names no split; val is cut from the others.
        part: which of the train pictures are used; None: all.
        amend: changes the items of each split once the cut is made (`tlx.data.fixes`).

    Raises:
        ConfigError: fractions that leave nothing for one of the splits; folds of a set that names
            its splits.
        DataError: too few different pictures to fill each split, or a part of train that lacks a
            class.
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
    how = _Cut(group_of, seed, stratify, classes)
    if fold is not None:
        refuse_named(fold, notes.named)
        _fold_out(parts, fold, how)
        # Another draw than the folds', or val would be the same neighbouring folds each time.
        of_fold = replace(how, seed=f"{seed}:val beside fold {fold.number} of {fold.count}")
        _cut(parts, {"val": fold.val_share(val_fraction)}, of_fold, notes)
    elif not all(parts.values()):
        _cut(parts, {"test": test_fraction, "val": val_fraction}, how, notes)
    if amend is not None:
        amend(parts)
    spare = [] if part is None else _take_part(parts, part, how, notes)
    notes.add_near_leaks(parts, group_of)
    notes.add_counts(parts, classes)
    train, val, test = (sorted(parts[s], key=lambda i: (i.digest, str(i.image))) for s in TRUST)
    return SplitResult(train, val, test, notes, spare)


def restored_items(
    items: Sequence[Item],
    stored: Membership,
    *,
    classes: list[str],
    amend: Callable[[dict[str, list[Item]]], None] | None = None,
) -> tuple[dict[str, list[Item]], SplitNotes]:
    """The splits that a run had, whatever the set names or a cut would give today, and the notes.

    Args: as `split_items`; `stored` is what the run kept. Its pictures of today that it did not
        have are under `UNSEEN`.
    """
    parts = restore(items, stored, classes)
    if amend is not None:
        amend(parts)
    notes = SplitNotes()
    notes.add_items(items)
    notes.add_counts({s: i for s, i in parts.items() if s != UNSEEN}, classes)
    if not parts.get("train"):
        notes.warnings.clear()  # another set than the run's: they are about its splits
    return parts, notes


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


@dataclass(frozen=True)
class _Cut:
    """How groups are drawn; `seed` may hold more than the number."""

    group_of: Mapping[Item, str]
    seed: int | str
    stratify: bool
    classes: Sequence[str] | None

    def members(self, items: Sequence[Item]) -> dict[str, list[Item]]:
        """The items of each group."""
        found: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            found[self.group_of[item]].append(item)
        return found


def _fold_out(parts: dict[str, list[Item]], fold: Fold, how: _Cut) -> None:
    """Move the groups that the fold tests from train to test."""
    members = how.members(parts["train"])
    tested = groups_of_fold(fold, members, how.seed, stratify=how.stratify, classes=how.classes)
    for split in ("test", "train"):
        parts[split] = [
            item
            for key, group in members.items()
            if (key in tested) is (split == "test")
            for item in group
        ]


def _cut(
    parts: dict[str, list[Item]], fractions: Mapping[str, float], how: _Cut, notes: SplitNotes
) -> None:
    """Move whole groups from parts["train"] to each split of `fractions` that is empty."""
    empty = [split for split in fractions if not parts[split]]
    members = how.members(parts["train"])
    if len(members) <= len(empty):
        raise DataError(
            f"{len(parts['train'])} images in {len(members)} different groups cannot fill train"
            f"{''.join(f' and {split}' for split in empty)}: add images, name the splits, or "
            "(frames of a fixed camera) give data.group_near_duplicates=false"
        )
    total = len(parts["train"])
    wanted = {split: max(1, round(fractions[split] * total)) for split in empty}
    homes: dict[str, list[str]] = {split: [] for split in (*empty, "train")}
    place = positions(members, how.seed, stratify=how.stratify, classes=how.classes)
    for key in sorted(members, key=lambda key: draw(key, how.seed)):
        split = _interval(place[key], fractions)
        fits = split in wanted and len(members[key]) <= wanted[split]
        homes[split if fits else "train"].append(key)
    fill_empty(homes, {key: len(group) for key, group in members.items()})
    for split, keys in homes.items():
        parts[split] = [item for key in keys for item in members[key]]
    notes.warnings += [
        f"{split} holds {len(parts[split])} of {total} images, and not about {count}: another "
        f"data.split_seed or data.{split}_fraction divides them otherwise"
        for split, count in wanted.items()
        if not count / TOLERANCE <= len(parts[split]) <= count * TOLERANCE
    ]


def _take_part(
    parts: dict[str, list[Item]], part: TrainPart, how: _Cut, notes: SplitNotes
) -> list[Item]:
    """Leave the part in train; what is taken out of it."""
    members = how.members(parts["train"])
    chosen = part.chosen(members, how.classes)
    spare = [item for key, group in members.items() if key not in chosen for item in group]
    parts["train"] = [item for key, group in members.items() if key in chosen for item in group]
    used, total = len(parts["train"]), len(parts["train"]) + len(spare)
    notes.train_part = {"fraction": part.fraction, "images": used, "of": total}
    wanted = part.fraction * total
    if not wanted / TOLERANCE <= used <= wanted * TOLERANCE:
        notes.warnings.append(
            f"data.train_fraction={part.fraction:g} is {used} of {total} train images, and not "
            f"about {wanted:.0f}: a large group of near-identical ones stays together "
            "(data.group_near_duplicates)"
        )
    return spare


def _interval(drawn: float, fractions: Mapping[str, float]) -> str:
    """The split whose part of 0..1 the number lies in; what no split claims is train."""
    end = 0.0
    for split, fraction in fractions.items():
        end += fraction
        if drawn < end:
            return split
    return "train"
