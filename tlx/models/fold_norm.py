"""Batch norms and changes of scale as convolutions, which every runtime knows and quantises."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def as_convolution(norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A batch norm with no convolution before it: as one, which every runtime quantises."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    return depthwise(scale, norm.bias.detach() - norm.running_mean * scale)


def depthwise(scale: Tensor, shift: Tensor) -> nn.Conv2d:
    """`scale * x + shift` for each channel."""
    channels = len(scale)
    layer = nn.Conv2d(channels, channels, 1, groups=channels)
    layer.weight.data = scale.clone().view(-1, 1, 1, 1)
    layer.bias = nn.Parameter(shift.clone())
    return layer
