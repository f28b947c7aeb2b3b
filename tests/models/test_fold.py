"""Folding batch norms into convolutions: exact, in a copy, and only where it can be done."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from tests.models.helpers_engine import (
    NAMES,
    WITHOUT_NORMS,
    chain,
    detector_of,
    off,
    originals,
    pictures,
)
from tlx.models.fold import folded


@pytest.mark.parametrize("name", NAMES)
def test_each_folded_block_is_exact(name: str) -> None:
    """Every block alone, on the exact output of the one before, in double precision."""
    blocks = originals(detector_of(name))
    x = pictures().double()
    for block in blocks:
        exact = deepcopy(block).double()
        (expected,) = chain([exact], x)
        assert off(chain([folded(exact)], x)[0], expected) < 1e-12  # measured: 1.5e-15
        x = expected


@pytest.mark.parametrize("name", NAMES)
def test_folding_folds_a_copy_and_leaves_the_original(name: str) -> None:
    detector = detector_of(name).train()
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    modes = [module.training for module in detector.modules()]
    seen: list[nn.Module] = []
    block = originals(detector)[1]
    layers = [m for m in block.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    for layer in layers:
        layer.register_forward_hook(lambda module, _i, _o: seen.append(module))
    for one in originals(detector):
        copy = folded(one)
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in one.modules())
        assert (norms > 0) == (name not in WITHOUT_NORMS)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in copy.modules())
        assert not any(p.requires_grad for p in copy.parameters())
        assert not any(m.training for m in copy.modules() if not isinstance(m, nn.Identity))
        shared = {p.data_ptr() for p in one.parameters()} & {
            p.data_ptr() for p in copy.parameters()
        }
        assert not shared
    after = detector.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert modes == [module.training for module in detector.modules()]
    assert all(p.requires_grad for p in detector.parameters())
    seen.clear()
    detector(pictures())
    assert {id(m) for m in seen} == {id(m) for m in layers}


def test_what_cannot_be_folded_stays() -> None:
    """A batch norm with no convolution right before it, or with one of other channels."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4),
    )  # fmt: skip
    for norm in (net[0], net[2], net[6]):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    net.eval()
    copy = folded(net)
    assert [isinstance(m, nn.BatchNorm2d) for m in copy] == [i in (0, 6) for i in range(7)]
    assert torch.allclose(copy(pictures()), net(pictures()), atol=1e-5)


class SamePadded(nn.Conv2d):
    """Pads by the input's size, as timm's `Conv2dSame`: 4x4 stays 4x4."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(x, (1, 1, 1, 1)))


def test_a_subclass_that_does_more_is_not_folded() -> None:
    torch.manual_seed(0)
    block = nn.Sequential(SamePadded(3, 5, 3), nn.BatchNorm2d(5)).eval()
    x = torch.rand(2, 3, 4, 4)
    assert folded(block)(x).shape == (2, 5, 4, 4)
    assert torch.equal(folded(block)(x), block(x))
