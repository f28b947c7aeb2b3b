"""What a user can afford: the limits that a recommendation keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from tlx.common.errors import ConfigError

_KEYS = {
    "train_minutes": "train_minutes",
    "memory_gb": "memory_gb",
    "latency_ms": "latency_ms",
    "accepted_map_loss": "accept_map_loss",
}


@dataclass(frozen=True)
class Limits:
    """What a user can afford; None is no limit.

    Attributes:
        train_minutes: Longest fit, validation included.
        memory_gb: Largest peak memory of training, in 10⁹ bytes.
        latency_ms: Longest time for a picture on the device.
        accepted_map_loss: Loss of test mAP@.5 against the best arm that is accepted.
    """

    train_minutes: float | None = None
    memory_gb: float | None = None
    latency_ms: float | None = None
    accepted_map_loss: float = 0.02

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and (not math.isfinite(value) or value < 0):
                raise ConfigError(f"{_KEYS[name]} must be a number of 0 or more, not {value}")
        if self.accepted_map_loss >= 1:
            raise ConfigError(
                "accept_map_loss is a share of mAP below 1 (0.02 is two points), not "
                f"{self.accepted_map_loss}"
            )

    def as_arguments(self) -> list[str]:
        """The arguments of `python -m tlx.report` that give these limits, defaults left out."""
        defaults = {field.name: field.default for field in fields(Limits)}
        return [
            f"{_KEYS[name]}={value!r}"
            for name, value in vars(self).items()
            if value is not None and value != defaults[name]
        ]
