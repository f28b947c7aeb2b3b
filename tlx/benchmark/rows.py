"""From seconds to the figures of an arm: medians, intervals, and how they stand to the bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlx.benchmark.arms import CACHED, Slot
from tlx.freeze.bound import Cost
from tlx.training.step_timer import PARTS

REFERENCE = Slot("none", frozenset(), "plain")


def bound_share(cost: Cost, slot: Slot) -> float | None:
    """Least cost of a step relative to one with nothing frozen, by arithmetic.

    Where the prefix is read from a cache, its forward pass is saved too. None for torchvision:
    it is another network.
    """
    if slot.arm == "torchvision":
        return None
    return cost.step_share(slot.frozen, cached=slot.arm in CACHED)


def make_rows(
    slots: list[Slot],
    seconds: list[np.ndarray],
    cost: Cost,
    batch_size: int,
    memory: list[int | None],
) -> list[dict[str, Any]]:
    """One row for each slot.

    Args:
        seconds: of each slot, (rounds, 4): the parts of each step.
        memory: bytes that steps add, or None where they were not measured.
    """
    totals = [times.sum(1) for times in seconds]
    reference = float(np.median(totals[slots.index(REFERENCE)]))
    rows = []
    for slot, times, total, peak in zip(slots, seconds, totals, memory, strict=True):
        median = float(np.median(total))
        ratio, share = median / reference, bound_share(cost, slot)
        rows.append(
            {
                "policy": slot.policy,
                "arm": slot.arm,
                "step_s_median": median,
                "step_s_interval": np.percentile(total, [10, 90]).tolist(),
                "parts": dict(
                    zip((f"{part}_s" for part in PARTS), np.median(times, 0).tolist(), strict=True)
                ),
                "images_per_s": batch_size / median,
                "ratio_to_plain_none": ratio,
                "bound_step_share": share,
                "ratio_to_bound": None if share is None else share / ratio,
                "peak_rss_bytes": peak,
            }
        )
    return rows


def noise(rows: list[dict[str, Any]]) -> float:
    """Width of the reference arm's interval relative to its median."""
    row = next(r for r in rows if (r["policy"], r["arm"]) == (REFERENCE.policy, REFERENCE.arm))
    low, high = row["step_s_interval"]
    return (high - low) / row["step_s_median"]
