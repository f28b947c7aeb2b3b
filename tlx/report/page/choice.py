"""An arm as something to do: what it means, the keys that ask for it, what it left behind."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tlx.common.cli import command
from tlx.freeze.depth import SET_MARKS
from tlx.records.arms import SCRATCH, varying_keys
from tlx.report.comparison.compare import Comparison, Row
from tlx.report.comparison.records import Record
from tlx.report.comparison.sweep import of_arm
from tlx.report.comparison.tuning import found_for

# Keys of groups, which are chosen by their name.
_GROUPS = {
    "backbone.name": "backbone", "detector.name": "detector", "policy.name": "policy",
    "cache.mode": "cache", "backbone.weights": "weights",
}  # fmt: skip
_UNASKED = ("data.name", "data.root", "dataset")  # the set is there; it is no choice
_FIXED, _AUTO = "fixed", "auto"
_FEW_BLOCKS = 4  # that are named one by one


def row_of(comparison: Comparison, label: str) -> Row:
    """The row of an arm."""
    return next(row for row in comparison.rows if row.arm.label == label)


def meaning(row: Row) -> str:
    """What is done with the network, in a sentence or two."""
    first = row.arm.first
    if first.policy == _AUTO:
        return "A short pilot chooses how much of the network keeps its weights."
    text = _of_freeze(first)
    if first.policy != _FIXED:
        text += f" How far and how long is up to policy={first.policy}."
    return text


def _of_freeze(record: Record) -> str:
    blocks = [str(block) for block in record.items("frozen", "blocks")]
    rest = "This is called freezing; the rest is trained."
    if record.scratch and record.freeze == "none":
        return "Start from random weights and train the whole network."
    if record.freeze == "none":
        return "Freeze nothing: the whole network is trained, from its pretrained weights."
    if record.freeze == "all":
        return f"The whole pretrained backbone keeps its weights. {rest}"
    if record.freeze == "heads":
        return f"Backbone and neck keep their weights. {rest}"
    if record.freeze.isdecimal():
        number = int(record.freeze) + 1
        which = "The first block" if number == 1 else f"The first {number} blocks"
        return f"{which} of the pretrained network keep{'s' * (number == 1)} the weights. {rest}"
    if not any(mark in record.freeze for mark in SET_MARKS):
        which = f"The blocks up to and with {record.freeze}"
    else:
        known = ", ".join(blocks) if len(blocks) <= _FEW_BLOCKS else f"{len(blocks)} blocks"
        which = f"The blocks {record.freeze}{f' ({known})' if len(blocks) > 1 else ''}"
    return f"{which} of the pretrained network keep their weights. {rest}"


def keys_of(comparison: Comparison, row: Row) -> str:
    """The keys that ask for an arm, as they are typed: what is frozen, what else varied, and what
    the study found for it."""
    own = row.arm.settings
    varying = varying_keys([each.arm.settings for each in comparison.rows])
    asked = [key for key in varying if key in own and key not in _UNASKED]
    words = [] if row.arm.first.policy == _AUTO else [f"freeze={shlex.quote(row.arm.first.freeze)}"]
    if row.arm.first.policy != _FIXED or "policy.name" in asked:
        words.append(f"policy={row.arm.first.policy}")
    if row.arm.first.scratch:
        words.append(f"weights={SCRATCH}")
        asked = [key for key in asked if key != "backbone.weights"]
    for key in asked:
        if key not in ("freeze", "policy.name"):
            words.append(f"{_GROUPS.get(key, key)}={shlex.quote(_text(own[key]))}")
    words += [f"{key}={value}" for key, value in found_for(row.arm.first).items()]
    return " ".join(words)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str).replace('"', "")


def training_command(comparison: Comparison, row: Row) -> str | None:
    """A line that trains once more like this; None where the study's own line is not known."""
    records = [record for each in comparison.rows for record in each.arm.records]
    return of_arm(records, row.arm.first)


def export_command(row: Row) -> str | None:
    """A line that exports the best run of an arm, by val; None where no weights are left."""
    key = row.quality.main.key
    kept = [record for record in row.arm.records if _weights(record)]
    if not kept or row.quality.task != "detection":
        return None
    best = max(kept, key=lambda record: record.number("best", key) or 0.0)
    return command(
        "tlx.export", f"checkpoint={best.folder.as_posix()}", "format=onnx", "output=export/onnx"
    )


def _weights(record: Record) -> bool:
    name = record.text("checkpoint", "file")
    return name is not None and any(
        (record.folder / place / name).is_file() for place in ("checkpoints", ".")
    )
