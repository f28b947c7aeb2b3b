"""Read what a benchmark of inference measured, so that mAP can be set beside device latency.

The file is JSON: a list of rows, or an object with them under `rows`. A row is

    {"checkpoint_sha256": "083c28443f...", "policy": "freeze=4", "latency_ms": 23.4,
     "low_ms": 22.9, "high_ms": 25.1, "device": "Pi 5"}

`checkpoint_sha256` is that of the checkpoint that the model was made from (`model.json` has it). It
alone says which run a row belongs to: `policy` is a name that anyone may give to any file, and only
shown. A row without a digest, or with that of no run here, is not joined, and said. `low_ms`,
`high_ms` (any stated range) and `device` may be left out. A result of `tools/jetson_benchmark.py`
is such a file: its rows also say the `precision` and the `conditions`, which are shown with the
device, and whether the board `throttled`, and why (`throttle_reasons`). Other keys are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlx.common.errors import DataError
from tlx.common.files import read_json
from tlx.records.quality import finite
from tlx.report.comparison.arms import Arm


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
    """The rows of a benchmark whose checkpoint is of a run of these arms, in the file's order.

    Raises:
        DataError: the file cannot be read, a row lacks a figure, or two rows stand for the same arm
            and device.
    """
    joined, _ = _rows(path, arms)
    return joined


def unjoined(path: Path, arms: Sequence[Arm]) -> list[str]:
    """A sentence for each row of a benchmark that belongs to no run of these arms.

    Rows without a `policy` claim none (the baselines of `tlx.benchmark`) and are not named.
    """
    _, others = _rows(path, arms)
    return others


def _rows(path: Path, arms: Sequence[Arm]) -> tuple[list[Latency], list[str]]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the benchmark cannot be read: {error}") from error
    rows = content.get("rows") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise DataError(f"{path}: neither a list of rows nor an object with `rows`")
    by_digest = {
        record.checkpoint_sha256: arm.label
        for arm in arms
        for record in arm.records
        if record.checkpoint_sha256 is not None
    }
    joined, others = [], []
    for place, row in enumerate(rows, start=1):
        latency = _latency(f"{path}: row {place}", row)
        digest = row.get("checkpoint_sha256")
        if isinstance(digest, str) and digest in by_digest:
            joined.append(replace(latency, arm=by_digest[digest]))
        elif latency.arm:
            others.append(_not_joined(f"{path}: row {place}", latency, digest))
    places = [(latency.arm, latency.device) for latency in joined]
    for arm_and_device in places:
        if places.count(arm_and_device) > 1:
            arm, device = arm_and_device
            raise DataError(f"{path}: {arm} has several rows for device {device!r}")
    return joined, others


def _not_joined(where: str, latency: Latency, digest: Any) -> str:
    what = f"{where} ({latency.arm}, {latency.ms:g} ms on {latency.device}) is not joined to a run"
    if digest is None:
        return (
            f"{what}: it has no `checkpoint_sha256`, and a name proves nothing; measure it with a "
            "present tlx or jetson_benchmark.py, or copy the digest from the export's model.json"
        )
    return f"{what}: its checkpoint {str(digest)[:12]}… is that of none of these runs"


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


def _latency(where: str, row: Any) -> Latency:
    """A row under the name that it gives itself."""
    if not isinstance(row, dict) or not {"policy", "checkpoint_sha256"} & row.keys():
        raise DataError(f"{where}: not an object with `checkpoint_sha256` and `latency_ms`")
    ms = finite(row.get("latency_ms"))
    if ms is None or ms <= 0:
        raise DataError(f"{where}: `latency_ms` must be a number above 0")
    low, high = (finite(row.get(key)) for key in ("low_ms", "high_ms"))
    low, high = ms if low is None else low, ms if high is None else high
    if not low <= ms <= high:
        raise DataError(f"{where}: `latency_ms` must lie between `low_ms` and `high_ms`")
    return Latency(str(row.get("policy") or ""), ms, low, high, _device(row), _throttled(row))


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
