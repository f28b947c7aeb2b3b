"""Whether a run has learned to find anything: below a floor of mAP@.5, figures compare nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

FLOOR = 0.01
"""mAP@.5 (0..1) that chance hits of an untrained detector stay below."""
NEXT = (
    "train longer (trainer.epochs), look at the boxes and classes of the data, "
    "or change trainer.base_lr"
)
"""What to try where nothing has learned."""


def learned(record: Mapping[str, Any]) -> bool | None:
    """Whether the best epoch on val or the test reaches `FLOOR` in mAP@.5.

    Args:
        record: `record.json` of a run, of any age.

    Returns:
        None where neither figure is known, so that nothing can be said.
    """
    figures = [
        figure for key in ("test", "best") if (figure := _map_50(record.get(key))) is not None
    ]
    return max(figures) >= FLOOR if figures else None


def nothing_learned(record: Mapping[str, Any]) -> str | None:
    """One sentence for people where a run has learned nothing, otherwise None."""
    if learned(record) is not False:
        return None
    names = {"test": "test", "best": "the best epoch on val"}
    known = {names[key]: _map_50(record.get(key)) for key in names}
    told = ", ".join(
        f"{value:.4f} on {name}" if name == "test" else f"{value:.4f} in {name}"
        for name, value in known.items()
        if value is not None
    )
    return f"Nothing has learned: mAP@.5 is {told}; {NEXT}."


def _map_50(part: object) -> float | None:
    value = part.get("map_50") if isinstance(part, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
