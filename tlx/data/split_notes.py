"""What a split did to a data set, and what a reader of the results must know about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tlx.data.augment import input_size_for
from tlx.data.formats.annotations import Item
from tlx.data.framing import WHOLE, Framing

Parts = dict[str, list[Item]]

NO_FIGURE = "no validation gave a figure (val has no box that counts, or there was no validation)"
NO_BEST = "no epoch can be picked as the best, and last.ckpt is the result"


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
        train_part: of `data.train_fraction`: {"fraction", "images", "of"}, pictures used and there.
        warnings: texts for the user.
    """

    named: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    duplicate_groups: int = 0
    duplicate_files: int = 0
    leaks: list[dict[str, str]] = field(default_factory=list)
    near_leaks: list[dict[str, str]] = field(default_factory=list)
    train_part: dict[str, Any] | None = None
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

    def add_tiny_boxes(self, parts: Parts, input_size: int, framing: Framing = WHOLE) -> None:
        """Note boxes that are under a pixel at the network's input (px, square)."""
        needed = {
            split: [
                size
                for item in items
                if input_size_for(item.boxes, item.size, input_size)  # few have any
                for box in item.boxes
                if (size := input_size_for(box[None], framing.spanned(item.size), input_size))
            ]
            for split, items in parts.items()
        }
        total = sum(len(sizes) for sizes in needed.values())
        if total:
            of = ", ".join(f"{len(sizes)} of {split}" for split, sizes in needed.items() if sizes)
            self.warnings.append(
                f"{total} box(es) ({of}) are under a pixel at the input size {input_size}: the "
                "loss sees them in enlarged views only, and in the figures they count as objects "
                "that were missed; the smallest detector.input_size that keeps them all is "
                f"{max(max(sizes) for sizes in needed.values() if sizes)} (with data.max_side not "
                "below it)"
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
        self._warn_of_classes(names)
        for split, result in (("val", NO_BEST), ("test", "the run has no test figures")):
            held = parts.get(split, [])
            if held and not any((~item.difficult).any() for item in held):
                why = "all its boxes are difficult" if labels[split] else "it has none at all"
                self.warnings.append(f"{split} has no box that counts ({why}): {result}")

    def _warn_of_classes(self, names: Sequence[str]) -> None:
        """Warn of classes that cannot be learned, or not be measured."""
        boxes = {
            name: {split: counts["per_class"][name] for split, counts in self.counts.items()}
            for name in names
        }
        unlearned = {
            name: " and ".join(f"{n} box(es) in {split}" for split, n in found.items() if n)
            for name, found in boxes.items()
            if not found.get("train") and any(found.values())
        }
        if unlearned:
            told = ", ".join(f"{name} ({held})" for name, held in unlearned.items())
            self.warnings.append(
                f"train has no box of classes that are measured: {told}: nothing can learn them, "
                "and they lower every mean over classes"
            )
        self.warnings += [
            f"{split} has no box of class {name}: figures of that class mean nothing there"
            for split in self.counts
            for name, found in boxes.items()
            if not found[split] and name not in unlearned
        ]


def _leak(item: Item, split: str, kept_in: str) -> dict[str, str]:
    return {"image": str(item.image), "split": split, "kept_in": kept_in}
