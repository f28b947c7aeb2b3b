"""What every backbone costs, block by block, and where its weights are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tlx.models.backbones.base import BackboneSpec


@dataclass(frozen=True)
class BlockCost:
    """One block of a backbone.

    Attributes:
        stride: input pixels to a cell of its output. macs: multiply-accumulates of one picture.
        share: of the backbone's MACs in this block and those before it, 0..1.
        tapped: whether SSD's heads read its output.
    """

    name: str
    stride: int
    channels: int
    parameters: int
    macs: int
    share: float
    tapped: bool


@torch.no_grad()
def block_costs(spec: BackboneSpec, size: int) -> list[BlockCost]:
    """Every block of a backbone, in order, for one picture of `size` pixels a side.

    Convolutions and matrix products are counted (torch's FLOP counter; two FLOPs are one MAC), on
    shapes alone: nothing is computed.
    """
    backbone = spec.build(spec.conventions).eval().to("meta")
    x = torch.zeros(1, 3, size, size, device="meta")
    macs = []
    for block in backbone.blocks.values():
        with FlopCounterMode(display=False) as counter:
            x = block(x)
        macs.append(counter.get_total_flops() // 2)
    return [
        BlockCost(
            name=name,
            stride=backbone.strides[place],
            channels=backbone.channels[place],
            parameters=sum(p.numel() for p in block.parameters()),
            macs=macs[place],
            share=done / sum(macs),
            tapped=place in backbone.taps,
        )
        for place, ((name, block), done) in enumerate(
            zip(backbone.blocks.items(), itertools.accumulate(macs), strict=True)
        )
    ]


def weights_of(spec: BackboneSpec) -> dict[str, Any]:
    """What `backbone.weights=auto` takes: `file`, or None where it is not on this machine, and
    `advice`, what brings it. Nothing is downloaded."""
    places = (source.installed() for source in spec.sources)
    file = next((place for place in places if place), None)
    advice = [source.advice for source in spec.sources]
    return {"file": str(file) if file else None, "advice": advice}
