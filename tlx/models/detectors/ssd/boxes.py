"""SSD's box coding: offsets relative to priors, scaled by variances (Liu et al. 2016, eq. 2)."""

from __future__ import annotations

import torch
from torch import Tensor

CENTER_VARIANCE = 0.1
SIZE_VARIANCE = 0.2


def encode(boxes: Tensor, priors: Tensor) -> Tensor:
    """Corner-form boxes (…, P, 4) in 0..1 -> regression targets for centre-form priors (P, 4)."""
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    sizes = (boxes[..., 2:] - boxes[..., :2]).clamp_min(1e-6)
    return torch.cat(
        [
            (centres - priors[..., :2]) / priors[..., 2:] / CENTER_VARIANCE,
            torch.log(sizes / priors[..., 2:]) / SIZE_VARIANCE,
        ],
        dim=-1,
    )


def decode(offsets: Tensor, priors: Tensor) -> Tensor:
    """Regression outputs (…, P, 4) -> corner-form boxes in 0..1, not clipped."""
    centres = offsets[..., :2] * CENTER_VARIANCE * priors[..., 2:] + priors[..., :2]
    sizes = torch.exp(offsets[..., 2:] * SIZE_VARIANCE) * priors[..., 2:]
    return torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)


def corner_form(priors: Tensor) -> Tensor:
    """Centre-form (cx, cy, w, h) -> corner form (x1, y1, x2, y2)."""
    centres, sizes = priors[..., :2], priors[..., 2:]
    return torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)
