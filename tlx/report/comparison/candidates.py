"""Which arms could be taken: fit ones that keep within what a user can afford."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from tlx.common.errors import ConfigError
from tlx.records.arms import train_fraction
from tlx.records.quality import DETECTION, Quality
from tlx.report.comparison.compare import Row
from tlx.report.comparison.cost import arithmetic
from tlx.report.comparison.figures import significant
from tlx.report.comparison.overlap import not_alone
from tlx.report.comparison.rows import CHANGED

NEXT = "Next:"
_GIGABYTE = 1e9
_IDLE = "it has learned nothing"
_CROWDED = "its training time is not comparable"

_KEYS = {
    "train_minutes": "train_minutes",
    "memory_gb": "memory_gb",
    "latency_ms": "latency_ms",
    "accepted_loss": DETECTION.accept,
}


@dataclass(frozen=True)
class Limits:
    """What a user can afford; None is no limit.

    Attributes:
        train_minutes: Longest fit, validation included.
        memory_gb: Largest peak memory of training, in 10⁹ bytes.
        latency_ms: Longest time for a picture on the device.
        accepted_loss: Loss of the main test figure against the best arm that is accepted.
    """

    train_minutes: float | None = None
    memory_gb: float | None = None
    latency_ms: float | None = None
    accepted_loss: float = 0.02

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and (not math.isfinite(value) or value < 0):
                raise ConfigError(f"{_KEYS[name]} must be a number of 0 or more, not {value}")
        if self.accepted_loss >= 1:
            raise ConfigError(
                f"{DETECTION.accept} is a share of mAP below 1 (0.02 is two points), not "
                f"{self.accepted_loss}"
            )

    def as_dict(self, quality: Quality) -> dict[str, float | None]:
        """The limits for `report.json`."""
        found = {**vars(self)}
        accepted = found.pop("accepted_loss")
        return found | {f"accepted_{quality.short}_loss": accepted}

    def as_arguments(self, quality: Quality = DETECTION) -> list[str]:
        """The arguments of `python -m tlx.report` that give these limits, defaults left out."""
        defaults = {field.name: field.default for field in fields(Limits)}
        keys = _KEYS | {"accepted_loss": quality.accept}
        return [
            f"{keys[name]}={value!r}"
            for name, value in vars(self).items()
            if value is not None and value != defaults[name]
        ]


def why_unfit(row: Row) -> str | None:
    """Why an arm could not be taken whatever its figures, None where it could.

    An arm of which runs diverged is none to take: the figures of the others are those of luck.
    """
    if not row.arm.learned:
        return _IDLE
    if row.arm.fallen:
        return row.arm.fallen
    if row.frozen_proof == CHANGED:
        return "what it froze changed in training"
    if row.test_main is None:
        return f"it has no test {row.quality.main.name}"
    if row.fit_min is not None or (row.crowded and arithmetic(row) is not None):
        return None
    if row.crowded:
        return f"{_CROWDED} ({not_alone(row.arm.records)})"
    return "its training time is not known"


def trained_on_less(rows: Sequence[Row]) -> dict[str, str]:
    """The arms that had a smaller part of the train pictures than others, and that as a reason.

    They are there for a learning curve: nobody leaves labelled pictures out to train faster.
    """
    parts = {row.arm.label: train_fraction(row.arm.settings) for row in rows}
    most = max(parts.values(), default=1)
    return {
        label: f"it was trained on {100 * part:g} % of the train pictures"
        for label, part in parts.items()
        if part < most
    }


def too_few(ranked: Sequence[Row]) -> str:
    if not ranked:
        return "none of the arms can be taken"
    return f"{ranked[0].arm.label} is the only arm that can be taken, with none to compare it with"


def remedies(unfit: Mapping[str, str], quality: Quality) -> list[str]:
    """What to do about the reasons why arms could not be taken."""
    reasons = list(unfit.values())
    told = []
    if _IDLE in reasons:
        told.append(quality.remedy)
    if any("diverged" in reason for reason in reasons):
        told.append("lower trainer.base_lr and trainer.head_lr for all arms")
    if any(reason.startswith(_CROWDED) for reason in reasons):
        told.append("run the arms one after another, with nothing beside them")
    return [f"{NEXT} {'; '.join(told)}."] if told else []


def over_limits(row: Row, limits: Limits, latencies: Mapping[str, float]) -> str | None:
    """Which limit the arm's worst run does not keep, or is not known to keep."""
    memory, fit = row.peak_memory_bytes, row.fit_min
    if limits.train_minutes is not None:
        if fit is None:
            return _CROWDED
        if fit.high > limits.train_minutes:
            return f"its training takes up to {significant(fit.high)} min"
    if limits.memory_gb is not None:
        if memory is None:
            return "its memory was not measured"
        if memory.high > limits.memory_gb * _GIGABYTE:
            return f"it needs up to {memory.high / _GIGABYTE:.2f} GB ({row.memory_kind})"
    latency = latencies.get(row.arm.label)
    if limits.latency_ms is not None and latency is not None and latency > limits.latency_ms:
        return f"a picture takes {significant(latency)} ms"
    return None
