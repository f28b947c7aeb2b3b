"""Frames a second, and where the time of a frame goes."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

WINDOW = 30  # frames that the shown figures are means of


class Meter:
    """Rates over the last frames, and totals. Stages are named in the order of their first use."""

    def __init__(self) -> None:
        self.frames = 0
        self.totals: dict[str, float] = defaultdict(float)
        self._recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self._ends: deque[float] = deque(maxlen=WINDOW + 1)
        self._start = time.perf_counter()

    def add(self, stage: str, seconds: float, frames: int = 1) -> None:
        """Time that a stage took for so many frames together."""
        self.totals[stage] += seconds
        self._recent[stage].extend([seconds / frames] * frames)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a block for one frame."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def frame_done(self) -> None:
        """One more frame went through all stages."""
        self.frames += 1
        self._ends.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._start

    @property
    def fps(self) -> float | None:
        """Frames a second over the last frames; None before there are two."""
        if len(self._ends) < 2 or self._ends[-1] == self._ends[0]:
            return None
        return (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])

    def recent_ms(self) -> dict[str, float]:
        """Mean time of each stage over the last frames, in ms a frame."""
        return {name: 1000 * sum(times) / len(times) for name, times in self._recent.items()}

    def mean_ms(self) -> dict[str, float]:
        """Mean time of each stage over all frames, in ms a frame."""
        return {name: 1000 * total / max(1, self.frames) for name, total in self.totals.items()}
