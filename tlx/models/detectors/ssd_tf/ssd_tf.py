"""SSD on MobileNet in the shapes of TensorFlow's Object Detection API, for its checkpoints.

It differs from `ssd` in the extra maps, which have batch norm, in 1x1 heads, in sigmoids instead of
one softmax, and in the anchors. The coding of boxes is the same: TensorFlow's `FasterRcnnBoxCoder`
with scale factors 10, 10, 5, 5 is SSD's with variances .1 and .2.
"""

from __future__ import annotations

from tlx.common.errors import ConfigError
from tlx.models.backbones import mobilenet_v1, mobilenet_v2
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.detector import register
from tlx.models.detectors.ssd.extras import EXTRA_NAMES
from tlx.models.detectors.ssd.heads import Heads, convolution
from tlx.models.detectors.ssd.multibox import MultiBox
from tlx.models.detectors.ssd.scores import SIGMOID
from tlx.models.detectors.ssd_tf.anchors import make_anchors, shapes_of_maps
from tlx.models.detectors.ssd_tf.parts import EXTRA_CHANNELS, make_extras

# The taps of the Object Detection API: of MobileNetV1 those of `ssd`, of V2 an expansion.
_BACKBONES = {spec.name: spec for spec in (mobilenet_v1.SPEC, mobilenet_v2.EXPANDED)}


@register
class TFSSD(MultiBox):
    """SSD with six maps, 1x1 heads, sigmoid scores and TensorFlow's anchors.

    Its loss is that of TensorFlow's `ssd_mobilenet_v{1,2}_coco.config`: a sigmoid cross entropy of
    each class and smooth L1, three hard negatives a positive, both over the number of positives.
    TensorFlow chooses the negatives after a suppression of boxes that overlap by .99; here that
    step is left out.
    """

    name = "ssd_tf"
    own_blocks = EXTRA_NAMES
    scores = SIGMOID
    # Boxes are of no class: those of a detector of other classes are a start.
    head_groups = ("heads.classify.", "heads.regress.")

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        super().__init__(spec, conventions, classes, input_size)
        extras = make_extras(self.backbone.channels[-1], conventions)
        channels = self._stack(extras, [c for _, c in EXTRA_CHANNELS])
        anchors = [len(shapes) for shapes in shapes_of_maps(len(channels))]
        heads = Heads(channels, classes + 1, anchors, convolution(1))
        self._assemble(heads, make_anchors(self._cells()))

    @classmethod
    def backbone_for(cls, spec: BackboneSpec) -> BackboneSpec:
        """MobileNetV1 as it is, MobileNetV2 with the tapped expansion as a block."""
        if spec.name not in _BACKBONES:
            raise ConfigError(
                f"detector={cls.name} stands on {' or '.join(_BACKBONES)}, not on {spec.name}: "
                "detector=ssd takes any backbone"
            )
        return _BACKBONES[spec.name]
