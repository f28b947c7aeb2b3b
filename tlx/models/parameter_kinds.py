"""Kinds of a block's parameters that may train while the rest of the block is frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from tlx.models.low_rank import LowRank

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def _norms(block: nn.Module) -> Iterator[nn.Parameter]:
    """Scales and shifts."""
    for layer in block.modules():
        if isinstance(layer, NORMS):
            yield from layer.parameters(recurse=False)


def _biases(block: nn.Module) -> Iterator[nn.Parameter]:
    """Of convolutions, where they have any, and the shifts of norms."""
    return (p for name, p in block.named_parameters() if name.rpartition(".")[2] == "bias")


def _adapters(block: nn.Module) -> Iterator[nn.Parameter]:
    """What `tlx.models.low_rank` has added."""
    for layer in block.modules():
        if isinstance(layer, LowRank):
            yield from layer.parameters()


KINDS: dict[str, Callable[[nn.Module], Iterator[nn.Parameter]]] = {
    "norms": _norms,
    "biases": _biases,
    "adapters": _adapters,
}


def of_kind(block: nn.Module, kind: str) -> list[nn.Parameter]:
    """The parameters of a kind in a block; none for no kind (``""``)."""
    return list(KINDS[kind](block)) if kind else []
