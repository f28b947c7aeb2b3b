"""One full optimizer step of an arm, timed by its parts; the steps of all arms in turn."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from tlx.benchmark.networks import Arm
from tlx.data.dataset import Batch

# The rate moves random weights gently; the rest is tlx.train's own.
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, CLIP_NORM = 1e-3, 0.9, 5e-4, 10.0


class Stepper:
    """An arm with its optimizer and its batches."""

    def __init__(self, arm: Arm, batches: list[Batch], device: torch.device) -> None:
        self.arm, self.device = arm, device
        self.batches = [arm.prepare(batch) for batch in batches]
        self.parameters = [p for p in arm.network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(
            self.parameters, lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
        )

    def step(self, number: int) -> list[float]:
        """Seconds of data, forward, backward and optimizer of a step on batch `number`."""
        marks = [self._now()]
        inputs = self.arm.load(self.batches[number % len(self.batches)])
        marks.append(self._now())
        loss = self.arm.loss(inputs)
        marks.append(self._now())
        loss.backward()
        marks.append(self._now())
        clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        marks.append(self._now())
        return [stop - start for start, stop in itertools.pairwise(marks)]

    def _now(self) -> float:
        """A GPU is waited for, so that each part's time is its own."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def interleaved(
    steppers: list[Stepper], rounds: int, warmup: int, progress: Callable[[int], None]
) -> list[np.ndarray]:
    """Seconds (rounds, 4) of each stepper, one step each in every round.

    The order is rotated from round to round: whatever else the machine does then meets all arms
    alike, and none always follows the same other one. All arms take the same batch in a round.
    """
    times: list[list[list[float]]] = [[] for _ in steppers]
    for number in range(warmup + rounds):
        for turn in range(len(steppers)):
            place = (turn + number) % len(steppers)
            seconds = steppers[place].step(number)
            if number >= warmup:
                times[place].append(seconds)
        progress(number + 1)
    return [np.array(rows) for rows in times]
