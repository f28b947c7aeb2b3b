"""SSD's heads and decoding as exporters want them: plain, folded, constants for the priors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tlx.models.detectors.ssd.boxes import CENTER_VARIANCE, SIZE_VARIANCE
from tlx.models.detectors.ssd.scores import Scores


class ExportHeads(nn.Module):
    """The heads on the maps of one picture: for each map what prepares it, then two predictors.

    Args:
        columns: of the logits.
    """

    def __init__(
        self, prepare: Sequence[nn.Module], classify: Sequence[nn.Module],
        regress: Sequence[nn.Module], columns: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.columns = columns
        self.prepare = nn.ModuleList(prepare)
        self.classify, self.regress = nn.ModuleList(classify), nn.ModuleList(regress)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The tapped maps -> logits (1, P, C), offsets (1, P, 4)."""
        maps = [layer(x) for layer, x in zip(self.prepare, maps, strict=True)]
        return self._rows(self.classify, maps, self.columns), self._rows(self.regress, maps, 4)

    def _rows(self, heads: nn.Module, maps: list[Tensor], width: int) -> Tensor:
        """Row, column, anchor of every map: (1, P, width)."""
        rows = [
            head(x).permute(0, 2, 3, 1).reshape(1, -1, width)
            for head, x in zip(heads.children(), maps, strict=True)
        ]
        return torch.cat(rows, 1)


class ExportDecoder(nn.Module):
    """Scores and box decoding."""

    centre: Tensor
    centre_scale: Tensor
    half_size: Tensor

    def __init__(self, priors: Tensor, scores: Scores) -> None:
        super().__init__()
        self.scores = scores
        priors = priors.detach().cpu()
        self.register_buffer("centre", priors[None, :, :2].clone())
        self.register_buffer("centre_scale", CENTER_VARIANCE * priors[None, :, 2:])
        self.register_buffer("half_size", priors[None, :, 2:] / 2)

    def forward(self, logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (1, P, C), offsets (1, P, 4) -> scores, unclipped corner-form boxes (1, P, 4)."""
        centres = offsets[:, :, :2] * self.centre_scale + self.centre
        halves = torch.exp(offsets[:, :, 2:] * SIZE_VARIANCE) * self.half_size
        return self.scores.of(logits), torch.cat([centres - halves, centres + halves], 2)
