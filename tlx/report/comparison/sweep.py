"""The sweep that made a study, and lines to paste that go on from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tlx.common.cli import command
from tlx.common.files import read_yaml
from tlx.freeze.depth import freeze_label
from tlx.report.comparison.records import Record

SWEEP = "multirun.yaml"
_PROGRAMS = {"classify": "tlx.classify"}  # by the name of the configuration; others are of train


def with_seeds(records: Sequence[Record], seeds: Sequence[int]) -> str | None:
    """A line to paste that adds the seeds which are missing; finished runs are not repeated.

    Args:
        records: All runs of a study.
        seeds: All seeds that it is to have.

    Returns:
        None where the runs are not all of one sweep, or its file cannot be read.
    """
    folders = {record.folder.parent for record in records}
    if len(folders) != 1:
        return None
    try:
        noted = read_yaml(folders.pop() / SWEEP)
        hydra = noted["hydra"]
        given, of_hydra = (hydra["overrides"][key] for key in ("task", "hydra"))
        params = hydra["sweeper"]["params"] or {}
        program = _PROGRAMS.get(hydra.get("job", {}).get("config_name"), "tlx.train")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    if not all(isinstance(text, str) for text in (*given, *of_hydra)):
        return None
    if not _names_all(records, {**params, **dict(text.partition("=")[::2] for text in given)}):
        return None
    kept = [text for text in given if text.partition("=")[0] != "seed"]
    kept += [text for text in of_hydra if text != "hydra.mode=MULTIRUN"]
    return command(program, "-m", *kept, f"seed={','.join(map(str, seeds))}")


def _names_all(records: Sequence[Record], values: dict[str, Any]) -> bool:
    """Whether the sweep makes the depth of every run; a folder can hold runs of several sweeps."""
    asked = str(values.get("freeze", "none")).split(",")
    named = {freeze_label(value.strip(" '\"")) for value in asked}
    weights = str(values.get("backbone.weights", values.get("weights")))
    return all(
        record.freeze in named or (record.scratch and "scratch" in named | set(weights.split(",")))
        for record in records
    )
