"""Put a network into the state that a phase asks for. Idempotent, so resume needs nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tlx.common.errors import FreezeError
from tlx.freeze.policies.base import Phase
from tlx.models.trunk import TrunkNetwork


def check_phases(network: TrunkNetwork, phases: Sequence[Phase]) -> None:
    """Refuse to freeze random weights: features nobody trained are known to train poor detectors.

    What a later phase freezes was frozen from the first one on, or has trained.

    Raises `FreezeError` naming the blocks that hold no pretrained weights.
    """
    names = [name for name, _ in network.trunk()]
    random = [names[i] for i in sorted(phases[0].frozen) if names[i] not in network.loaded]
    if random:
        raise FreezeError(
            f"these blocks would be frozen with random weights: {', '.join(random)}. Load weights "
            "that cover them (backbone.weights=…; a detector checkpoint for the extras) or freeze "
            "less; a baseline from scratch is backbone.weights=scratch freeze=none"
        )


def apply_phase(
    network: TrunkNetwork, phase: Phase, prefix_dtype: torch.dtype = torch.float32
) -> None:
    """Freeze the blocks of the phase and let everything else train."""
    network.freeze(phase.frozen, phase.bn_inference, prefix_dtype)


def trainable_parameters(
    network: TrunkNetwork, phases: Sequence[Phase]
) -> dict[str, list[list[nn.Parameter]]]:
    """Parameters that train in any phase, block by block: of ``base`` (the backbone), ``neck`` (the
    trunk's blocks behind it) and ``head``.

    ``base`` has a list for every block of the backbone, empty where it never trains. Built once:
    optimizers keep their state by position, so a group that changed in mid-run would give one
    parameter's momentum to another after a resume.
    """
    never = frozenset.intersection(*(phase.frozen for phase in phases))
    backbone = len(network.backbone.blocks)
    fixed = {id(p) for p in network.batch_norm_parameters()} if network.bn_frozen else set()
    blocks = [
        [] if place in never else [p for p in block.parameters() if id(p) not in fixed]
        for place, (_, block) in enumerate(network.trunk())
    ]
    return {
        "base": blocks[:backbone],
        "neck": blocks[backbone:],
        "head": [list(network.heads.parameters())],
    }
