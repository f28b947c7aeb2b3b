"""SSDLite on MobileNetV2 as pytorch-ssd and jetson-inference train it (mb2-ssd-lite).

Six maps: the expansion inside of the block that goes to stride 32, the last convolution, and four
inverted residuals. The priors are those of mb1-ssd. Sources: `vision/ssd/mobilenet_v2_ssd_lite.py`
and `vision/nn/mobilenet_v2.py` of pytorch-ssd.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from tlx.common.errors import ConfigError
from tlx.models.backbones import mobilenet_v2
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.detector import register
from tlx.models.detectors.ssd.extras import EXTRA_NAMES
from tlx.models.detectors.ssd.heads import Heads, Separable
from tlx.models.detectors.ssd.layers import MapNorm
from tlx.models.detectors.ssd.multibox import MultiBox
from tlx.models.detectors.ssd.priors import ANCHORS_PER_CELL, make_priors

_EXTRAS = ((512, 0.2), (256, 0.25), (256, 0.5), (64, 0.25))  # channels, share that is "expanded"
_SEPARABLE = partial(Separable, bias=True, eps=1e-5, momentum=0.1)


def _predictor(cin: int, cout: int) -> nn.Module:
    """Separable, but for the last map: one cell, which a 1x1 convolution reads as well."""
    return nn.Conv2d(cin, cout, 1) if cin == _EXTRAS[-1][0] else _SEPARABLE(cin, cout)


@register
class MB2SSDLite(MultiBox):
    """SSDLite with six maps on MobileNetV2, in the shapes and with the priors of pytorch-ssd."""

    name = "mb2_ssd_lite"
    own_blocks = EXTRA_NAMES
    # Boxes are of no class: those of a detector of other classes are a start.
    head_groups = ("heads.classify.", "heads.regress.")

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        from torchvision.models.mobilenetv2 import InvertedResidual  # only what builds it needs it

        super().__init__(spec, conventions, classes, input_size)
        extras, cin = nn.ModuleDict(), self.backbone.channels[-1]
        for name, (cout, share) in zip(EXTRA_NAMES, _EXTRAS, strict=True):
            # The last maps may be one cell.
            extras[name] = InvertedResidual(cin, cout, 2, share, norm_layer=MapNorm)
            cin = cout
        for layer in extras.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        channels = self._stack(extras, [cout for cout, _ in _EXTRAS])
        heads = Heads(channels, classes + 1, [ANCHORS_PER_CELL] * len(channels), _predictor)
        self._assemble(heads, make_priors(input_size, self._cells()))

    @classmethod
    def backbone_for(cls, spec: BackboneSpec) -> BackboneSpec:
        """MobileNetV2 only, with the tapped expansion as a block."""
        if spec.name != mobilenet_v2.SPEC.name:
            raise ConfigError(
                f"detector={cls.name} stands on {mobilenet_v2.SPEC.name}, not on {spec.name}: "
                "detector=ssdlite320 takes any backbone"
            )
        return mobilenet_v2.EXPANDED
