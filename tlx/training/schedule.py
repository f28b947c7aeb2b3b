"""The learning rate as a pure function of the step: warm-up, then cosine to zero, per phase."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tlx.freeze.policies.base import Phase, phase_at


def lr_factor(
    step: int, steps_per_epoch: int, epochs: int, phases: Sequence[Phase], warmup: int,
    block: int | None = None,
) -> float:  # fmt: skip
    """Multiplier of the base learning rates at optimizer step `step` (0-based).

    Each phase that restarts begins anew: linear warm-up over `warmup` steps (at most a fifth of
    what follows), then half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983), all times the
    phase's `lr_scale`. It ends with the run, where the next phase restarts, or for a trunk block
    among the `rate_ends` there: with `scaled` its rates are higher by as much as it ends earlier
    (FreezeOut, Brock et al. 2017, arXiv:1706.04983), and may exceed 1 times the base.
    """
    epoch = min(step // steps_per_epoch, epochs - 1)
    phase = phase_at(phases, epoch)
    borders = [p.first_epoch for i, p in enumerate(phases) if p.restart or not i]
    first_epoch = max(border for border in borders if border <= epoch)
    end = min([border for border in borders if border > epoch] + [epochs])
    own_end = min([epoch for place, epoch in phase.rate_ends if place == block] + [end])
    scale = phase.lr_scale
    if phase.scaled and own_end < end:
        scale *= (end - first_epoch) / (own_end - first_epoch)
    length = (own_end - first_epoch) * steps_per_epoch
    position = step - first_epoch * steps_per_epoch
    ramp = min(warmup, length // 5)
    if position < ramp:
        return scale * (position + 1) / (ramp + 1)
    progress = (position - ramp) / max(1, length - ramp)
    return scale * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
