"""The classifier as one plain feed-forward module, as exporters want it."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlx.classify.heads import Head
from tlx.classify.network import Classifier
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
        self.head = without_norm(classifier.heads)
        self.eval().requires_grad_(False).cpu().to(memory_format=torch.contiguous_format)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (1, 3, S, S) -> softmax (1, classes)."""
        x = F.adaptive_avg_pool2d(self.blocks(self.adapt(x)), 1)
        return torch.softmax(self.head(x.flatten(1)), 1)


def without_norm(head: Head) -> nn.Module:
    """What follows the pool, without dropout, and with the batch norm that stands before the pool
    in its first layer: a scale and a shift a channel, which the mean over a map lets through."""
    layers = [copy.deepcopy(m) for m in head.behind_pool() if not isinstance(m, nn.Dropout)]
    first, norm = layers[0], head.norm
    assert isinstance(first, nn.Linear)
    if isinstance(norm, nn.BatchNorm2d):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight, bias = first.weight.detach(), first.bias.detach()
        scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias.detach() - norm.running_mean * scale
        first.weight, first.bias = nn.Parameter(weight * scale), nn.Parameter(bias + weight @ shift)
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)
