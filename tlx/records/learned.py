"""Whether a run has learned to find anything: below a floor of mAP@.5, figures compare nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from tlx.common.errors import DivergenceError

FLOOR = 0.01
"""mAP@.5 (0..1) that chance hits of an untrained detector stay below."""
DIVERGED = 10.0
"""Times its beginning that a loss has to end at, to have run away."""
LEAST_BEGINNING = 10.0
"""A first loss below this counts as this: that of an untrained detector, where a first batch
happens to hold next to no object."""
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


def diverged(record: Mapping[str, Any]) -> str | None:
    """One sentence for people where the loss has run away, otherwise None.

    A loss that is no number has stopped the run (`DivergenceError`). Of others the median of the
    last tenth of the steps is compared with the first step's, which comes before any update.
    """
    error = record.get("error")
    if isinstance(error, Mapping) and error.get("type") == DivergenceError.__name__:
        return f"The training diverged: {error.get('message')}"
    course = record.get("loss")
    try:
        losses = [float(row[2]) for row in course]  # type: ignore[union-attr]
    except (TypeError, LookupError, ValueError, OverflowError):
        return None
    if not losses:
        return None
    end = median(losses[-max(1, len(losses) // 10) :])
    if end <= DIVERGED * max(losses[0], LEAST_BEGINNING):
        return None
    return (
        f"The training diverged: its loss began at {losses[0]:.4g} and ended at {end:.4g}, so its "
        "weights are worth nothing; lower trainer.base_lr and trainer.head_lr, or set "
        "trainer.clip_norm."
    )


def _map_50(part: object) -> float | None:
    value = part.get("map_50") if isinstance(part, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
