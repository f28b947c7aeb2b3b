"""Fixed depth: the same blocks are frozen from the first step to the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tlx.freeze.policies.base import Phase, Policy, register
from tlx.models.blocks import Blocks


@register
@dataclass(frozen=True)
class Fixed(Policy):
    """`freeze` holds for the whole run."""

    name: str = "fixed"

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """One phase."""
        return (Phase(0, frozen, frozen),)
