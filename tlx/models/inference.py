"""Blocks that do not train, run as an inference artefact: folded, channels-last, any precision."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tlx.models.fold import folded

Versions = tuple[tuple[int, int], ...]


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
    def __call__(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> the outputs of the kept blocks, in order, in this object's precision.

        Autocast is off inside: it would convert the weights again in every step.
        """
        self._refresh()
        outputs = []
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.dtype)
            for index, block in enumerate(self._copies):
                x = block(x)
                if index in self.keep:
                    outputs.append(x)
        return outputs

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
                folded(block).to(dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
                for block in self.originals
            ]
            self._made_from = versions
