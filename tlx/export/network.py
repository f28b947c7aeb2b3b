"""The detector as one plain feed-forward module, as every exporter wants it.

Batch norm folded, batch of one, no branches, no shapes computed in the graph, constants for the
priors: what remains are convolutions, activations and the arithmetic of softmax and box decoding,
which the oldest supported runtime (TensorRT 7.1, opset 11) parses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlx.models.detectors.ssd.boxes import CENTER_VARIANCE, SIZE_VARIANCE
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.fold import folded
from tlx.models.normalisation import Normalisation


class ExportNetwork(nn.Module):
    """Softmax scores and decoded boxes of all priors, from one normalised picture.

    Args:
        normalisation: of the input that will be fed. Where it is not the detector's own, the graph
            begins with the change from one to the other, which is exact also at the borders.
        half: weights and activations in float16; input, softmax, decoding and outputs in float32,
            because corners of boxes need more than 11 bits.
    """

    centre: Tensor
    centre_scale: Tensor
    half_size: Tensor

    def __init__(self, detector: SSD, normalisation: Normalisation, half: bool = False) -> None:
        super().__init__()
        self.half_precision = half
        self.classes = detector.heads.classes
        own = Normalisation.of(detector)
        self.adapt = nn.Identity() if normalisation == own else change(normalisation, own)
        self.taps = sorted(detector.taps)
        self.blocks = nn.ModuleList(folded(block) for _, block in detector.trunk())
        heads = detector.heads
        self.norms = nn.ModuleList(_as_convolution(norm) for norm in heads.norms)
        self.classify = folded(heads.classify)
        self.regress = folded(heads.regress)
        self.eval().requires_grad_(False).cpu().to(memory_format=torch.contiguous_format)
        if half:
            self.half()
        priors = detector.priors.detach().cpu()
        self.register_buffer("centre", priors[None, :, :2].clone())
        self.register_buffer("centre_scale", CENTER_VARIANCE * priors[None, :, 2:])
        self.register_buffer("half_size", priors[None, :, 2:] / 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (1, 3, S, S) -> scores (1, P, C), unclipped corner-form boxes (1, P, 4)."""
        x = self.adapt(x.half() if self.half_precision else x)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                maps.append(x)
        for index, norm in enumerate(self.norms):
            maps[index] = norm(maps[index])
        logits = self._rows(self.classify, maps, self.classes)
        offsets = self._rows(self.regress, maps, 4)
        if self.half_precision:
            logits, offsets = logits.float(), offsets.float()
        centres = offsets[:, :, :2] * self.centre_scale + self.centre
        halves = torch.exp(offsets[:, :, 2:] * SIZE_VARIANCE) * self.half_size
        return torch.softmax(logits, 2), torch.cat([centres - halves, centres + halves], 2)

    def _rows(self, heads: nn.Module, maps: list[Tensor], width: int) -> Tensor:
        """Row, column, anchor of every map: (1, P, width)."""
        rows = [
            head(x).permute(0, 2, 3, 1).reshape(1, -1, width)
            for head, x in zip(heads.children(), maps, strict=True)
        ]
        return torch.cat(rows, 1)


def change(fed: Normalisation, wanted: Normalisation) -> nn.Conv2d:
    """Input normalised one way -> the other way, as a 1x1 depthwise convolution."""
    scale = torch.tensor([f / w for f, w in zip(fed.std, wanted.std, strict=True)])
    means = zip(fed.mean, wanted.mean, wanted.std, strict=True)
    return _depthwise(scale, torch.tensor([(f - w) / s for f, w, s in means]))


def _as_convolution(norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A batch norm with no convolution before it: as one, which every runtime quantises."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    return _depthwise(scale, norm.bias.detach() - norm.running_mean * scale)


def _depthwise(scale: Tensor, shift: Tensor) -> nn.Conv2d:
    channels = len(scale)
    layer = nn.Conv2d(channels, channels, 1, groups=channels)
    layer.weight.data = scale.clone().view(-1, 1, 1, 1)
    layer.bias = nn.Parameter(shift.clone())
    return layer
