"""The classifier as one plain feed-forward module, as exporters want it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlx.classify.network import Classifier, Head
from tlx.export.network import change
from tlx.models.fold import folded
from tlx.models.normalisation import Normalisation


class ExportClassifier(nn.Module):
    """Probabilities from one normalised picture; batch norm folded, no dropout, batch of one.

    Args:
        normalisation: of the input that will be fed; where it is not the classifier's own, the
            graph begins with the change from one to the other.
    """

    def __init__(self, classifier: Classifier, normalisation: Normalisation) -> None:
        super().__init__()
        own = Normalisation.of(classifier)
        self.adapt = nn.Identity() if normalisation == own else change(normalisation, own)
        self.blocks = nn.Sequential(*(folded(block) for _, block in classifier.trunk()))
        self.linear = as_linear(classifier.heads)
        self.eval().requires_grad_(False).cpu().to(memory_format=torch.contiguous_format)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (1, 3, S, S) -> softmax (1, classes)."""
        x = F.adaptive_avg_pool2d(self.blocks(self.adapt(x)), 1)
        return torch.softmax(self.linear(x.flatten(1)), 1)


def as_linear(head: Head) -> nn.Linear:
    """Batch norm, pool and linear layer as a linear layer behind the pool: a batch norm is a scale
    and a shift a channel, which the mean over a map lets through."""
    linear = nn.Linear(head.linear.in_features, head.linear.out_features)
    weight, bias = head.linear.weight.detach().clone(), head.linear.bias.detach().clone()
    norm = head.norm
    if isinstance(norm, nn.BatchNorm2d):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
        bias += weight @ (norm.bias.detach() - norm.running_mean * scale)
        weight = weight * scale
    linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
    return linear
