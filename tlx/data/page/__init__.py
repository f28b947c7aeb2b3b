"""The page of `tlx data check`: one file of HTML without scripts, fonts or links to elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlx.common.cli import hydra_command
from tlx.common.pages import templates
from tlx.data.found import Found
from tlx.data.module import DetectionData
from tlx.data.page import tables, words
from tlx.data.page.near import NearGroup
from tlx.data.page.pictures import legend, near_copies, through_the_set, worst_of_each
from tlx.data.page.priors import PriorFit
from tlx.data.page.test_error import TestError


@dataclass(frozen=True)
class Checked:
    """What the check knows of a usable set.

    Attributes:
        groups: of near-identical pictures. fit: of the priors. error: of the test set.
        other_fit: of the priors of a detector for small objects, where `fit` never reaches a class.
    """

    data: DetectionData
    groups: list[NearGroup]
    fit: PriorFit | None
    error: TestError | None
    other_fit: PriorFit | None = None


def page_text(
    found: Found, checked: Checked | None, *, error: str | None, arguments: Sequence[str]
) -> str:
    """The whole of `check.html`.

    Args:
        checked: None of a set that is refused; then `error` says why.
        arguments: of `python -m tlx.data check`, which make this page again.
    """
    root = Path(checked.data.report["root"]) if checked else found.root or Path()
    context: dict[str, Any] = {
        "title": root.absolute().name,
        "error": error,
        "facts": [str(root)] if checked or found.root else [],
        "warnings": [], "counts": tables.written_table(found), "balance": None, "through": [],
        "legend": [],
        "sizes": None, "priors": None, "prior_notes": [], "near_note": "", "near": [],
        "noise": "", "test": [],
        "faults": tables.faults_table(found),
        "fault_files": [*tables.fault_files(found, root)],
        "worst": [*worst_of_each(found, root).items()],
        "command": hydra_command("tlx.data check", *arguments),
    }  # fmt: skip
    if checked:
        context |= _usable(checked, root)
    return templates("data/page").get_template("check.html.jinja").render(context)


def _usable(checked: Checked, root: Path) -> dict[str, Any]:
    data = checked.data
    pictures = sum(len(items) for items in data.splits.values())
    return {
        "facts": [str(root), f"format {data.report['format']}", f"{pictures} pictures used"],
        "warnings": data.report["warnings"],
        "counts": tables.counts_table(data),
        "balance": tables.balance_table(data),
        "through": through_the_set(data.splits, data.cache, data.classes, root),
        "legend": legend(data.classes),
        "sizes": tables.sizes_table(data, checked.fit),
        "priors": tables.priors_table(checked.fit),
        "prior_notes": words.prior_notes(checked.fit, checked.other_fit),
        "near_note": words.near_note(checked.groups),
        "near": near_copies(checked.groups, data.cache, data.classes, root),
        "noise": words.noise_note(data.report["label_noise"]),
        "test": words.error_notes(checked.error),
    }
