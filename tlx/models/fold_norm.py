"""Batch norms and changes of scale as convolutions, which every runtime knows and quantises."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def as_convolution(norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A batch norm with no convolution before it: as one, which every runtime quantises."""
    return depthwise(*_affine(norm))


def normed_first(norm: nn.BatchNorm2d, convolution: nn.Conv2d) -> nn.Conv2d:
    """A 1x1 convolution that does the work of the batch norm before it too: it pads nothing."""
    assert convolution.kernel_size == (1, 1)
    assert convolution.groups == convolution.stride[0] == 1
    scale, shift = _affine(norm)
    both = nn.Conv2d(convolution.in_channels, convolution.out_channels, 1)
    weight = convolution.weight.detach()
    both.weight.data = weight * scale.view(1, -1, 1, 1)
    moved = weight[:, :, 0, 0] @ shift
    both.bias = nn.Parameter(moved if convolution.bias is None else convolution.bias + moved)
    return both.requires_grad_(False)


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift of each channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias.detach() - norm.running_mean * scale


def depthwise(scale: Tensor, shift: Tensor) -> nn.Conv2d:
    """`scale * x + shift` for each channel."""
    channels = len(scale)
    layer = nn.Conv2d(channels, channels, 1, groups=channels)
    layer.weight.data = scale.clone().view(-1, 1, 1, 1)
    layer.bias = nn.Parameter(shift.clone())
    return layer
