"""Made-up studies: the order of their runs, and arms that hold nothing but some figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tlx.report.comparison.arms import Arm, group_arms
from tlx.report.comparison.records import Record
from tlx.study.order import balanced_orders


def interleaved(arms: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """Arm and seed of every run in the order of a study."""
    orders = balanced_orders(len(arms), seeds)
    return [(arms[place], seed) for seed, order in enumerate(orders) for place in order]


def in_turn(arms: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """Arm and seed of every run, one arm finished before the next starts."""
    return [(arm, seed) for arm in arms for seed in range(seeds)]


def lean_arms(
    order: Sequence[tuple[str, int]],
    figures: Mapping[str, Mapping[tuple[str, int], float]],
) -> list[Arm]:
    """Arms of runs that hold nothing but some figures, made one after another in this order.

    Args:
        order: Freeze setting and seed of each run.
        figures: `test_map_50` or `step_s` by run; runs take a minute each.
    """
    start = datetime(2025, 1, 1, tzinfo=timezone.utc)
    records = []
    for place, run in enumerate(order):
        freeze, seed = run
        data: dict[str, Any] = {
            "status": "finished",
            "freeze": freeze,
            "seed": seed,
            "started": (start + timedelta(minutes=place)).isoformat(timespec="seconds"),
            "time": {"fit_s": 60.0},
        }
        if "test_map_50" in figures:
            data["test"] = {"map_50": figures["test_map_50"][run]}
        if "step_s" in figures:
            data["step_time"] = {"median_s": figures["step_s"][run]}
        records.append(Record(Path(f"{freeze}-{seed}"), data))
    return group_arms(records)[0]
