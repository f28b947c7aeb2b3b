"""A policy turns a freeze into phases: a pure function of the configuration.

Nothing in a policy remembers anything. The state of the network in an epoch follows from the
epoch's number alone, which is why a resumed run needs no help from the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tlx.common.registry import Registry
from tlx.models.blocks import Blocks, as_blocks


@dataclass(frozen=True, init=False)
class Phase:
    """A stretch of epochs under one freeze.

    Where a set of blocks is asked for, a number stands for so many leading ones.

    Attributes:
        first_epoch: where it starts; it ends where the next phase starts.
        frozen: trunk blocks without gradient, in inference mode, out of the optimizer. Those that
            lead the trunk without a gap are run folded and without autograd, and may be cached;
            behind a block that trains, gradients pass through them.
        bn_inference: trunk blocks whose batch norm uses its stored statistics; `frozen` at least.
            More where blocks were unfrozen: their statistics stay those of the pretraining (the
            Keras transfer-learning guide's rule).
        lr_scale: multiplies every learning rate in this phase.
    """

    first_epoch: int
    frozen: Blocks
    bn_inference: Blocks
    lr_scale: float

    def __init__(
        self,
        first_epoch: int,
        frozen: Iterable[int] | int,
        bn_inference: Iterable[int] | int,
        lr_scale: float = 1.0,
    ) -> None:
        values = (first_epoch, as_blocks(frozen), as_blocks(bn_inference), lr_scale)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)


class Policy:
    """Base of the policies; a subclass is a dataclass whose fields are its configuration."""

    name: str = ""

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """Phases for the blocks that `freeze` names and a budget of `epochs`.

        `blocks_of` turns another freeze value of the policy's own configuration into blocks.
        Raises `ConfigError` for a combination that means nothing.
        """
        raise TypeError(f"{type(self).__name__} does not say its phases")


POLICIES: Registry[type[Policy]] = Registry("policy")
P = TypeVar("P", bound=type[Policy])


def register(policy: P) -> P:
    """Class decorator: make a policy known under its `name`."""
    POLICIES.add(policy.name, policy, policy.__module__)
    return policy


def policy_class(name: str) -> type[Policy]:
    """Look a policy up; an unknown name is a `ConfigError` with the nearest of the known ones."""
    return POLICIES.find(name)


def phase_at(phases: Sequence[Phase], epoch: int) -> Phase:
    """The phase that an epoch belongs to."""
    return [phase for phase in phases if phase.first_epoch <= epoch][-1]
