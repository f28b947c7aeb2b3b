"""SSD300 of the paper (Liu et al. 2016, arXiv:1512.02325), as `torchvision`'s `ssd300_vgg16`.

Its backbone is tapped at strides 8 (conv4_3, under an L2 norm with learned scales) and 16 (fc7);
the last two of the four extra maps lose their border instead of being halved.
"""

from __future__ import annotations

from torch import nn

from tlx.common.errors import ConfigError
from tlx.models.backbones import vgg16
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.detector import register
from tlx.models.detectors.ssd.default_boxes import default_boxes
from tlx.models.detectors.ssd.extras import ExtraBlock
from tlx.models.detectors.ssd.heads import Heads, convolution
from tlx.models.detectors.ssd.layers import L2Scale
from tlx.models.detectors.ssd.multibox import MultiBox

# (1x1 reduction, 3x3 output) channels, whether the 3x3 halves: conv8 ... conv11.
_EXTRAS = ((256, 512, True), (128, 256, True), (128, 256, False), (128, 256, False))
# Names of their own: blocks of `ssd` have the same shapes and other strides, and are no start.
NAMES = ("conv8", "conv9", "conv10", "conv11")
_RATIOS = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
_SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]
_STEPS_300 = [8, 16, 32, 64, 100, 300]
_LEAST_SIZE = 257  # below it the last map vanishes


@register
class SSDVGG(MultiBox):
    """SSD with six maps and 3x3 heads on VGG-16."""

    name = "ssd_vgg"
    own_blocks = NAMES
    # Boxes are of no class: those of a detector of other classes are a start.
    head_groups = ("heads.norms.", "heads.classify.", "heads.regress.")

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

        super().__init__(spec, conventions, classes, input_size)
        if input_size < _LEAST_SIZE:
            raise ConfigError(
                f"detector.input_size={input_size}: the last map of detector={self.name} vanishes "
                f"below {_LEAST_SIZE}"
            )
        cells, extras, cin = self._cells(), nn.ModuleDict(), self.backbone.channels[-1]
        for name, (middle, cout, halve) in zip(NAMES, _EXTRAS, strict=True):
            extras[name] = ExtraBlock(cin, middle, cout, shrink=halve)
            cin = cout
            cells.append(-(-cells[-1] // 2) if halve else cells[-1] - 2)
        channels = self._stack(extras, [cout for _, cout, _ in _EXTRAS])
        boxes = DefaultBoxGenerator(
            _RATIOS, scales=_SCALES, steps=_STEPS_300 if input_size == 300 else None
        )
        heads = Heads(
            channels, classes + 1, boxes.num_anchors_per_location(), convolution(3),
            norms=[L2Scale(channels[0])],
        )  # fmt: skip
        self._assemble(heads, default_boxes(boxes, input_size, cells))

    @classmethod
    def backbone_for(cls, spec: BackboneSpec) -> BackboneSpec:
        """VGG-16 only."""
        if spec.name != vgg16.SPEC.name:
            raise ConfigError(
                f"detector={cls.name} stands on {vgg16.SPEC.name}, not on {spec.name}: "
                "detector=ssd takes any backbone"
            )
        return spec
