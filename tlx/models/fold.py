"""Batch norm in inference mode is a scale and a shift: fold it into the convolution before it.

A folded copy saves one pass over the activations per convolution. The original module is untouched:
checkpoints, hashes and exports see the network as it was trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_weights


def folded(module: nn.Module) -> nn.Module:
    """A copy in inference mode, without gradients, its batch norms folded where they can be."""
    memo: dict[int, nn.Module] = {}  # what takes an original's place in the copy
    for parent, name, norm in pairs(module):
        convolution, batch_norm = getattr(parent, name), getattr(parent, norm)
        memo[id(convolution)] = _fused(convolution, batch_norm)
        # timm's batch norm applies the activation too.
        memo[id(batch_norm)] = deepcopy(getattr(batch_norm, "act", nn.Identity()))
    return deepcopy(module, memo).eval().requires_grad_(False)


def _fused(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A plain convolution, whatever the tail has made of the original."""
    fused = nn.Conv2d(
        convolution.in_channels, convolution.out_channels, convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride, convolution.padding, convolution.dilation, convolution.groups,  # type: ignore[arg-type]
        padding_mode=convolution.padding_mode, device="meta",
    )  # fmt: skip
    assert norm.running_mean is not None
    assert norm.running_var is not None
    fused.weight, fused.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps,
        norm.weight, norm.bias,
    )  # fmt: skip
    return fused


def pairs(parent: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Every batch norm behind a convolution: their parent, the convolution's name, the norm's.

    It counts as behind when its module registers it right after a convolution of as many channels,
    which is also the order of execution in every backbone here
    (`tests/freeze/test_engine.py` compares the outputs).
    """
    previous: tuple[str, nn.Module] | None = None
    for name, child in parent.named_children():
        if isinstance(child, nn.BatchNorm2d):
            fits = previous is not None and _is_plain(previous[1])
            if fits and previous and previous[1].out_channels == child.num_features:
                yield parent, previous[0], name
        else:
            yield from pairs(child)
        previous = (name, child)


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer computes what `nn.Conv2d` does, and may become one.

    A subclass may do more (timm's `Conv2dSame` pads by the input's size), which folding would lose.
    Our own say of themselves that they do not.
    """
    kind = type(layer)
    if parametrize.is_parametrized(layer):  # a class made for the one layer (tlx.models.low_rank)
        kind = kind.__bases__[0]
    return kind is nn.Conv2d or "folds" in vars(kind)
