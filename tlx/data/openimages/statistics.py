"""Pictures and boxes of a subset, counted and printed as jetson-inference's downloader prints them.

A box is a row that the rule lets pass, and a picture one that has such a row: rows that stand twice
in the file count twice, as in its counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlx.data.openimages.boxes import Images

_LINE = "-" * 37


def statistics(splits: Mapping[str, Images]) -> dict[str, Any]:
    """Plain values: `images`, `boxes` and `classes` (boxes by class), in all and by split."""
    by_split = {split: _counts(images) for split, images in splits.items()}
    classes: dict[str, int] = {}
    for each in by_split.values():
        for name, count in each["classes"].items():
            classes[name] = classes.get(name, 0) + count
    return {
        "images": sum(each["images"] for each in by_split.values()),
        "boxes": sum(each["boxes"] for each in by_split.values()),
        "classes": dict(sorted(classes.items(), key=lambda pair: (-pair[1], pair[0]))),
        "splits": by_split,
    }


def in_words(counted: Mapping[str, Any]) -> str:
    """The same as text: a block a split, and one for all."""
    blocks = [
        _block(f"'{split}' set statistics", each) for split, each in counted["splits"].items()
    ]
    return "\n".join([*blocks, _block("Overall statistics", counted)])


def _counts(images: Images) -> dict[str, Any]:
    classes = images.boxes()
    return {"images": len(images), "boxes": sum(classes.values()), "classes": classes}


def _block(title: str, counts: Mapping[str, Any]) -> str:
    boxes = counts["boxes"]
    rows = [
        f"    {name}:  {count}/{boxes} = {count / boxes:.2f}"
        for name, count in counts["classes"].items()
    ]
    return "\n".join(
        [
            _LINE,
            f" {title}",
            _LINE,
            f"  Image count:  {counts['images']}",
            f"  Bounding box count:  {boxes}",
            "  Bounding box distribution:",
            *rows,
            "",
        ]
    )
