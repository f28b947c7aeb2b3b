"""`pilot.json`: which depth the pilot of `policy=auto` chose, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tlx.common.files import read_json

PILOT = "pilot.json"


def read_decision(run_dir: Path) -> dict[str, Any] | None:
    """The decision that a run's folder holds, or None where no pilot has come to one."""
    try:
        decision = read_json(run_dir / PILOT)
    except (OSError, ValueError):
        return None
    return decision if isinstance(decision, dict) else None
