"""The learning rate as a pure function of the step: warm-up, then cosine to zero, per phase."""

from __future__ import annotations

import math

from tlx.freeze.policies.base import Phase, phase_at


def lr_factor(
    step: int, steps_per_epoch: int, epochs: int, phases: tuple[Phase, ...], warmup: int
) -> float:
    """Multiplier of the base learning rates at optimizer step `step` (0-based), 0..1.

    Each phase starts anew: linear warm-up over `warmup` steps (at most a fifth of the phase), then
    half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983), all times the phase's `lr_scale`.
    """
    epoch = min(step // steps_per_epoch, epochs - 1)
    phase = phase_at(phases, epoch)
    later = [p.first_epoch for p in phases if p.first_epoch > phase.first_epoch]
    first = phase.first_epoch * steps_per_epoch
    length = (min([*later, epochs]) - phase.first_epoch) * steps_per_epoch
    position = step - first
    ramp = min(warmup, length // 5)
    if position < ramp:
        return phase.lr_scale * (position + 1) / (ramp + 1)
    progress = (position - ramp) / max(1, length - ramp)
    return phase.lr_scale * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
