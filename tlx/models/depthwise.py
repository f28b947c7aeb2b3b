"""Strided depthwise convolutions stay in float32 under autocast on a CPU.

oneDNN's bfloat16 backward pass of a strided depthwise convolution is 10 to 50 times slower than its
float32 one and would eat all that reduced precision gains elsewhere.
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


def keep_strided_depthwise_in_float32(module: nn.Module) -> None:
    """Turn the strided depthwise convolutions in `module` into `Float32Conv2d`, in place.

    The class changes and nothing else: parameters, their names and the hooks stay.
    """
    for layer in module.modules():
        if type(layer) is nn.Conv2d and is_strided_depthwise(layer):
            layer.__class__ = Float32Conv2d


def is_strided_depthwise(layer: nn.Conv2d) -> bool:
    """Whether a convolution is depthwise and lowers the resolution."""
    return layer.groups == layer.in_channels > 1 and max(layer.stride) > 1
