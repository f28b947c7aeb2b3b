"""The blocks behind the backbone, and the scores, of TensorFlow's SSD."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlx.models.backbones.base import Conventions
from tlx.models.backbones.mobilenet_v1 import ConvBN
from tlx.models.detectors.ssd.export_parts import ExportDecoder
from tlx.models.detectors.ssd.heads import EXTRA_NAMES

# (1x1 reduction, 3x3 stride-2 output) channels: `multi_resolution_feature_maps` in
# `models/feature_map_generators.py`, of layer depths 512, 256, 256, 128.
EXTRA_CHANNELS = ((256, 512), (128, 256), (128, 256), (64, 128))


class ExtraBlock(nn.Module):
    """1x1 then 3x3 stride-2 convolution, each with batch norm and activation."""

    def __init__(self, cin: int, middle: int, cout: int, conventions: Conventions) -> None:
        super().__init__()
        self.reduce = ConvBN(cin, middle, 1, 1, 1, conventions)
        self.expand = ConvBN(middle, cout, 3, 2, 1, conventions)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) -> (N, cout, ceil(H/2), ceil(W/2))."""
        return self.expand(self.reduce(x))


def make_extras(cin: int, conventions: Conventions) -> nn.ModuleDict:
    """The four extra blocks on top of the backbone's last map, He-initialised."""
    blocks = nn.ModuleDict()
    for name, (middle, cout) in zip(EXTRA_NAMES, EXTRA_CHANNELS, strict=True):
        blocks[name] = ExtraBlock(cin, middle, cout, conventions)
        cin = cout
    for layer in blocks.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return blocks


def sigmoid_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Every class by itself, the background too, summed over the classes.

    `WeightedSigmoidClassificationLoss` in `core/losses.py`; the target of a prior without an object
    is the background (`unmatched_class_label` in `meta_architectures/ssd_meta_arch.py`).
    """
    wanted = F.one_hot(labels, logits.shape[2]).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(2)


class SigmoidDecoder(ExportDecoder):
    """A sigmoid for each class, and box decoding."""

    def scores(self, logits: Tensor) -> Tensor:
        """Of all classes, the background first; they do not sum to 1."""
        return torch.sigmoid(logits)
