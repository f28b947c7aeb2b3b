"""SSD's heads and decoding as exporters want them: plain, folded, constants for the priors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlx.models.detectors.ssd.boxes import CENTER_VARIANCE, SIZE_VARIANCE
from tlx.models.detectors.ssd.heads import Heads, Hidden
from tlx.models.fold import folded
from tlx.models.fold_norm import as_convolution, normed_first


class ExportHeads(nn.Module):
    """The heads on the maps of one picture."""

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.classes = heads.classes
        self.hidden = nn.ModuleList(_one_convolution(layer) for layer in heads.hidden)
        norms = [norm for norm in heads.norms if isinstance(norm, nn.BatchNorm2d)]
        self.norms = nn.ModuleList(as_convolution(norm) for norm in norms)
        self.classify = folded(heads.classify)
        self.regress = folded(heads.regress)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The tapped maps -> logits (1, P, C), offsets (1, P, 4)."""
        maps = list(maps)
        for index, layer in enumerate(self.hidden):
            maps[index] = layer(maps[index])
        for index, norm in enumerate(self.norms):
            maps[index] = norm(maps[index])
        return self._rows(self.classify, maps, self.classes), self._rows(self.regress, maps, 4)

    def _rows(self, heads: nn.Module, maps: list[Tensor], width: int) -> Tensor:
        """Row, column, anchor of every map: (1, P, width)."""
        rows = [
            head(x).permute(0, 2, 3, 1).reshape(1, -1, width)
            for head, x in zip(heads.children(), maps, strict=True)
        ]
        return torch.cat(rows, 1)


def _one_convolution(layer: nn.Module) -> nn.Module:
    """The hidden layer of a map with both of its batch norms in the projection."""
    assert isinstance(layer, Hidden)
    projection = folded(layer).project
    assert isinstance(projection, nn.Conv2d)
    return nn.Sequential(normed_first(layer.norm, projection), nn.ReLU())


class ExportDecoder(nn.Module):
    """Softmax and box decoding."""

    centre: Tensor
    centre_scale: Tensor
    half_size: Tensor

    def __init__(self, priors: Tensor) -> None:
        super().__init__()
        priors = priors.detach().cpu()
        self.register_buffer("centre", priors[None, :, :2].clone())
        self.register_buffer("centre_scale", CENTER_VARIANCE * priors[None, :, 2:])
        self.register_buffer("half_size", priors[None, :, 2:] / 2)

    def forward(self, logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (1, P, C), offsets (1, P, 4) -> scores, unclipped corner-form boxes (1, P, 4)."""
        centres = offsets[:, :, :2] * self.centre_scale + self.centre
        halves = torch.exp(offsets[:, :, 2:] * SIZE_VARIANCE) * self.half_size
        return self.scores(logits), torch.cat([centres - halves, centres + halves], 2)

    def scores(self, logits: Tensor) -> Tensor:
        """Of all classes, the background first."""
        return torch.softmax(logits, 2)
