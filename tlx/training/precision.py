"""Which number format the training step runs in; `auto` measures a few steps and says why."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tlx.freeze.apply import apply_phase
from tlx.freeze.policies.base import Phase
from tlx.models.cpu_bfloat16 import keep_in_float32
from tlx.models.trunk import TrunkNetwork

STEPS = 2  # timed, after one to warm up
Loss = Callable[[Any, list[Tensor]], Tensor]
"""A loss to time steps with, of a network and its tapped maps."""
LEAST_GAIN = 1.1  # below it the full precision is worth more than the time


@dataclass(frozen=True)
class Precision:
    """Lightning's name for the tail's precision, the frozen prefix's type, and why."""

    name: str
    prefix: torch.dtype
    reason: str


def resolve(
    asked: str, network: TrunkNetwork, phase: Phase, batch_size: int, device: torch.device,
    loss: Loss,
) -> Precision:  # fmt: skip
    """What `trainer.precision` means on this machine.

    Half precision is tried by ``auto`` only where the hardware computes in bfloat16; elsewhere it
    is emulated, and slower than float32.
    """
    if asked == "32-true":
        return Precision(asked, torch.float32, "as configured")
    if asked == "16-mixed":
        return Precision(asked, torch.float16, "as configured")
    if asked == "bf16-mixed":
        return Precision(asked, torch.bfloat16, "as configured")
    if not has_bfloat16(device):
        return Precision("32-true", torch.float32, f"this {device.type} has no bfloat16 arithmetic")
    full = step_seconds(network, phase, batch_size, device, loss, torch.float32)
    half = step_seconds(network, phase, batch_size, device, loss, torch.bfloat16)
    measured = f"{half:.3g} s a step in bfloat16, {full:.3g} s in float32 (measured)"
    if full / half < LEAST_GAIN:
        return Precision("32-true", torch.float32, measured)
    return Precision("bf16-mixed", torch.bfloat16, measured)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capability = torch.backends.cpu.get_cpu_capability()
        return capability.startswith("AVX512") and torch.cpu._is_avx512_bf16_supported()
    return False


def step_seconds(
    network: TrunkNetwork, phase: Phase, batch_size: int, device: torch.device, loss: Loss,
    dtype: torch.dtype,
) -> float:  # fmt: skip
    """Fastest of a few training steps of a copy of the network, on blank pictures."""
    trial = copy.deepcopy(network).to(device).train()
    apply_phase(trial, phase, dtype)
    if dtype != torch.float32 and device.type == "cpu":
        keep_in_float32(trial)
    side = trial.input_size
    images = torch.zeros(batch_size, 3, side, side, dtype=torch.uint8, device=device)
    seconds = []
    for _ in range(1 + STEPS):
        started = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            maps = trial.features(trial.normalize(images))
            value = loss(trial, maps)
        value.backward()
        trial.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
