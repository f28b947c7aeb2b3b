"""What stays in float32 under autocast on a CPU, because oneDNN's bfloat16 is slow or wrong there.

Its backward pass of a strided depthwise convolution is 10 to 50 times slower than in float32 and
would eat all that reduced precision gains elsewhere. Of a strided 3x3 convolution of one cell, the
gradient of the eight weights that only see padding is whatever was in memory (up to 1e37, or no
number; torch 2.14): the last extra map has such an input at 160 px.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Float32Conv2d(nn.Conv2d):
    """A convolution that computes in float32 whatever autocast says."""

    folds = True  # see tlx.models.fold

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W'); float32 where autocast would have chosen otherwise."""
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class StridedConv2d(nn.Conv2d):
    """A strided convolution that computes in float32 where its input is one cell."""

    folds = True  # see tlx.models.fold

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        if x.shape[2] * x.shape[3] > 1 or not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def keep_in_float32(module: nn.Module) -> None:
    """Turn strided convolutions in `module` into `Float32Conv2d` or `StridedConv2d`, in place.

    The class changes and nothing else: parameters, their names and the hooks stay.
    """
    for layer in module.modules():
        if type(layer) is not nn.Conv2d:
            continue
        if is_strided_depthwise(layer):
            layer.__class__ = Float32Conv2d
        elif max(layer.stride) > 1 and max(layer.kernel_size) > 1:
            layer.__class__ = StridedConv2d


def is_strided_depthwise(layer: nn.Conv2d) -> bool:
    """Whether a convolution is depthwise and lowers the resolution."""
    return layer.groups == layer.in_channels > 1 and max(layer.stride) > 1
