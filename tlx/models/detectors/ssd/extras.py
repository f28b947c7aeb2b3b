"""SSD's extra feature maps, as blocks of the trunk behind the backbone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

# (1x1 reduction, 3x3 stride-2 output) channels of the four extra maps, as in mb1-ssd.
EXTRA_CHANNELS = ((256, 512), (128, 256), (128, 256), (128, 256))
EXTRA_NAMES = tuple(f"extra_{i}" for i in range(1, len(EXTRA_CHANNELS) + 1))


class ExtraBlock(nn.Module):
    """1x1 then 3x3 convolution, ReLU after each, no batch norm.

    Args:
        shrink: whether the second one halves the map (stride 2), or takes a border of one cell off
            (no padding), as the last two of SSD300 on VGG16 do.
    """

    def __init__(self, cin: int, middle: int, cout: int, *, shrink: bool = True) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(cin, middle, 1)
        stride, padding = (2, 1) if shrink else (1, 0)
        self.expand = nn.Conv2d(middle, cout, 3, stride=stride, padding=padding)
        # He initialisation (arXiv:1502.01852): four ReLU blocks deep, the maps keep their scale.
        for layer in (self.reduce, self.expand):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, ceil(H/2), ceil(W/2)), or H - 2 and W - 2."""
        return F.relu(self.expand(F.relu(self.reduce(x))))


def make_extras(cin: int) -> nn.ModuleDict:
    """The four extra blocks on top of the backbone's last map."""
    blocks = {}
    for name, (middle, cout) in zip(EXTRA_NAMES, EXTRA_CHANNELS, strict=True):
        blocks[name] = ExtraBlock(cin, middle, cout)
        cin = cout
    return nn.ModuleDict(blocks)
