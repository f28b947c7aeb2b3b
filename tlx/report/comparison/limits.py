"""What a user can afford: the limits that a recommendation keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from tlx.common.errors import ConfigError
from tlx.records.quality import DETECTION, Quality

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
