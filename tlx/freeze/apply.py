"""Put a network into the state that a phase asks for. Idempotent, so resume needs nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tlx.common.errors import FreezeError
from tlx.freeze.policies.base import Phase, Policy
from tlx.models.blocks import Blocks, leading
from tlx.models.trunk import TrunkNetwork


def check_phases(network: TrunkNetwork, phases: Sequence[Phase]) -> None:
    """Refuse to freeze random weights: features nobody trained are known to train poor detectors.

    What a later phase freezes was frozen from the first one on, or has trained.

    Raises `FreezeError` naming the blocks that hold no pretrained weights.
    """
    trunk = network.trunk()
    frozen = [trunk[place] for place in sorted(phases[0].frozen)]
    random = [name for name, _ in frozen if name not in network.loaded]
    if random:
        raise FreezeError(
            f"these blocks would be frozen with random weights: {', '.join(random)}. Load weights "
            "that cover them (backbone.weights=…; a detector checkpoint for the extras) or freeze "
            "less; a baseline from scratch is backbone.weights=scratch freeze=none"
        )


def prepare_network(
    network: TrunkNetwork, policy: Policy, phases: Sequence[Phase], seed: int
) -> None:
    """Make of a pretrained network what the policy needs, and put it into its first phase.

    Raises `FreezeError` where no frozen block has parameters of the kind that is to train: it would
    be another policy.
    """
    first = phases[0]
    policy.prepare(network, first.frozen, seed)
    blocks = [block for place, (_, block) in enumerate(network.trunk()) if place in first.frozen]
    if first.trains and not any(network.still_training(b, first.trains) for b in blocks):
        also = ", or leave trainer.freeze_bn out" if network.bn_frozen else ""
        raise FreezeError(
            f"policy={policy.name}: the frozen blocks of {network.spec.name} have no "
            f"{first.trains} that could train: take policy=fixed{also}"
        )
    apply_phase(network, first)


def apply_phase(
    network: TrunkNetwork, phase: Phase, prefix_dtype: torch.dtype = torch.float32
) -> None:
    """Freeze the blocks of the phase and let everything else train."""
    network.freeze(phase.frozen, phase.bn_inference, prefix_dtype, phase.trains)


def unchanged(network: TrunkNetwork, phase: Phase) -> Blocks:
    """The blocks of which nothing changes in the phase."""
    return network.unchanged(phase.frozen, phase.bn_inference, phase.trains)


def prefix_length(network: TrunkNetwork, phase: Phase) -> int:
    """How many of these lead the trunk."""
    return leading(unchanged(network, phase))


def trainable_parameters(
    network: TrunkNetwork, phases: Sequence[Phase]
) -> dict[str, list[list[nn.Parameter]]]:
    """Parameters that train in any phase, block by block: of ``base`` (the backbone), ``neck`` (the
    trunk's blocks behind it) and ``head``.

    ``base`` has a list for every block of the backbone, empty where it never trains. Built once:
    optimizers keep their state by position, so a group that changed in mid-run would give one
    parameter's momentum to another after a resume.
    """
    always = frozenset.intersection(*(phase.frozen - phase.undecided for phase in phases))
    backbone = len(network.backbone.blocks)
    fixed = {id(p) for p in network.batch_norm_parameters()} if network.bn_frozen else set()
    blocks = []
    for place, (_, block) in enumerate(network.trunk()):
        kinds = {phase.trains for phase in phases if place in always}
        of = {id(p) for kind in kinds for p in network.still_training(block, kind)}
        blocks.append(
            [
                p
                for p in block.parameters()
                if id(p) not in fixed and (place not in always or id(p) in of)
            ]
        )
    return {
        "base": blocks[:backbone],
        "neck": blocks[backbone:],
        "head": [list(network.heads.parameters())],
    }
