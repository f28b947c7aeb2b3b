"""What can be wrong with a data set, what is done about it, and the list of what was."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import NamedTuple


class Rule(NamedTuple):
    """What happens on one kind of fault, and why; a note is counted but is no fault."""

    action: str
    why: str
    note: bool = False

    @property
    def verb(self) -> str:
        """`drop`, `clip`, `keep` or `repair`: the kind of action. A strict check fails instead."""
        for words, verb in _VERBS.items():
            if self.action.endswith(words):
                return verb
        return "repair"


_VERBS = {
    "dropped": "drop", "ignored": "drop", "left out": "drop", "clipped": "clip", "kept": "keep",
    "left as stored": "keep", "nothing": "keep",
}  # fmt: skip

RULES = {
    "missing-image": Rule("image dropped", "the file that the annotation names does not exist"),
    "empty-file": Rule("image dropped", "the file has no bytes"),
    "undecodable": Rule("image dropped", "the file is truncated, damaged or no picture"),
    "decompression-bomb": Rule("image dropped", "so many pixels exhaust the memory"),
    "tiny-image": Rule("image dropped", "a side under 16 px shows nothing to detect"),
    "not-finite-box": Rule("box dropped", "NaN or infinity makes the loss NaN"),
    "inverted-box": Rule("box dropped", "max is less than min; swapping them would be a guess"),
    "zero-area-box": Rule("box dropped", "nothing is in it, and the logarithm of its side is -inf"),
    "outside-box": Rule("box dropped", "it lies wholly outside the picture"),
    "clipped-box": Rule("box clipped", "it reached over the picture's edge"),
    "fraction-box": Rule("box dropped", "it lies within the first pixel: a fraction of 1?"),
    "tiny-box": Rule(
        "box kept",
        "under a pixel at the input size: hardly ever in the loss, missed in the figures",
    ),
    "no-box-left": Rule("image dropped", "all its boxes had faults: it is not known to be empty"),
    "duplicate-box": Rule(
        "copy dropped", "the same box (to a pixel) of the same class stands there twice"
    ),
    "empty-box": Rule("box dropped", "the annotation has neither a box nor a polygon"),
    "no-box-shape": Rule("shape dropped", "a point, line or brush is no box"),
    "unannotated-region": Rule(
        "region dropped", "KITTI's DontCare: nobody has looked for objects there", note=True
    ),
    "rotated-box": Rule("the upright box round it used", "detectors find upright boxes"),
    "annotated-again": Rule(
        "the newest annotation used", "a task was annotated more than once: which one is meant?"
    ),
    "joined-picture": Rule("boxes joined", "several annotations are of one picture"),
    "renamed-picture": Rule(
        "the picture of the annotation's own name used", "its <filename> names another picture"
    ),
    "scaled-boxes": Rule(
        "boxes scaled to the file", "the picture was resized after it was annotated"
    ),
    "size-mismatch": Rule(
        "image dropped", "the annotation states a size of another shape: its boxes are doubtful"
    ),
    "unknown-line": Rule("line ignored", "a list names what the set does not hold"),
    "unread-annotation": Rule("file ignored", "it lies where the layout of the set has no place"),
    "unread-format": Rule("image ignored", "not a format that is read: convert it"),
    "narrow-range": Rule(
        "image dropped",
        "its upper bits are unused, so that it would be black: data.bits=12 says that a "
        "camera has 12 bits (16: that all are used)",
    ),
    "wide-range": Rule("image dropped", "it has values above what data.bits says: raise that"),
    "label-conflict": Rule("image dropped", "its copies lie in folders of different classes"),
    "fix-image": Rule("image left out", "a data fix: `remove`", note=True),
    "fix-box": Rule("box dropped", "a data fix: `remove`, or `wrong box` in train", note=True),
    "fix-ignored": Rule("box ignored", "a data fix: `wrong box` in val or test", note=True),
    "fix-noted": Rule("nothing", "a data fix that only an annotator can make", note=True),
    "unlabelled": Rule("image ignored", "no annotation: unlabelled is not known to be empty"),
    "unlisted": Rule("image ignored", "no list of the set names it", note=True),
    "exif-rotated": Rule("rotated upright", "EXIF orientation, boxes are upright", note=True),
    "exif-kept": Rule("left as stored", "the annotation has the unrotated size", note=True),
}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: a key of `RULES`.
        image: path of the picture.
        where: annotation file, with the box's number (from 1) where one box is meant.
        detail: the values that are wrong.
        action: what was done about it, `RULES[kind].action`.
    """

    kind: str
    image: str
    where: str
    detail: str
    action: str


@dataclass
class FaultReport:
    """Everything that was dropped, changed or noted, in the order of the annotations."""

    faults: list[Fault] = field(default_factory=list)

    def add(self, kind: str, image: object, where: str, detail: str) -> None:
        """Record a fault of a kind in `RULES`."""
        self.faults.append(Fault(kind, str(image), where, detail, RULES[kind].action))

    @property
    def serious(self) -> list[Fault]:
        """The faults that are no mere notes."""
        return [fault for fault in self.faults if not RULES[fault.kind].note]

    def counts(self) -> dict[str, int]:
        """{kind: number of faults} of the kinds that occurred, in the order of `RULES`."""
        counted = Counter(fault.kind for fault in self.faults)
        return {kind: counted[kind] for kind in RULES if counted[kind]}

    def to_rows(self) -> list[dict[str, str]]:
        """One flat dict a fault, for CSV or JSON."""
        return [asdict(fault) for fault in self.faults]

    def summary(self) -> str:
        """One line a kind: how many, what was done and why; "no faults" where there are none."""
        lines = [
            f"{count} {kind}: {RULES[kind].action} ({RULES[kind].why})"
            for kind, count in self.counts().items()
        ]
        return "\n".join(lines) or "no faults"
