"""SSD on MobileNet in the shapes of TensorFlow's Object Detection API, for its checkpoints.

It differs from `ssd` in the extra maps, which have batch norm, in 1x1 heads, in sigmoids instead of
one softmax, and in the anchors. The coding of boxes is the same: TensorFlow's `FasterRcnnBoxCoder`
with scale factors 10, 10, 5, 5 is SSD's with variances .1 and .2.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tlx.common.errors import ConfigError
from tlx.models.backbones import mobilenet_v1, mobilenet_v2
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.detector import Detector, Raw, Targets, register
from tlx.models.detectors.ssd.boxes import decode
from tlx.models.detectors.ssd.export_parts import ExportHeads
from tlx.models.detectors.ssd.heads import EXTRA_NAMES, Heads, initialize_heads
from tlx.models.detectors.ssd.loss import multibox_loss
from tlx.models.detectors.ssd.priors import cells_of_maps
from tlx.models.detectors.ssd.ssd import describe_boxes
from tlx.models.detectors.ssd_tf.anchors import make_anchors, shapes_of_maps
from tlx.models.detectors.ssd_tf.parts import (
    EXTRA_CHANNELS,
    SigmoidDecoder,
    make_extras,
    sigmoid_cross_entropy,
)

# The taps of the Object Detection API: of MobileNetV1 those of `ssd`, of V2 an expansion.
_BACKBONES = {spec.name: spec for spec in (mobilenet_v1.SPEC, mobilenet_v2.EXPANDED)}


@register
class TFSSD(Detector):
    """SSD with six maps, 1x1 heads, sigmoid scores and TensorFlow's anchors.

    Its loss is that of TensorFlow's `ssd_mobilenet_v{1,2}_coco.config`: a sigmoid cross entropy of
    each class and smooth L1, three hard negatives a positive, both over the number of positives.
    TensorFlow chooses the negatives after a suppression of boxes that overlap by .99; here that
    step is left out.
    """

    name = "ssd_tf"
    own_blocks = EXTRA_NAMES
    least_batch = 2  # the last map is one cell, and has batch norm
    # Boxes are of no class: those of a detector of other classes are a start.
    head_groups = ("heads.classify.", "heads.regress.")
    heads: Heads

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        super().__init__(spec, conventions, classes, input_size)
        self.extras = make_extras(self.backbone.channels[-1], conventions)
        taps, blocks = self.backbone.taps, len(self.backbone.blocks)
        channels = [self.backbone.channels[t] for t in taps] + [c for _, c in EXTRA_CHANNELS]
        anchors = [len(shapes) for shapes in shapes_of_maps(len(channels))]
        self.heads = Heads(channels, classes + 1, anchors=anchors, kernel=1)
        initialize_heads(self.heads)
        self.taps = {*taps, *range(blocks, blocks + len(self.extras))}
        strides = (self.backbone.strides[t] for t in taps)
        priors = make_anchors(cells_of_maps(input_size, strides, len(self.extras)))
        self.register_buffer("priors", priors, persistent=False)
        self._complete()

    @classmethod
    def backbone_for(cls, spec: BackboneSpec) -> BackboneSpec:
        """MobileNetV1 as it is, MobileNetV2 with the tapped expansion as a block."""
        if spec.name not in _BACKBONES:
            raise ConfigError(
                f"detector={cls.name} stands on {' or '.join(_BACKBONES)}, not on {spec.name}: "
                "detector=ssd takes any backbone"
            )
        return _BACKBONES[spec.name]

    def loss(
        self, maps: list[Tensor], targets: Targets, *, min_negatives: int = 0
    ) -> dict[str, Tensor]:
        """The multibox loss with a sigmoid for each class."""
        logits, offsets = self.heads(maps)
        return multibox_loss(
            logits, offsets, targets, self.priors,
            min_negatives=min_negatives, cross_entropy=sigmoid_cross_entropy,
        )  # fmt: skip

    def decode(self, raw: Raw) -> tuple[Tensor, Tensor]:
        """A sigmoid for each class, and offsets from the anchors."""
        logits, offsets = raw
        return logits.float().sigmoid(), decode(offsets.float(), self.priors)

    def export_parts(self) -> tuple[nn.Module, nn.Module]:
        """Convolutions row by row; the arithmetic of sigmoids and box decoding."""
        return ExportHeads(self.heads), SigmoidDecoder(self.priors)

    def describe(self) -> dict[str, Any]:
        """As `ssd`, and that the scores do not sum to 1."""
        form = {"score_form": "a sigmoid for each class, column 0 is the background"}
        return describe_boxes(self.priors) | form
