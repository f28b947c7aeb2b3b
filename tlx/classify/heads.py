"""Heads of classifiers: what stands behind the backbone's last map."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = (1024, 1024, 512)  # widths of the layers of `mlp`


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


class MLPHead(Head):
    """Four linear layers, 1024, 1024, 512 and the classes wide, with ReLU between; dropout behind
    the first.

    The head of a course's workflow in Keras: `GlobalAveragePooling2D`, `Dense(1024)`,
    `Dropout(.5)`, `Dense(1024)`, `Dense(512)`, `Dense(classes)`; weights start as Keras' `Dense` do
    (Glorot & Bengio 2010, AISTATS), biases at zero.
    """

    def __init__(self, channels: int, classes: int, dropout: float, normalize: bool) -> None:
        super().__init__(channels, classes, dropout, normalize)
        widths = [channels, *HIDDEN, classes]
        layers: list[nn.Module] = []
        for given, made in itertools.pairwise(widths):
            layers += [nn.Linear(given, made), nn.ReLU()]
        layers.pop()  # logits
        layers.insert(2, nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def behind_pool(self) -> list[nn.Module]:
        """See `Head`."""
        return list(self.layers)


HEADS: dict[str, type[Head]] = {"linear": LinearHead, "mlp": MLPHead}
"""By `classifier.head`."""
