"""Groups of near-identical pictures, within and across splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlx.data.formats.annotations import Item

LISTED = 500  # groups in check.json; those across splits come first


@dataclass(frozen=True)
class NearGroup:
    """Pictures of one group, each with its split; `None` of a copy that was dropped."""

    members: list[tuple[Item, str | None]]

    @property
    def splits(self) -> list[str]:
        """The splits that hold one."""
        return list(dict.fromkeys(split for _, split in self.members if split))

    @property
    def identical(self) -> bool:
        """Whether some of the files are byte-identical."""
        return len({item.digest for item, _ in self.members}) < len(self.members)


def near_groups(
    items: Sequence[Item], groups: Mapping[str, int], splits: Mapping[str, Sequence[Item]]
) -> list[NearGroup]:
    """The groups of two files and more: those across splits first, then the larger ones."""
    home = {item: split for split, members in splits.items() for item in members}
    gathered: dict[int, list[tuple[Item, str | None]]] = defaultdict(list)
    for item in items:
        gathered[groups[item.digest]].append((item, home.get(item)))
    found = [NearGroup(members) for members in gathered.values() if len(members) > 1]
    return sorted(found, key=lambda group: (-len(group.splits), -len(group.members)))


def as_rows(groups: Sequence[NearGroup]) -> dict[str, object]:
    """Counts and members as plain values, for JSON."""
    return {
        "groups": len(groups),
        "files": sum(len(group.members) for group in groups),
        "across_splits": sum(len(group.splits) > 1 for group in groups),
        "with_identical_files": sum(group.identical for group in groups),
        "members": [
            [{"image": str(item.image), "split": split} for item, split in group.members]
            for group in groups[:LISTED]
        ],
    }
