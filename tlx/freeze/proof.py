"""The proof that a freeze froze: a hash of the frozen tensors before and after training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

from tlx.freeze.policies.base import Phase
from tlx.models.blocks import as_blocks
from tlx.models.trunk import TrunkNetwork, batch_norms


def phase_hash(network: TrunkNetwork, phase: Phase) -> str | None:
    """`frozen_hash` of all that the phase keeps as it is."""
    return frozen_hash(
        network, phase.frozen, trains=phase.trains, moving=phase.frozen - phase.bn_inference
    )


def frozen_hash(
    network: TrunkNetwork, blocks: Iterable[int] | int, *, trains: str = "",
    moving: Iterable[int] = (),
) -> str | None:  # fmt: skip
    """sha256 over names, shapes and bytes of every parameter *and buffer* of these trunk blocks.

    Buffers are in it because batch-norm statistics move even where no gradient flows. None when
    nothing is frozen.

    Args:
        blocks: their positions, or a number of leading ones.
        trains: the kind of their parameters that train, and are left out.
        moving: those whose batch norms follow the batches: their statistics are left out.
    """
    places = as_blocks(blocks)
    if not places:
        return None
    digest = hashlib.sha256()
    for place, (name, block) in enumerate(network.trunk()):
        if place not in places:
            continue
        changing = {id(parameter) for parameter in network.still_training(block, trains)}
        if place in moving:
            changing |= {id(b) for m in batch_norms(block) for b in m.buffers()}
        own = dict([*block.named_parameters(), *block.named_buffers()])
        for key, tensor in sorted(block.state_dict().items()):
            if key in own and id(own[key]) in changing:
                continue
            digest.update(f"{name}.{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
            # Flattened in logical order, so that channels-last strides do not change the hash.
            data = tensor.detach().cpu().reshape(-1).contiguous()
            digest.update(data.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
