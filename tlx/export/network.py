"""The detector as one plain feed-forward module, as every exporter wants it.

Batch norm folded, batch of one, no branches, no shapes computed in the graph, constants for the
priors: what remains are convolutions, activations and the arithmetic of softmax and box decoding,
which the oldest supported runtime (TensorRT 7.1, opset 11) parses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlx.models.detector import Detector
from tlx.models.fold_norm import depthwise
from tlx.models.inference import for_inference, run_blocks
from tlx.models.normalisation import Normalisation


class ExportNetwork(nn.Module):
    """Softmax scores and decoded boxes of all priors, from one normalised picture.

    Args:
        normalisation: of the input that will be fed. Where it is not the detector's own, the graph
            begins with the change from one to the other, which is exact also at the borders.
        half: weights and activations in float16; input, softmax, decoding and outputs in float32,
            because corners of boxes need more than 11 bits.
    """

    def __init__(
        self, detector: Detector, normalisation: Normalisation, half: bool = False
    ) -> None:
        super().__init__()
        self.half_precision = half
        own = Normalisation.of(detector)
        self.adapt = nn.Identity() if normalisation == own else change(normalisation, own)
        self.taps = sorted(detector.taps)
        self.blocks = nn.ModuleList(for_inference(block) for _, block in detector.trunk())
        self.heads, decoder = detector.export_parts()
        self.eval().requires_grad_(False).cpu().to(memory_format=torch.contiguous_format)
        if half:
            self.half()
        self.decoder = decoder.eval().requires_grad_(False).cpu()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (1, 3, S, S) -> scores (1, P, C), unclipped corner-form boxes (1, P, 4)."""
        x = self.adapt(x.half() if self.half_precision else x)
        logits, boxes = self.heads(run_blocks(self.blocks, self.taps, x))
        if self.half_precision:
            logits, boxes = logits.float(), boxes.float()
        scores, corners = self.decoder(logits, boxes)
        return scores, corners


def change(fed: Normalisation, wanted: Normalisation) -> nn.Conv2d:
    """Input normalised one way -> the other way, as a 1x1 depthwise convolution."""
    scale = torch.tensor([f / w for f, w in zip(fed.std, wanted.std, strict=True)])
    means = zip(fed.mean, wanted.mean, wanted.std, strict=True)
    return depthwise(scale, torch.tensor([(f - w) / s for f, w, s in means]))
