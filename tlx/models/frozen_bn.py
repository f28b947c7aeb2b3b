"""Batch norm of blocks that train, frozen and folded into the convolution before it.

With statistics and affine parameters fixed, a batch norm is a constant scale of the convolution's
output channels. Scaling the weights instead saves two passes over the activations in every step;
the gradient reaches the unscaled weights through the product.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlx.models.cpu_bfloat16 import is_strided_depthwise
from tlx.models.fold import pairs


class ScaledConv2d(nn.Conv2d):
    """A convolution that applies the frozen batch norm `norm` behind it by scaling its weights."""

    folds = True  # see tlx.models.fold

    norm: tuple[nn.BatchNorm2d]  # in a tuple, so that it is not registered a second time

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W'), normalised."""
        (norm,) = self.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        if self.bias is not None:
            shift = shift + self.bias * scale
        weight = self.weight * scale.view(-1, 1, 1, 1)
        autocast = torch.is_autocast_enabled(x.device.type)
        if autocast and x.device.type == "cpu" and is_strided_depthwise(self):
            x, autocast = x.float(), False
        with torch.autocast(x.device.type, enabled=autocast):
            return F.conv2d(x, weight, shift, self.stride, self.padding, self.dilation, self.groups)


class AppliedBatchNorm2d(nn.BatchNorm2d):
    """A batch norm whose work `ScaledConv2d` has done; its parameters stay where they are."""

    def forward(self, x: Tensor) -> Tensor:
        """The activation only, where the layer applies one (timm's does)."""
        act = getattr(self, "act", None)
        return x if act is None else act(x)


def fold_frozen_batch_norm(module: nn.Module) -> None:
    """Fold every batch norm in `module` that follows a convolution (`fold.pairs`), in place.

    Only the layers' classes change: parameters, buffers and their names stay.
    """
    for parent, convolution, norm in list(pairs(module)):
        convolved, normalised = getattr(parent, convolution), getattr(parent, norm)
        convolved.__class__ = ScaledConv2d
        object.__setattr__(convolved, "norm", (normalised,))
        normalised.__class__ = AppliedBatchNorm2d
