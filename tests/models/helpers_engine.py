"""Detectors for the tests of the engine.

Random weights with random batch-norm statistics, not those of a fresh network, whose batch norms
do nothing and would fold even if folding were wrong.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import tlx.models.backbones  # noqa: F401
from tlx.freeze.apply import apply_phase
from tlx.freeze.policies.base import Phase
from tlx.models.backbones.base import BACKBONES, backbone_spec
from tlx.models.backbones.weights import SCRATCH, resolve
from tlx.models.detectors.ssd.ssd import SSD

NAMES = sorted(BACKBONES)
WITHOUT_NORMS = ("vgg16",)  # convolutions with biases alone
CPU = torch.device("cpu")


def detector_of(name: str, frozen: int = 0, seed: int = 0, head: str = "ssd") -> SSD:
    """A 96 px detector whose activations neither die nor explode, in eval mode."""
    spec = backbone_spec(name)
    torch.manual_seed(seed)
    detector = SSD(spec, resolve(spec, SCRATCH).conventions, 2, 96, head=head)
    norms = [m for m in detector.modules() if isinstance(m, nn.BatchNorm2d)]
    for layer in detector.backbone.modules():  # of gates, and of networks without batch norm
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.1)
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.momentum = 1.0
    detector.train()
    with torch.no_grad():
        detector(torch.randn(4, 3, 96, 96))  # statistics of these very activations, then disturbed
        for norm in norms:
            norm.momentum = 0.1
            norm.running_mean += 0.3 * norm.running_var.sqrt() * torch.randn(norm.num_features)
            norm.running_var *= torch.empty(norm.num_features).uniform_(0.6, 1.6)
        for head in (*detector.heads.classify, *detector.heads.regress):
            head.weight *= 3  # scores that differ between priors
    bound_heads(detector.eval())
    apply_phase(detector, Phase(0, frozen, frozen))
    return detector.eval()


def bound_heads(detector: SSD, most: float = 12.0) -> None:
    """Scale heads down whose outputs are none of a trained network.

    Disturbed statistics add up in deep residual networks, whose last maps are then of any scale, on
    smooth pictures most of all: boxes of 1e11 would say nothing of the network's exactness.
    """
    coarse = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(2)) * 4 - 2
    smooth = nn.functional.interpolate(coarse, (96, 96), mode="bicubic")
    heads = detector.heads
    maps = detector.features(torch.cat([pictures(), smooth]))  # with autograd: nothing is folded
    with torch.no_grad():
        for place, x in enumerate(maps):
            if place < len(heads.hidden or heads.norms):
                x = (heads.hidden or heads.norms)[place](x)
            for head in (heads.classify[place], heads.regress[place]):
                head.weight *= min(1.0, most / float(head(x).abs().max()))


@torch.no_grad()
def chain(blocks: list[nn.Module], x: Tensor) -> list[Tensor]:
    """The output of every block."""
    outputs = []
    for block in blocks:
        x = block(x)
        outputs.append(x.clone())
    return outputs


def off(values: Tensor, exact: Tensor) -> float:
    """Relative L2 error."""
    return float((values.double() - exact).norm() / exact.norm())


def pictures(count: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 96, 96, generator=generator)


def originals(detector: SSD) -> list[nn.Module]:
    return list(detector.backbone.blocks.values())
