"""SSD (Liu et al. 2016) on a backbone of named blocks; its trunk ends with the extra maps."""

from __future__ import annotations

import hashlib
from typing import Any

from torch import Tensor, nn

from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.detector import Detector, Raw, Targets, register
from tlx.models.detectors.ssd.boxes import CENTER_VARIANCE, SIZE_VARIANCE, decode
from tlx.models.detectors.ssd.export_parts import ExportDecoder, ExportHeads
from tlx.models.detectors.ssd.heads import (
    EXTRA_CHANNELS,
    EXTRA_NAMES,
    Heads,
    initialize_extras,
    initialize_heads,
    make_extras,
)
from tlx.models.detectors.ssd.loss import multibox_loss
from tlx.models.detectors.ssd.priors import cells_of_maps, make_priors

HEADS = ("ssd", "hidden")


@register
class SSD(Detector):
    """SSD with six maps, 3x3 heads and the priors of mb1-ssd.

    Args:
        head: `ssd`: on the maps as they are; `hidden`: on a hidden layer of `width` channels.
    """

    name = "ssd"
    own_blocks = EXTRA_NAMES
    options = ("head", "width")
    heads: Heads

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int,
        head: str = "ssd", width: int = 128,
    ) -> None:  # fmt: skip
        super().__init__(spec, conventions, classes, input_size)
        if head not in HEADS:
            raise ValueError(f"detector.head={head} is none of {', '.join(HEADS)}")
        self.built_with = {"head": head} | ({"width": width} if head == "hidden" else {})
        self.extras = make_extras(self.backbone.channels[-1])
        taps = self.backbone.taps
        channels = [self.backbone.channels[t] for t in taps] + [c for _, c in EXTRA_CHANNELS]
        normalize = len(taps) if self.backbone.linear_taps else 0
        self.heads = Heads(channels, classes + 1, normalize, width if head == "hidden" else 0)
        blocks = len(self.backbone.blocks)
        self.taps = {*taps, *range(blocks, blocks + len(self.extras))}
        initialize_extras(self.extras)
        initialize_heads(self.heads)
        # Priors follow from configuration, so checkpoints do not carry them.
        strides = (self.backbone.strides[t] for t in taps)
        priors = make_priors(input_size, cells_of_maps(input_size, strides, len(self.extras)))
        self.register_buffer("priors", priors, persistent=False)
        self._complete()

    def loss(
        self, maps: list[Tensor], targets: Targets, *, min_negatives: int = 0
    ) -> dict[str, Tensor]:
        """The multibox loss."""
        logits, offsets = self.heads(maps)
        return multibox_loss(logits, offsets, targets, self.priors, min_negatives=min_negatives)

    def decode(self, raw: Raw) -> tuple[Tensor, Tensor]:
        """Softmax, and offsets from the priors."""
        logits, offsets = raw
        return logits.float().softmax(-1), decode(offsets.float(), self.priors)

    def export_parts(self) -> tuple[nn.Module, nn.Module]:
        """Convolutions row by row; the arithmetic of softmax and box decoding."""
        return ExportHeads(self.heads), ExportDecoder(self.priors)

    def describe(self) -> dict[str, Any]:
        """Priors by digest, and the variances of the box coding."""
        return describe_boxes(self.priors)


def describe_boxes(priors: Tensor) -> dict[str, Any]:
    """What decodes the offsets of an SSD, in plain values."""
    digest = hashlib.sha256(priors.cpu().numpy().astype("<f4").tobytes()).hexdigest()
    return {
        "priors": {"count": len(priors), "sha256": digest},
        "variances": [CENTER_VARIANCE, SIZE_VARIANCE],
    }
