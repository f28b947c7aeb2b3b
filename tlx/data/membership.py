"""Which pictures, with which boxes, a run was trained, selected and tested on.

A configuration names a folder, and a folder changes: pictures come and go, boxes are corrected, a
class is renamed. So a run keeps the digests of what it had, in full in its checkpoint and summed up
in its record.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlx.common.errors import WeightsError
from tlx.data.formats.annotations import Item

DIGITS = 16  # hex digits kept of a digest: 64 bits, without chance matches in any set of pictures
Summary = dict[str, Any]


@dataclass(frozen=True)
class Membership:
    """The members of each split.

    Attributes:
        classes: label k is classes[k - 1].
        splits: for each split a sorted entry a picture: 16 hex digits of the SHA-256 of the file,
            and 16 of its boxes with their classes.
        folded: whether the splits are those of one of several folds.
        spare: entries of pictures that are left out of train (`data.train_fraction`).
    """

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[str, ...]]
    folded: bool = False
    spare: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        classes: Sequence[str],
        splits: Mapping[str, Sequence[Item]],
        *,
        folded: bool = False,
        spare: Sequence[Item] = (),
    ) -> Membership:
        """The members of splits as they are now."""
        entries = {
            s: tuple(sorted(entry(i, classes) for i in items)) for s, items in splits.items()
        }
        left = tuple(sorted(entry(i, classes) for i in spare))
        return cls(tuple(classes), entries, folded, left)

    @classmethod
    def read(
        cls, classes: Sequence[str], stored: Mapping[str, Any] | None, where: object
    ) -> Membership | None:
        """What a checkpoint or a model's description says; None where it says nothing.

        Raises:
            WeightsError: it is damaged.
        """
        if stored is None:
            return None
        try:
            splits = {str(name): tuple(map(_sound, rows)) for name, rows in stored.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise WeightsError(f"{where}: what it says of its data set is damaged") from error
        return cls(tuple(classes), splits)

    def as_lists(self) -> dict[str, list[str]]:
        """The splits as plain values, for a checkpoint."""
        return {split: list(entries) for split, entries in self.splits.items()}

    def summary(self) -> Summary:
        """The classes, and of each split the number of pictures and two digests, for a record.

        Of a fold, or a part of train, also of all pictures together, which are the same in every
        one.
        """
        splits = {split: _summed(entries) for split, entries in self.splits.items()}
        found: Summary = {"classes": list(self.classes), "splits": splits}
        if self.folded or self.spare:
            parts = (*self.splits.values(), self.spare)
            found["whole"] = _summed(sorted(e for part in parts for e in part))
        return found


def _summed(entries: Sequence[str]) -> Summary:
    return {
        "images": len(entries),
        "pictures": _digest(*(entry[:DIGITS] for entry in entries)),
        "boxes": _digest(*entries),
    }


def entry(item: Item, classes: Sequence[str]) -> str:
    """A picture's entry; the order of its boxes does not matter, nor 0.01 px."""
    boxes = sorted(
        f"{classes[int(label) - 1]} {int(ignored)} " + " ".join(f"{value:.2f}" for value in box)
        for box, label, ignored in zip(item.boxes, item.labels, item.difficult, strict=True)
    )
    return item.digest[:DIGITS] + _digest(*boxes)


def changes(then: Summary | None, now: Summary) -> list[str]:
    """What differs between the data of a run and today's, in words; empty where nothing does."""
    if not then:
        return ["it does not say which pictures it had: an earlier version of tlx made it"]
    try:
        return _differences(then, now)
    except (AttributeError, KeyError, TypeError):
        return ["what it says of its pictures is damaged"]


def _differences(then: Summary, now: Summary) -> list[str]:
    told = []
    if then["classes"] != now["classes"]:
        names = (", ".join(which["classes"]) for which in (then, now))
        told.append("the classes were {} and are {}".format(*names))
    for split, today in now["splits"].items():
        before = then["splits"].get(split)
        if before is None or before["images"] != today["images"]:
            count = before["images"] if before else 0
            told.append(f"{split} had {count} pictures and has {today['images']}")
        elif before["pictures"] != today["pictures"]:
            told.append(f"some of the {count_of(today)} of {split} are others")
        elif before["boxes"] != today["boxes"]:
            told.append(f"boxes of {split} are others")
    return told


def count_of(split: Mapping[str, Any]) -> str:
    """The number of pictures in words."""
    return f"{split['images']} picture{'s' if split['images'] != 1 else ''}"


UNSEEN = "unseen"  # pictures of today that no split of the run had


def restore(
    items: Sequence[Item], stored: Membership, classes: Sequence[str]
) -> dict[str, list[Item]]:
    """Give every picture the split that a run had it in, or `UNSEEN`; each sorted by digest.

    Of byte-identical files no more are taken than the run had: it left the other copies out.
    """
    copies: dict[str, list[Item]] = defaultdict(list)
    for item in sorted(items, key=_by_digest):
        copies[item.digest[:DIGITS]].append(item)
    seen = {known[:DIGITS] for entries in stored.splits.values() for known in entries}
    splits: dict[str, list[Item]] = {split: [] for split in stored.splits}
    splits[UNSEEN] = [i for picture, all_ in copies.items() if picture not in seen for i in all_]
    for split, entries in stored.splits.items():
        for known in entries:
            if left := copies[known[:DIGITS]]:
                # Of two copies the one with the same boxes, or that the set puts there itself.
                item = min(left, key=lambda i: (entry(i, classes) != known, i.split != split))
                left.remove(item)
                splits[split].append(item)
    return {split: sorted(members, key=_by_digest) for split, members in splits.items()}


def _by_digest(item: Item) -> tuple[str, str]:
    return item.digest, str(item.image)


def drift(
    stored: Membership, items: Sequence[Item], classes: Sequence[str], split: str
) -> tuple[int, int]:
    """How many pictures of a split are gone, and how many have other boxes now."""
    then = Counter(stored.splits.get(split, ()))
    now = Counter(entry(item, classes) for item in items)
    gone = len(list(then.elements())) - len(items)
    return gone, (then - now).total() - gone


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:DIGITS]


def _sound(value: object) -> str:
    text = str(value)
    if len(text) != 2 * DIGITS:
        raise ValueError(text)
    int(text, 16)
    return text
