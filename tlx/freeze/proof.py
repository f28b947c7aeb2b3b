"""The proof that a freeze froze: a hash of the frozen tensors before and after training."""

from __future__ import annotations

import hashlib

import torch

from tlx.models.trunk import TrunkNetwork


def frozen_hash(network: TrunkNetwork, blocks: int) -> str | None:
    """sha256 over names, shapes and bytes of every parameter *and buffer* of the first blocks.

    Buffers are in it because batch-norm statistics move even where no gradient flows. None when
    nothing is frozen.
    """
    if blocks == 0:
        return None
    digest = hashlib.sha256()
    for name, block in network.trunk()[:blocks]:
        for key, tensor in sorted(block.state_dict().items()):
            digest.update(f"{name}.{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
            # Flattened in logical order, so that channels-last strides do not change the hash.
            data = tensor.detach().cpu().reshape(-1).contiguous()
            digest.update(data.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
