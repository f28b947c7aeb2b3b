"""Layers that necks, extras and heads are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tlx.models.fold import folded
from tlx.models.fold_norm import normed_first


class MapNorm(nn.BatchNorm2d):
    """A batch norm that takes its stored statistics where a map has one value a channel.

    The deepest map is one pixel, so that a batch of one picture has nothing to take them from.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class Projection(nn.Module):
    """A map normalised, projected to `width` channels, normalised again.

    Maps of a backbone that was not made for what reads them differ in scale by an order of
    magnitude and have few directions that matter: 3x3 heads on them alone are starved, most of all
    where the backbone is frozen and cannot adapt (Vasconcelos et al. 2022, arXiv:2204.00484, find
    frozen backbones as good as trained ones where the parts behind them have capacity).

    Args:
        norm_first: without it the map is projected as it is.
    """

    def __init__(self, channels: int, width: int, *, norm_first: bool = True) -> None:
        super().__init__()
        self.norm = MapNorm(channels) if norm_first else nn.Identity()
        self.project = nn.Conv2d(channels, width, 1, bias=False)
        self.project_norm = MapNorm(width)
        nn.init.kaiming_normal_(self.project.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, width, H, W)."""
        return self.project_norm(self.project(self.norm(x)))

    def exported(self) -> nn.Module:
        """One convolution, with both batch norms in it."""
        convolution = folded(self).project
        assert isinstance(convolution, nn.Conv2d)
        if isinstance(self.norm, nn.BatchNorm2d):
            convolution = normed_first(self.norm, convolution)
        return convolution


class Hidden(Projection):
    """A projection with a ReLU: a hidden layer before the heads."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, width, H, W)."""
        return F.relu(super().forward(x))

    def exported(self) -> nn.Module:
        """One convolution and a ReLU."""
        return nn.Sequential(super().exported(), nn.ReLU())


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU6; a separable one is a 3x3 depthwise and a 1x1 convolution.

    Of a separable one only the 1x1 is followed by norm and activation, as in TensorFlow's
    `separable_conv2d`.
    """

    def __init__(
        self, cin: int, cout: int, *, stride: int = 1, separable: bool = False, eps: float = 1e-3
    ) -> None:
        super().__init__()
        self.depthwise = (
            nn.Conv2d(cin, cin, 3, stride, 1, groups=cin, bias=False)
            if separable
            else nn.Identity()
        )
        kernel, stride = (1, 1) if separable else (3, stride)
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.bn = MapNorm(cout, eps=eps)
        self.act = nn.ReLU6()
        for layer in (self.depthwise, self.conv):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, ceil(H/stride), ceil(W/stride))."""
        return self.act(self.bn(self.conv(self.depthwise(x))))


class L2Scale(nn.Module):
    """Each pixel's channels brought to norm 1, then scaled by learned factors that start at 20.

    For maps whose scale the heads could not follow: conv4_3 of VGG16 (Liu et al. 2016, sec. 3.1,
    after Liu et al. 2015, arXiv:1506.04579).
    """

    def __init__(self, channels: int, scale: float = 20.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(Tensor(channels).fill_(scale))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.scale.view(1, -1, 1, 1) * F.normalize(x)
