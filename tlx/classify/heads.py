"""Heads of classifiers: what stands behind the backbone's last map."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Module, ABC):
    """The backbone's last map -> one logit a class: batch norm, global average pool, layers.

    Args:
        normalize: whether the map is normalised first. Linear bottlenecks end without an
            activation, on scales that make a new layer start with useless logits (as in the
            detection heads).
    """

    def __init__(self, channels: int, classes: int, dropout: float, normalize: bool) -> None:
        super().__init__()
        self.classes = classes
        self.norm = nn.BatchNorm2d(channels) if normalize else nn.Identity()

    @abstractmethod
    def behind_pool(self) -> list[nn.Module]:
        """The layers behind the pool, in order; the first that is no dropout is linear."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """[(N, channels, h, w)] -> logits (N, classes)."""
        x = F.adaptive_avg_pool2d(self.norm(maps[-1]), 1).flatten(1)
        for layer in self.behind_pool():
            x = layer(x)
        return x


class LinearHead(Head):
    """Dropout and one linear layer."""

    def __init__(self, channels: int, classes: int, dropout: float, normalize: bool) -> None:
        super().__init__(channels, classes, dropout, normalize)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def behind_pool(self) -> list[nn.Module]:
        """See `Head`."""
        return [self.dropout, self.linear]
