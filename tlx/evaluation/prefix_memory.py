"""The frozen prefix's outputs on `val`, computed once: every validation of a run asks for them."""

from __future__ import annotations

import psutil
import torch
from torch import Tensor

from tlx.config.schema import CacheConfig
from tlx.data.dataset import Batch
from tlx.models.trunk import TrunkNetwork

FREE_SHARE = 0.25  # of what is free may be used


def memory_budget(cfg: CacheConfig, device: torch.device) -> int:
    """Bytes that may be kept: `max_gb`, and no more than a share of what is free."""
    if cfg.mode == "off":
        return 0
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = psutil.virtual_memory().available
    return int(min(1e9 * cfg.max_gb, FREE_SHARE * free))


class PrefixMemory:
    """Remembers by batch; it is exact, because pictures are not augmented and float32 is kept.

    Args:
        budget: bytes; what does not fit is computed anew.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._kept: dict[tuple[int, ...], list[Tensor]] = {}
        self._bytes = 0
        self._made_from: object = None

    @torch.no_grad()
    def outputs(self, network: TrunkNetwork, batch: Batch) -> list[Tensor]:
        """`network.eval_outputs` of the batch's pictures."""
        made_from = network.eval_prefix.versions()
        if made_from != self._made_from:  # another phase, or other weights
            self._kept, self._bytes, self._made_from = {}, 0, made_from
        key = tuple(batch.indices.tolist())
        if key in self._kept:
            return self._kept[key]
        outputs = network.eval_outputs(network.normalize(batch.images))
        size = sum(y.nbytes for y in outputs)
        if network.prefix_length and self._bytes + size <= self.budget:
            self._kept[key] = outputs
            self._bytes += size
        return outputs
