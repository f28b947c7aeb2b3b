"""A library's own network as the reference of a backbone here: its tensors, then its maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlx.models.backbones.base import Backbone, BackboneSpec, Conventions
from tlx.models.backbones.weights import StateDict, convert
from tlx.models.inference import InferenceBlocks


@torch.no_grad()
def lively(network: nn.Module, side: int = 64) -> nn.Module:
    """Statistics of batch norm of real activations, then disturbed; a fresh network's do nothing.

    The network is run with them once, so that its maps neither die nor explode.
    """
    generator = torch.Generator().manual_seed(1)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.5, 1.5, generator=generator)
        norm.bias.normal_(std=0.3, generator=generator)
        norm.momentum = 1.0
    network.train()(torch.randn(4, 3, side, side, generator=generator))
    for norm in norms:
        scale = norm.running_var.sqrt()
        norm.running_mean += 0.3 * scale * torch.randn(len(scale), generator=generator)
        norm.running_var *= torch.empty(len(scale)).uniform_(0.6, 1.6, generator=generator)
    return network.eval()


def backbone_of(spec: BackboneSpec, state: StateDict) -> tuple[Backbone, Conventions]:
    """The backbone with a published state, every tensor of it, in inference mode.

    What stands behind the backbone in a whole detector's file is not asked for.
    """
    found, conventions = convert(spec, state, "the reference")
    if spec.adopt:
        found = spec.adopt(found)
    backbone = spec.build(conventions).eval()
    behind = ("extras.", "heads.")
    mine = {
        key.removeprefix("backbone."): value
        for key, value in found.items()
        if not key.startswith(behind)
    }
    counters = {key for key in backbone.state_dict() if key.endswith("num_batches_tracked")}
    missing, unexpected = backbone.load_state_dict(mine, strict=False)
    assert not set(missing) - counters
    assert not unexpected
    return backbone, conventions


@torch.no_grad()
def tapped(backbone: Backbone, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The tapped maps, block by block and as folded blocks give them."""
    blocks, plain, y = list(backbone.blocks.values()), [], x
    for index, block in enumerate(blocks):
        y = block(y)
        if index in backbone.taps:
            plain.append(y.clone())
    return plain, InferenceBlocks(blocks, backbone.taps)(x)


def assert_maps(backbone: Backbone, x: Tensor, wanted: list[Tensor]) -> None:
    """Both ways to compute the tapped maps give the reference's, to 1e-4 of its largest value."""
    for maps in tapped(backbone, x):
        assert [y.shape for y in maps] == [y.shape for y in wanted]
        for ours, theirs in zip(maps, wanted, strict=True):
            assert theirs.abs().max() > 1e-3  # nothing that died
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))
