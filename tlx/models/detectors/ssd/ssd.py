"""SSD (Liu et al. 2016) on a backbone of named blocks; its trunk ends with the extra maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.detectors.ssd.boxes import decode
from tlx.models.detectors.ssd.heads import (
    EXTRA_CHANNELS,
    EXTRA_NAMES,
    Heads,
    initialize_extras,
    initialize_heads,
    make_extras,
)
from tlx.models.detectors.ssd.postprocess import Detections, select_all
from tlx.models.detectors.ssd.priors import make_priors
from tlx.models.trunk import TrunkNetwork


class SSD(TrunkNetwork):
    """A detector for `classes` (background not counted) on square inputs of `input_size` pixels."""

    priors: Tensor

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        super().__init__(spec, conventions, input_size)
        self.extras = make_extras(self.backbone.channels[-1])
        taps = self.backbone.taps
        channels = [self.backbone.channels[t] for t in taps] + [c for _, c in EXTRA_CHANNELS]
        self.heads = Heads(channels, classes + 1, len(taps) if self.backbone.linear_taps else 0)
        blocks = len(self.backbone.blocks)
        self.taps = {*taps, *range(blocks, blocks + len(self.extras))}
        initialize_extras(self.extras)
        initialize_heads(self.heads)
        # Priors follow from configuration, so checkpoints do not carry them.
        priors = make_priors(input_size, self._cells())
        self.register_buffer("priors", priors, persistent=False)
        self._complete()

    def _cells(self) -> list[int]:
        """Cells per side of each tapped map: every stride-2 convolution halves, rounding up."""
        sides, side = [], self.input_size
        for stride in (self.backbone.strides[t] for t in self.backbone.taps):
            side = self.input_size
            while stride > 1:
                side, stride = -(-side // 2), stride // 2
            sides.append(side)
        for _ in EXTRA_NAMES:
            side = -(-side // 2)
            sides.append(side)
        return sides

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised input (N, 3, S, S) -> logits (N, P, classes + 1), offsets (N, P, 4)."""
        return self.heads(self.features(x))

    @torch.no_grad()
    def raw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised input -> softmax scores (N, P, C), unclipped corner-form boxes (N, P, 4).

        In full precision, also under autocast: figures belong to the weights, not to the run.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self._decoded(*self(x))

    def _decoded(self, logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        return logits.float().softmax(-1), decode(offsets.float(), self.priors)

    def detect(self, images: Tensor, **options: Any) -> list[Detections]:
        """RGB images (N, 3, S, S) in 0..255 -> detections per image, after per-class NMS.

        Args:
            options: of `tlx.models.detectors.ssd.postprocess.select_all`.
        """
        return select_all(*self.raw(self.normalize(images)), **options)

    @torch.no_grad()
    def detect_from(self, outputs: list[Tensor], **options: Any) -> list[Detections]:
        """`detect`, from what `eval_outputs` returned for the normalised images."""
        with torch.autocast(outputs[-1].device.type, enabled=False):
            return select_all(*self._decoded(*self.heads(self.eval_maps(outputs))), **options)
