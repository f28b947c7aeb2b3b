"""What reading and checking a set has found so far: all that is known of one that is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tlx.data.duplicates import groups_by_digest
from tlx.data.faults import FaultReport
from tlx.data.formats.annotations import Annotation, Item


@dataclass
class Found:
    """Filled step by step. Whoever asks for it wants to know the set, and not to train on it.

    Attributes:
        annotations: as written, those of one picture joined once it comes to that.
        faults: that were found before the set was refused, if it was.
        items: the usable pictures.
        hashes: the difference hash of each usable picture by its digest.
        groups: the number of its group of near-identical pictures, likewise.
        root: of the set; None: the sample's, or not known.
        strict: whether any fault is an error.
        max_side: px, of pictures as they are decoded for training.
    """

    annotations: list[Annotation] = field(default_factory=list)
    faults: FaultReport = field(default_factory=FaultReport)
    items: list[Item] = field(default_factory=list)
    hashes: dict[str, bytes] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    root: Path | None = None
    strict: bool = False
    max_side: int = 640

    def group(self) -> list[int]:
        """The group number of each item."""
        if not self.groups:
            self.groups = groups_by_digest(self.hashes)
        return [self.groups[item.digest] for item in self.items]
