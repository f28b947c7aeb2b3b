"""Batch norm in inference mode is a scale and a shift: fold it into the convolution before it.

A folded copy saves one pass over the activations per convolution. The original module is untouched:
checkpoints, hashes and exports see the network as it was trained.
"""

from __future__ import annotations

from copy import deepcopy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(module: nn.Module) -> nn.Module:
    """A copy in inference mode, without gradients, its batch norms folded where they can be.

    A batch norm is folded when its module registers it right after a convolution of as many
    channels, which is also the order of execution in every backbone here
    (`tests/test_engine.py` compares the outputs).
    """
    copy = deepcopy(module).eval().requires_grad_(False)
    _fold_children(copy)
    return copy


def _fold_children(parent: nn.Module) -> None:
    convolution: tuple[str, nn.Conv2d] | None = None
    for name, child in list(parent.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            if convolution and convolution[1].out_channels == child.num_features:
                fused = fuse_conv_bn_eval(convolution[1], child)
                fused.__class__ = nn.Conv2d  # whatever the tail had made of the original
                setattr(parent, convolution[0], fused)
                # timm's batch norm applies the activation too.
                setattr(parent, name, getattr(child, "act", nn.Identity()))
        else:
            _fold_children(child)
        convolution = (name, child) if isinstance(child, nn.Conv2d) else None
