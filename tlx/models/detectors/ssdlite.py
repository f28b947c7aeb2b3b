"""SSDLite (Sandler et al. 2018, arXiv:1801.04381, sec. 6.2), as torchvision builds it.

SSD with depthwise separable convolutions behind the backbone, which is tapped inside of the block
that goes to stride 32 (its expansion) and at its last convolution.
`torchvision.models.detection.ssdlite320_mobilenet_v3_large` is this detector on
`mobilenet_v3_large_reduced` at 320 px.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from tlx.models.backbones import mobilenet_v2, mobilenet_v3
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.detector import register
from tlx.models.detectors.ssd.default_boxes import default_boxes
from tlx.models.detectors.ssd.extras import EXTRA_NAMES
from tlx.models.detectors.ssd.heads import Heads, Separable
from tlx.models.detectors.ssd.layers import MapNorm
from tlx.models.detectors.ssd.multibox import MultiBox

_CHANNELS = (512, 256, 256, 128)  # of the extra maps
_RATIOS = [[2, 3]] * (2 + len(_CHANNELS))
_SCALES = (0.2, 0.95)  # of the smallest and the largest boxes

# Backbones with the tapped expansion as a block of its own; others are tapped where they say.
_EXPANDED = {
    spec.name: spec
    for spec in (
        mobilenet_v2.EXPANDED,
        mobilenet_v3.LARGE_EXPANDED,
        mobilenet_v3.LARGE_REDUCED_EXPANDED,
        mobilenet_v3.SMALL_EXPANDED,
    )
}


def _extra_block(cin: int, cout: int) -> nn.Sequential:
    """1x1 to half of `cout`, 3x3 depthwise of stride 2, 1x1; each with batch norm and ReLU6."""
    from torchvision.ops.misc import Conv2dNormActivation

    layer = partial(
        Conv2dNormActivation,
        norm_layer=partial(MapNorm, eps=0.001, momentum=0.03), activation_layer=nn.ReLU6,
    )  # fmt: skip
    middle = cout // 2
    block = nn.Sequential(
        layer(cin, middle, kernel_size=1),
        layer(middle, middle, kernel_size=3, stride=2, groups=middle),
        layer(middle, cout, kernel_size=1),
    )
    for convolution in block.modules():
        if isinstance(convolution, nn.Conv2d):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return block


@register
class SSDLite(MultiBox):
    """SSD with six maps and separable convolutions, in torchvision's shapes and default boxes."""

    name = "ssdlite"
    own_blocks = EXTRA_NAMES
    # Boxes are of no class: those of a detector of other classes are a start.
    head_groups = ("heads.norms.", "heads.classify.", "heads.regress.")

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

        super().__init__(spec, conventions, classes, input_size)
        extras, cin = nn.ModuleDict(), self.backbone.channels[-1]
        for name, cout in zip(EXTRA_NAMES, _CHANNELS, strict=True):
            extras[name] = _extra_block(cin, cout)
            cin = cout
        channels = self._stack(extras, _CHANNELS)
        boxes = DefaultBoxGenerator(_RATIOS, min_ratio=_SCALES[0], max_ratio=_SCALES[1])
        linear = len(self.backbone.taps) if self.backbone.linear_taps else 0
        norms = [MapNorm(c) for c in channels[:linear]]
        heads = Heads(
            channels, classes + 1, boxes.num_anchors_per_location(), Separable,
            norms=norms,
        )  # fmt: skip
        self._assemble(heads, default_boxes(boxes, input_size, self._cells()))

    @classmethod
    def backbone_for(cls, spec: BackboneSpec) -> BackboneSpec:
        """With the tapped expansion as a block, where there is one."""
        return _EXPANDED.get(spec.name, spec)
