"""Put a network into the state that a phase asks for. Idempotent, so resume needs nothing."""

from __future__ import annotations

import torch
from torch import nn

from tlx.common.errors import FreezeError
from tlx.freeze.policies.base import Phase
from tlx.models.trunk import TrunkNetwork


def check_phases(network: TrunkNetwork, phases: tuple[Phase, ...]) -> None:
    """Refuse to freeze random weights: features nobody trained are known to train poor detectors.

    Raises `FreezeError` naming the blocks that hold no pretrained weights.
    """
    deepest = max(phase.frozen for phase in phases)
    random = [name for name, _ in network.trunk()[:deepest] if name not in network.loaded]
    if random:
        raise FreezeError(
            f"these blocks would be frozen with random weights: {', '.join(random)}. Load weights "
            "that cover them (backbone.weights=…; a detector checkpoint for the extras) or freeze "
            "less; a baseline from scratch is backbone.weights=scratch freeze=none"
        )


def apply_phase(
    network: TrunkNetwork, phase: Phase, prefix_dtype: torch.dtype = torch.float32
) -> None:
    """Freeze the first `phase.frozen` blocks of the trunk and let everything else train."""
    network.freeze(phase.frozen, phase.bn_inference, prefix_dtype)


def trainable_parameters(
    network: TrunkNetwork, phases: tuple[Phase, ...]
) -> dict[str, list[list[nn.Parameter]]]:
    """Parameters that train in any phase, block by block: of ``base`` (the backbone), ``neck`` (the
    trunk's blocks behind it) and ``head``.

    The last list of ``base`` is that of the backbone's last block, whatever is frozen. Built once:
    optimizers keep their state by position, so a group that changed in mid-run would give one
    parameter's momentum to another after a resume.
    """
    shallowest = min(phase.frozen for phase in phases)
    blocks = [block for _, block in network.trunk()]
    backbone = len(network.backbone.blocks)
    fixed = {id(p) for p in network.batch_norm_parameters()} if network.bn_frozen else set()
    return {
        "base": [
            [p for p in block.parameters() if id(p) not in fixed]
            for block in blocks[shallowest:backbone]
        ],
        "neck": [list(block.parameters()) for block in blocks[max(shallowest, backbone) :]],
        "head": [list(network.heads.parameters())],
    }
