"""Blocks that do not train, run as an inference artefact: folded, channels-last, any precision."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from tlx.models.fold import folded

Versions = tuple[tuple[int, int], ...]


class Neck(nn.Module):
    """A block that joins the maps tapped before it; the last of its trunk.

    Its `forward` takes the list of tapped maps, largest first, and gives the list that the heads
    read.
    """

    def for_inference(self) -> nn.Module:
        """A copy in inference mode, with batch norms folded; it is a `Neck` too."""
        return folded(self)


def run_blocks(
    blocks: Iterable[nn.Module], keep: Collection[int], x: Tensor, maps: Iterable[Tensor] = ()
) -> list[Tensor]:
    """Consecutive blocks of a trunk on `x` -> `maps` and the outputs of the kept ones, in order.

    Where the last of them is a `Neck`: what it makes of those.
    """
    found = list(maps)
    for index, block in enumerate(blocks):
        if isinstance(block, Neck):
            found = block(found)
        else:
            x = block(x)
            if index in keep:
                found.append(x)
    return found


def for_inference(block: nn.Module) -> nn.Module:
    """A folded copy of a block of the trunk."""
    return block.for_inference() if isinstance(block, Neck) else folded(block)


class InferenceBlocks:
    """Folded copies of consecutive trunk blocks, made anew when the originals have changed.

    Not a module, so that the copies are in no state dict, parameter group or hash.

    Args:
        blocks: the originals, in order. keep: positions of those whose outputs are asked for.
        dtype: of the copies' weights and activations.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        keep: Iterable[int],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.originals = list(blocks)
        self.keep = set(keep)
        self.dtype = dtype
        self._copies: list[nn.Module] = []
        self._made_from: Versions | None = None

    @torch.no_grad()
    def __call__(self, x: Tensor, maps: Iterable[Tensor] = ()) -> list[Tensor]:
        """`run_blocks` of the copies, in this object's precision.

        Autocast is off inside: it would convert the weights again in every step.
        """
        self._refresh()
        with torch.autocast(x.device.type, enabled=False):
            return run_blocks(
                self._copies, self.keep, x.to(self.dtype), [m.to(self.dtype) for m in maps]
            )

    def forget(self) -> None:
        """Fold anew at the next call: fused optimizers write weights without leaving a trace."""
        self._made_from = None

    def versions(self) -> Versions:
        """Changes whenever an original's tensor is written in place or replaced."""
        return tuple(
            (tensor.data_ptr(), tensor._version)
            for block in self.originals
            for tensor in (*block.parameters(), *block.buffers())
        )

    def _refresh(self) -> None:
        """Fold anew after a checkpoint was loaded, weights were stepped or the device changed."""
        versions = self.versions()
        if versions != self._made_from:
            self._copies = [
                for_inference(block).to(dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
                for block in self.originals
            ]
            self._made_from = versions
