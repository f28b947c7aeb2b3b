"""Read what a benchmark of inference measured, so that mAP can be set beside device latency.

The file is JSON: a list of rows, or an object with them under `rows`. A row is

    {"policy": "freeze=4", "latency_ms": 23.4, "low_ms": 22.9, "high_ms": 25.1, "device": "Pi 5"}

`policy` is an arm's name as the report spells it, or its freeze setting where one arm has it.
`low_ms`, `high_ms` (any stated range) and `device` may be left out. A result of
`tools/jetson_benchmark.py` is such a file: its rows also say the `precision` and the `conditions`,
which are shown with the device, and whether the board `throttled`, and why (`throttle_reasons`).
Other keys are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlx.errors import DataError
from tlx.files import read_json
from tlx.report.arms import Arm
from tlx.report.records import finite


@dataclass(frozen=True)
class Latency:
    """Milliseconds that the network of one arm takes for a picture on a device.

    Attributes:
        device: with precision and conditions, where they are stated.
        throttled: why the device slowed down, in words; empty where it did not.
    """

    arm: str
    ms: float
    low_ms: float
    high_ms: float
    device: str
    throttled: str = ""


def read_latencies(path: Path, arms: Sequence[Arm]) -> list[Latency]:
    """The rows of a benchmark that belong to these arms, in the file's order.

    Raises:
        DataError: the file cannot be read, a row lacks a figure or names two arms at once, two
            rows stand for the same arm and device, or no row belongs to an arm.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the benchmark cannot be read: {error}") from error
    rows = content.get("rows") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise DataError(f"{path}: neither a list of rows nor an object with `rows`")
    found = [_latency(f"{path}: row {i}", row, arms) for i, row in enumerate(rows, start=1)]
    known = [latency for latency in found if latency is not None]
    if not known:
        names = ", ".join(arm.label for arm in arms)
        raise DataError(f"{path}: no row's `policy` is an arm of this report: {names}")
    places = [(latency.arm, latency.device) for latency in known]
    for place in places:
        if places.count(place) > 1:
            raise DataError(f"{path}: {place[0]} has several rows for device {place[1]!r}")
    return known


def throttle_warnings(latencies: Sequence[Latency]) -> list[str]:
    """A sentence for each figure that a device which slowed down has given."""
    return [
        f"{latency.arm} on {latency.device}: the device throttled ({latency.throttled}), so its "
        f"{latency.ms:g} ms are too slow: cool it and measure again."
        for latency in latencies
        if latency.throttled
    ]


def slowest(latencies: Sequence[Latency]) -> dict[str, float]:
    """By arm, the milliseconds on the device that takes longest for it."""
    found: dict[str, float] = {}
    for latency in latencies:
        found[latency.arm] = max(latency.ms, found.get(latency.arm, 0.0))
    return found


def _latency(where: str, row: Any, arms: Sequence[Arm]) -> Latency | None:
    if not isinstance(row, dict) or "policy" not in row:
        raise DataError(f"{where}: not an object with `policy` and `latency_ms`")
    label = _arm_named(where, str(row["policy"]), arms)
    if label is None:
        return None
    ms = finite(row.get("latency_ms"))
    if ms is None or ms <= 0:
        raise DataError(f"{where}: `latency_ms` must be a number above 0")
    low, high = (finite(row.get(key)) for key in ("low_ms", "high_ms"))
    low, high = ms if low is None else low, ms if high is None else high
    if not low <= ms <= high:
        raise DataError(f"{where}: `latency_ms` must lie between `low_ms` and `high_ms`")
    return Latency(label, ms, low, high, _device(row), _throttled(row))


def _device(row: dict[str, Any]) -> str:
    """Orin, fp16 (TensorRT 10.3.0, 15W)"""
    device, precision = str(row.get("device") or "device"), row.get("precision")
    conditions = row.get("conditions")
    named = f"{device}, {precision}" if precision else device
    return f"{named} ({conditions})" if conditions else named


def _throttled(row: dict[str, Any]) -> str:
    reasons = row.get("throttle_reasons")
    told = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
    return (told or "no reason is stated") if row.get("throttled") else ""


def _arm_named(where: str, policy: str, arms: Sequence[Arm]) -> str | None:
    if any(arm.label == policy for arm in arms):
        return policy
    named = [arm.label for arm in arms if arm.depth == policy.removeprefix("freeze=")]
    if len(named) > 1:
        raise DataError(f"{where}: policy {policy!r} may be {' or '.join(named)}: name one")
    return named[0] if named else None
