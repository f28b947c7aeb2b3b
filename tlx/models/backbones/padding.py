"""TensorFlow's "SAME" padding, which depends on the size of the map.

A convolution with stride 2 then pads a side of even length after it only, and one of odd length
before and after it (`tf.nn.convolution`, notes on padding). Weights that were trained so see their
maps shifted by half a pixel of every stride under symmetric padding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from tlx.models.backbones.base import SAME, Conventions


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side of `size` values, so that ceil(size / stride) come out."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SamePad(nn.Module):
    """Pads a map for the convolution behind it, which then has no padding of its own.

    A module in front of a plain convolution, and no convolution of another kind: folding, float32
    for strided depthwise ones and the export know plain convolutions. It has no tensors.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> with zeros at its borders; the sizes are constants in an export."""
        top, bottom = same_padding(int(x.shape[2]), self.kernel, self.stride)
        left, right = same_padding(int(x.shape[3]), self.kernel, self.stride)
        return F.pad(x, (left, right, top, bottom)) if top + bottom + left + right else x

    def extra_repr(self) -> str:
        """For print(network)."""
        return f"kernel={self.kernel}, stride={self.stride}"


def padding_of(kernel: int, stride: int, conventions: Conventions) -> tuple[nn.Module, int]:
    """What stands in front of a convolution of an odd square kernel, and its own padding.

    With stride 1 the two conventions are one: half the kernel on every side.
    """
    if conventions.padding == SAME and stride > 1:
        return SamePad(kernel, stride), 0
    return nn.Identity(), kernel // 2


def pad_same(network: nn.Module) -> None:
    """Give the strided convolutions of every `nn.Sequential` in a network SAME padding, in place.

    The name of a layer, and so of its tensors, stays: the padding gets a name of its own.
    """
    for parent in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        _each_child(parent, _with_padding)


def _each_child(
    parent: nn.Module, expand: Callable[[str, nn.Module], list[tuple[str, nn.Module]]]
) -> None:
    children = list(parent.named_children())
    for name, _ in children:
        delattr(parent, name)
    for name, child in children:
        for new_name, new_child in expand(name, child):
            parent.add_module(new_name, new_child)


def _with_padding(name: str, child: nn.Module) -> list[tuple[str, nn.Module]]:
    if not isinstance(child, nn.Conv2d) or child.stride == (1, 1):
        return [(name, child)]
    padding = SamePad(child.kernel_size[0], child.stride[0])
    child.padding = (0, 0)
    return [(f"pad_{name}", padding), (name, child)]
