"""A depth that a pilot chooses (`tlx.study.pilot`): the candidates, and how long they are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tlx.common.errors import ConfigError
from tlx.freeze.policies.base import Phase, Policy, register
from tlx.models.blocks import Blocks


@register
@dataclass(frozen=True)
class Auto(Policy):
    """What the pilot needs to know; the run that follows it has a fixed depth.

    Attributes:
        depths: freeze values to choose from, at least two different ones.
        seeds: runs of each depth in each rung, at least two; `seed` and those after it.
        epochs: of the first rung, doubled from rung to rung; None: a twentieth of the run's.
    """

    name: str = "auto"
    depths: list[Any] = field(default_factory=lambda: ["none", 4, 8, "all"])
    seeds: int = 2
    epochs: int | None = None

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """Check the candidates; the phase itself has no freeze, as there is no depth yet."""
        if frozen:
            raise ConfigError(
                "policy=auto chooses the depth: leave freeze out, and name the candidates with "
                "policy.depths=[none,4,8]"
            )
        blocks = [blocks_of(depth) for depth in self.depths]
        if len(blocks) < 2 or len(set(blocks)) < len(blocks):
            raise ConfigError(
                f"policy.depths={self.depths} must name at least two different depths, each once"
            )
        if self.seeds < 2:
            raise ConfigError(
                f"policy.seeds={self.seeds} must be at least 2: one seed shows no noise"
            )
        if self.epochs is not None and self.epochs < 1:
            raise ConfigError(f"policy.epochs={self.epochs} must be at least 1")
        return (Phase(0, 0, 0),)
