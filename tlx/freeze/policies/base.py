"""A policy turns a freeze into phases: a pure function of the configuration.

Nothing in a policy remembers anything. The state of the network in an epoch follows from the
epoch's number alone, which is why a resumed run needs no help from the policy. Those that decide by
what training measures are pure functions of that too; the run keeps what was measured and decided
in its checkpoints (`tlx.training.switches`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tlx.common.errors import ConfigError
from tlx.common.registry import Registry
from tlx.models.blocks import Blocks, as_blocks

if TYPE_CHECKING:
    from tlx.models.trunk import TrunkNetwork


@dataclass(frozen=True, init=False)
class Phase:
    """A stretch of epochs under one freeze.

    Where a set of blocks is asked for, a number stands for so many leading ones.

    Attributes:
        first_epoch: where it starts; it ends where the next phase starts.
        frozen: trunk blocks without gradient, in inference mode, out of the optimizer. Those that
            lead the trunk without a gap are run folded and without autograd, and may be cached;
            behind a block that trains, gradients pass through them.
        bn_inference: trunk blocks whose batch norm uses its stored statistics; `frozen` at least,
            unless `trains` says otherwise. More where blocks were unfrozen: their statistics stay
            those of the pretraining (the Keras transfer-learning guide's rule).
        lr_scale: multiplies every learning rate in this phase.
        trains: the kind of the frozen blocks' parameters that train all the same
            (`tlx.models.parameter_kinds`); ``""``: none.
        restart: whether it begins with a warm-up, a cosine of its own and an empty momentum; else
            those of the phase before go on.
        rate_ends: pairs of a block and the epoch at which its own cosine comes to zero, where that
            is before the others'. scaled: whether it starts higher for it (`schedule.lr_factor`).
        undecided: blocks that a later decision may unfreeze, or freeze.
        reason: why a decision began this phase.
    """

    first_epoch: int
    frozen: Blocks
    bn_inference: Blocks
    lr_scale: float
    trains: str
    restart: bool
    rate_ends: tuple[tuple[int, int], ...]
    scaled: bool
    undecided: Blocks
    reason: str

    def __init__(
        self, first_epoch: int, frozen: Iterable[int] | int, bn_inference: Iterable[int] | int,
        lr_scale: float = 1.0, *, trains: str = "", restart: bool = True,
        rate_ends: Iterable[Sequence[int]] = (), scaled: bool = False,
        undecided: Iterable[int] | int = (), reason: str = "",
    ) -> None:  # fmt: skip
        ends = tuple((place, epoch) for place, epoch in rate_ends)
        stored = as_blocks(bn_inference) | (frozenset() if trains else as_blocks(frozen))
        values = (
            first_epoch, as_blocks(frozen), stored, lr_scale, trains, restart,
            ends, scaled, as_blocks(undecided), reason,
        )  # fmt: skip
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    def decided(self) -> Phase:
        """The same where nothing is left to decide."""
        return replace(self, undecided=frozenset())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, which make the same phase again, for a checkpoint."""
        return {k: sorted(v) if isinstance(v, frozenset) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Measured:
    """What a run has measured when an epoch begins.

    Attributes:
        scores: the epoch of each validation so far and the figure that selects, where there is one.
        changes: of the blocks that train, by how much the norm of their accumulated gradients has
            changed from one interval to the next, relative to it; empty but behind an interval.
    """

    scores: Sequence[tuple[int, float]]
    changes: Mapping[int, float]


class Policy:
    """Base of the policies; a subclass is a dataclass whose fields are its configuration.

    Attributes:
        freezes_trained: whether it freezes blocks that have trained in the run.
    """

    name: str = ""
    freezes_trained: ClassVar[bool] = False

    @property
    def measures(self) -> str:
        """What it decides by: ``val``, ``gradients``, or nothing (``""``)."""
        return ""

    @property
    def interval(self) -> int:
        """Epochs over which gradients are accumulated, of those that decide by them."""
        return 1

    def phases(
        self, frozen: Blocks, epochs: int, blocks_of: Callable[[Any], Blocks]
    ) -> tuple[Phase, ...]:
        """Phases for the blocks that `freeze` names and a budget of `epochs`.

        `blocks_of` turns another freeze value of the policy's own configuration into blocks.
        Raises `ConfigError` for a combination that means nothing.
        """
        raise TypeError(f"{type(self).__name__} does not say its phases")

    def prepare(self, network: TrunkNetwork, frozen: Blocks, seed: int) -> None:
        """Change a network, pretrained and not yet frozen, where the policy needs another one."""

    def decide(self, phases: Sequence[Phase], epoch: int, measured: Measured) -> Phase | None:
        """The phase that begins with this epoch, if one does: a pure function of its arguments.

        Args:
            phases: those so far. epoch: that is about to begin, not the first.
        """
        return None


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


def least_frozen(phases: Sequence[Phase]) -> Phase:
    """The phase that freezes the fewest blocks, what later decisions may unfreeze among them."""
    reached = [replace(phase, frozen=phase.frozen - phase.undecided) for phase in phases]
    return min(reached, key=lambda phase: len(phase.frozen))


def named_blocks(policy: str, frozen: Blocks) -> Blocks:
    """The blocks that `freeze` names; `ConfigError` where it names none."""
    if not frozen:
        raise ConfigError(f"policy={policy} needs the blocks that it is about: freeze=all, say")
    return frozen


def stored_statistics(bn: str, blocks: Blocks) -> Blocks:
    """Those of the blocks whose batch norm keeps its stored statistics, by `policy.bn`."""
    if bn not in ("inference", "train"):
        raise ConfigError(f"policy.bn={bn} is neither inference nor train")
    return blocks if bn == "inference" else frozenset()
