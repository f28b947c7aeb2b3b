"""`tuning.json`: the trials of an arm's learning rates, what was chosen, and the study's design."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlx.common.files import read_json

TUNING = "tuning.json"
FOLDER = "tuning"
"""Of a study: below it a folder an arm, with its trials."""
RATES = ("base_lr", "head_lr")
"""Of the group `trainer`: what is tuned, where it trains anything."""
BUDGET = ("tune.trials", "tune.minutes")
WALL_CLOCK = "wall_clock"
# States of a trial.
RUNNING, FINISHED, DIVERGED = "running", "finished", "diverged"


def read_tuning(folder: Path) -> dict[str, Any] | None:
    """What the folder of a run, or of an arm's trials, says; None where it says nothing."""
    try:
        found = read_json(folder / TUNING)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def found_by_tuning(settings: Mapping[str, Any]) -> set[str]:
    """The keys of a run's settings, by full key, that its study found instead of being told."""
    if all(settings.get(key) is None for key in BUDGET):
        return set()
    length = {"trainer.epochs"} if settings.get("tune.design") == WALL_CLOCK else set()
    return {f"trainer.{rate}" for rate in RATES} | length
