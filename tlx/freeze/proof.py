"""The proof that a freeze froze: a hash of the frozen tensors before and after training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

from tlx.models.blocks import as_blocks
from tlx.models.trunk import TrunkNetwork


def frozen_hash(network: TrunkNetwork, blocks: Iterable[int] | int) -> str | None:
    """sha256 over names, shapes and bytes of every parameter *and buffer* of these trunk blocks.

    Buffers are in it because batch-norm statistics move even where no gradient flows. None when
    nothing is frozen.

    Args:
        blocks: their positions, or a number of leading ones.
    """
    places = as_blocks(blocks)
    if not places:
        return None
    digest = hashlib.sha256()
    for place, (name, block) in enumerate(network.trunk()):
        if place not in places:
            continue
        for key, tensor in sorted(block.state_dict().items()):
            digest.update(f"{name}.{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
            # Flattened in logical order, so that channels-last strides do not change the hash.
            data = tensor.detach().cpu().reshape(-1).contiguous()
            digest.update(data.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
