"""A policy turns a freeze depth into phases: a pure function of the configuration.

Nothing in a policy remembers anything. The state of the network in an epoch follows from the
epoch's number alone, which is why a resumed run needs no help from the policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tlx.common.registry import Registry


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs under one freeze.

    Attributes:
        first_epoch: where it starts; it ends where the next phase starts.
        frozen: leading trunk blocks without gradient, in inference mode, out of the optimizer.
        bn_inference: leading trunk blocks whose batch norm uses its stored statistics; at least
            `frozen`. More where blocks were unfrozen: their statistics stay those of the
            pretraining (the Keras transfer-learning guide's rule).
        lr_scale: multiplies every learning rate in this phase.
    """

    first_epoch: int
    frozen: int
    bn_inference: int
    lr_scale: float = 1.0


class Policy:
    """Base of the policies; a subclass is a dataclass whose fields are its configuration."""

    name: str = ""

    def phases(
        self, frozen: int, epochs: int, blocks_of: Callable[[Any], int]
    ) -> tuple[Phase, ...]:
        """Phases for `freeze` = `frozen` leading blocks and a budget of `epochs`.

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


def phase_at(phases: tuple[Phase, ...], epoch: int) -> Phase:
    """The phase that an epoch belongs to."""
    return [phase for phase in phases if phase.first_epoch <= epoch][-1]
