"""What a split did to a data set, and what a reader of the results must know about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tlx.data.annotations import Item

Parts = dict[str, list[Item]]


@dataclass
class SplitNotes:
    """Figures and warnings of one split.

    Attributes:
        named: the splits that the set itself names.
        counts: {split: {"images", "boxes", "negatives": int, "per_class": {name: boxes}}}.
        duplicate_groups: sets of byte-identical files, before leaks are dropped.
        duplicate_files: files in these sets.
        leaks: copies that were dropped: {"image", "split", "kept_in"}.
        near_leaks: pictures that stay although a near-identical one is in a more trusted split.
        warnings: texts for the user.
    """

    named: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    duplicate_groups: int = 0
    duplicate_files: int = 0
    leaks: list[dict[str, str]] = field(default_factory=list)
    near_leaks: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The notes as plain values, for JSON."""
        return asdict(self)

    def add_items(self, items: Sequence[Item]) -> None:
        """Note the named splits and the byte-identical files of the whole set."""
        splits = Counter(item.split for item in items)
        self.named = [split for split in ("train", "val", "test") if splits[split]]
        repeated = [n for n in Counter(item.digest for item in items).values() if n > 1]
        self.duplicate_groups, self.duplicate_files = len(repeated), sum(repeated)
        if self.named and splits[None]:
            self.warnings.append(f"{splits[None]} image(s) of no named split are used for train")

    def add_leaks(self, leaks: Sequence[tuple[Item, str, str]]) -> None:
        """Note dropped copies: (item, its split, the split that keeps the picture)."""
        self.leaks += [_leak(*leak) for leak in leaks]
        if leaks:
            self.warnings.append(
                f"{len(leaks)} image(s) dropped from train or val: a more trusted split holds "
                "a byte-identical copy"
            )

    def add_near_leaks(self, parts: Parts, group_of: Mapping[Item, str]) -> None:
        """Note pictures whose group has members in a later, more trusted split of `parts`."""
        home = {group_of[item]: split for split, items in parts.items() for item in items}
        self.near_leaks += [
            _leak(item, split, home[group_of[item]])
            for split, items in parts.items()
            for item in items
            if home[group_of[item]] != split
        ]
        if self.near_leaks:
            self.warnings.append(
                f"{len(self.near_leaks)} image(s) of train or val are near-identical to some of a "
                "more trusted split; they are kept, because the set names these splits"
            )

    def add_counts(self, parts: Parts, classes: list[str] | None) -> None:
        """Count images and boxes; `classes` None names each class by its label."""
        labels = {
            split: [int(k) for i in items for k in i.labels] for split, items in parts.items()
        }
        highest = max((label for found in labels.values() for label in found), default=0)
        names = classes or [str(label) for label in range(1, highest + 1)]
        for split, items in parts.items():
            found = Counter(labels[split])
            per_class = {name: found[label] for label, name in enumerate(names, start=1)}
            self.counts[split] = {
                "images": len(items),
                "boxes": len(labels[split]),
                "negatives": sum(len(item.boxes) == 0 for item in items),
                "per_class": per_class,
            }
            self.warnings += [
                f"{split} has no box of class {name}: figures of that class mean nothing there"
                for name, boxes in per_class.items()
                if not boxes
            ]


def _leak(item: Item, split: str, kept_in: str) -> dict[str, str]:
    return {"image": str(item.image), "split": split, "kept_in": kept_in}
