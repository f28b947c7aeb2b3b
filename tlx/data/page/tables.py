"""The tables of the page of a check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlx.common.pages import Cell, Table, plain_table
from tlx.data.faults import RULES, Fault
from tlx.data.found import Found
from tlx.data.module import DetectionData
from tlx.data.page.pictures import below
from tlx.data.page.priors import MENDED, PriorFit
from tlx.data.page.sizes import size_rows

FILES = 10  # of a kind of fault on the page; check.json has all


def written_counts(found: Found) -> dict[str, dict[str, Any]]:
    """{split or "": pictures, boxes, boxes of each class}, as the files state them."""
    counts: dict[str, dict[str, Any]] = {}
    for annotation in found.annotations:
        if not annotation.unused:
            of = counts.setdefault(
                annotation.split or "", {"images": 0, "boxes": 0, "per_class": Counter()}
            )
            of["images"] += 1
            of["boxes"] += len(annotation.names)
            of["per_class"].update(annotation.names)
    return counts


def written_table(found: Found) -> Table | None:
    """Pictures and boxes by split, as the files state them, before the check."""
    rows = []
    for split, counts in written_counts(found).items():
        told = ", ".join(f"{count} {name}" for name, count in counts["per_class"].most_common())
        rows.append(
            [Cell(split or "no split"), counts["images"], counts["boxes"], Cell(told, mark="words")]
        )
    heads = ["split", "pictures", "boxes", "classes"]
    return plain_table("counts", "As the annotations say, before the check.", heads, rows)


def counts_table(data: DetectionData) -> Table | None:
    rows = [
        [Cell(split), counts["images"], counts["negatives"], counts["boxes"],
         *(counts["per_class"][name] for name in data.classes)]
        for split, counts in data.report["counts"].items()
    ]  # fmt: skip
    heads = ["split", "pictures", "negatives", "boxes", *data.classes]
    return plain_table("counts", "Pictures and boxes that are used.", heads, rows)


def balance_table(data: DetectionData) -> Table | None:
    """Classes by their boxes, with a bar, and the pictures that show them."""
    items = [item for members in data.splits.values() for item in members]
    boxes = Counter(int(label) for item in items for label in item.labels)
    shown = Counter(int(label) for item in items for label in set(item.labels.tolist()))
    total, most = sum(boxes.values()), max(boxes.values(), default=0)
    rows = [
        [Cell(data.classes[label - 1]), count, Cell(f"{100 * count / total:.1f} %"), shown[label],
         Cell("▆" * max(1, round(20 * count / most)), mark="words bar")]
        for label, count in boxes.most_common()
    ]  # fmt: skip
    caption = "Boxes of each class in all splits."
    if len(boxes) > 1:
        caption += f" The commonest has {most / min(boxes.values()):.1f} times those of the rarest."
    return plain_table("balance", caption, ["class", "boxes", "share", "pictures", ""], rows)


def sizes_table(data: DetectionData, fit: PriorFit | None) -> Table | None:
    if fit is None:
        return None
    items = [item for members in data.splits.values() for item in members]
    rows = size_rows(items, data.classes, fit.size, data.framing)
    heads = ["class", "boxes", "smallest", "5 %", "half", "95 %", "largest"]
    return plain_table(
        "sizes", f"Sides of the boxes (root of the area), px at the input size {fit.size}: this "
        "part of them is smaller.", heads, [[Cell(str(name)), *values] for name, *values in rows],
    )  # fmt: skip


def priors_table(fit: PriorFit | None) -> Table | None:
    if fit is None:
        return None
    rows = []
    for name in fit.boxes:
        shares = [fit.recall[size][name] for size in fit.recall]
        cells = [
            Cell(f"{100 * share:.1f} %", mark="" if share >= MENDED else "alarm")
            for share in shares
        ]
        mend = fit.mends[name]
        told = "fits" if mend == fit.size else f"{mend} px" if mend else "none tried"
        rows.append([Cell(name), fit.boxes[name], *cells, Cell(told)])
    heads = ["class", "boxes", *(f"{size} px" for size in fit.recall), "mended at"]
    return plain_table(
        "priors", f"Share of boxes that a prior of detector.name={fit.detector} overlaps by IoU .5 "
        f"or more, by input size (asked for: {fit.size} px). Under {100 * MENDED:.0f} % is bold.",
        heads, rows,
    )  # fmt: skip


def faults_table(found: Found) -> Table | None:
    """Each kind that occurred, with its number and the rule that was applied."""
    rows = [
        [Cell(kind), count, rule_of(kind, found.strict), RULES[kind].action,
         Cell(RULES[kind].why, mark="words"), "note" if RULES[kind].note else "fault"]
        for kind, count in found.faults.counts().items()
    ]  # fmt: skip
    heads = ["kind", "number", "rule", "what was done", "why", "weight"]
    return plain_table("faults", "Every kind of fault that was found.", heads, rows)


def rule_of(kind: str, strict: bool) -> str:
    """`fail`, `drop`, `clip`, `repair` or `keep`."""
    return "fail" if strict and not RULES[kind].note else RULES[kind].verb


def fault_files(found: Found, root: Path) -> Iterator[tuple[str, list[str], int]]:
    """(kind, files with what is wrong, how many more) of each kind."""
    of_kind: dict[str, list[Fault]] = {kind: [] for kind in found.faults.counts()}
    for fault in found.faults.faults:
        of_kind[fault.kind].append(fault)
    for kind, faults in of_kind.items():
        told = [
            f"{below(Path(f.image), root)} [{below(Path(f.where), root)}]"
            f"{': ' if f.detail else ''}{f.detail}"
            for f in faults[:FILES]
        ]
        yield kind, told, len(faults) - len(told)
