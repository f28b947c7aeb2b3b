"""What a freeze can save by arithmetic, before any measurement.

A training step costs one forward pass over everything, a product of the same size for the gradient
of the weights of every block that trains, and another for the gradient of the input of every block
behind the frozen prefix. A block of the prefix therefore saves two thirds of its share at most, and
one that is frozen behind a block that trains one third. Memory traffic is not in this count: early
layers are memory-bound, so a real saving may exceed the bound.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from tlx.freeze.apply import prefix_length
from tlx.freeze.policies.base import Phase
from tlx.models.blocks import Blocks, as_blocks, leading
from tlx.models.inference import Neck
from tlx.models.trunk import TrunkNetwork


@dataclass(frozen=True)
class Cost:
    """Forward multiply-accumulates per image and parameters, by part of the network in order."""

    parts: tuple[str, ...]  # trunk blocks, then "heads"
    macs: tuple[int, ...]
    parameters: tuple[int, ...]

    def frozen_share(self, frozen: Iterable[int] | int) -> float:
        """Share of the forward MACs in these trunk blocks (or in so many leading ones), 0..1."""
        return sum(self.macs[place] for place in as_blocks(frozen)) / sum(self.macs)

    def frozen_parameters(self, frozen: Iterable[int] | int) -> int:
        """Parameters of these trunk blocks (or of so many leading ones)."""
        return sum(self.parameters[place] for place in as_blocks(frozen))

    def step_share(
        self, frozen: Iterable[int] | int, prefix: int | None = None, *, cached: bool = False
    ) -> float:
        """Cost of a training step relative to one with nothing frozen, 0..1.

        Args:
            frozen: blocks whose weights have no gradient.
            prefix: leading ones whose input has none either; None: all without a gap.
            cached: the outputs of the prefix are read, not computed.
        """
        blocks = as_blocks(frozen)
        behind = 1 - self.frozen_share(leading(blocks) if prefix is None else prefix)
        forward = behind if cached else 1
        return (forward + behind + (1 - self.frozen_share(blocks))) / 3


def phase_step_share(network: TrunkNetwork, cost: Cost, phase: Phase) -> float:
    """`Cost.step_share` of a phase.

    Norms and biases that train cost no product; adapters take the gradient of the whole weight.
    """
    fixed = phase.frozen
    if phase.trains == "adapters":
        trunk = network.trunk()
        fixed = Blocks(i for i in fixed if not network.still_training(trunk[i][1], phase.trains))
    return cost.step_share(fixed, prefix_length(network, phase))


def schedule_step_share(
    network: TrunkNetwork, cost: Cost, phases: Sequence[Phase], epochs: int
) -> float:
    """`phase_step_share` averaged over the epochs of a schedule."""
    ends = [phase.first_epoch for phase in phases[1:]] + [epochs]
    lengths = [end - phase.first_epoch for phase, end in zip(phases, ends, strict=True)]
    shares = [phase_step_share(network, cost, phase) for phase in phases]
    return sum(s * n for s, n in zip(shares, lengths, strict=True)) / epochs


def fixed_parameters(network: TrunkNetwork, cost: Cost, phase: Phase) -> int:
    """How many parameters do not train in a phase."""
    trunk = network.trunk()
    still = [p for i in phase.frozen for p in network.still_training(trunk[i][1], phase.trains)]
    return cost.frozen_parameters(phase.frozen) - sum(p.numel() for p in still)


@torch.no_grad()
def measure_cost(network: TrunkNetwork) -> Cost:
    """Count one image through the network (torch's FLOP counter; two FLOPs are one MAC)."""
    was_training = network.training
    network.eval()
    device = network.mean.device
    x = torch.zeros(1, 3, network.input_size, network.input_size, device=device)
    macs: list[int] = []
    maps: list[torch.Tensor] = []
    for index, (_, block) in enumerate(network.trunk()):
        with FlopCounterMode(display=False) as counter:
            if isinstance(block, Neck):
                maps = block(maps)
            else:
                x = block(x)
        macs.append(counter.get_total_flops() // 2)
        if index in network.taps:
            maps.append(x)
    with FlopCounterMode(display=False) as counter:
        network.heads(maps)
    macs.append(counter.get_total_flops() // 2)
    network.train(was_training)
    modules = [block for _, block in network.trunk()] + [network.heads]
    return Cost(
        parts=(*(name for name, _ in network.trunk()), "heads"),
        macs=tuple(macs),
        parameters=tuple(sum(p.numel() for p in m.parameters()) for m in modules),
    )


def freeze_table(network: TrunkNetwork, cost: Cost, phases: Sequence[Phase], title: str) -> Table:
    """What freezes and what trains, with parameters, MACs and the bound: printed before a run."""
    table = Table(title=title, title_justify="left")
    for name, justify in (("epochs from", "right"), ("blocks", "left"), ("state", "left"),
                          ("parameters", "right"), ("forward MACs", "right"),
                          ("step by arithmetic", "right")):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    backbone = len(network.backbone.blocks)
    total_macs, total_parameters = sum(cost.macs), sum(cost.parameters)
    for phase in phases:
        bound = phase_step_share(network, cost, phase)
        length = prefix_length(network, phase)
        for start, stop in _stretches(phase, length, backbone, len(cost.parts)):
            names = cost.parts[start:stop]
            parameters = sum(cost.parameters[start:stop])
            table.add_row(
                str(phase.first_epoch) if start == 0 else "",
                names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)})",
                _state(phase, start, length),
                f"{parameters:,} ({parameters / total_parameters:.1%})",
                f"{sum(cost.macs[start:stop]) / total_macs:.1%}",
                f"{bound:.1%} (≤ {1 / bound:.2f}x faster)" if start == 0 else "",
            )
        table.add_section()
    if phases[-1].undecided:
        table.caption = "What is frozen later is decided in training: record.json, phases."
        table.caption_justify = "left"
    return table


def _stretches(phase: Phase, length: int, backbone: int, parts: int) -> Iterable[tuple[int, int]]:
    """Neighbours of one state: starts and ends, those of backbone and heads among them."""
    changes = {i for i in range(1, parts) if (i in phase.frozen) != (i - 1 in phase.frozen)}
    return itertools.pairwise(sorted({0, length, *changes, backbone, parts - 1, parts}))


def _state(phase: Phase, place: int, length: int) -> str:
    if place not in phase.frozen:
        return "trains"
    if place < length:
        return "frozen"
    return f"{phase.trains} train" if phase.trains else "frozen, passes gradients"
