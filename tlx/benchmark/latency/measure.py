"""Arms timed in turn, and each arm's mAP by the very pipeline that is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import psutil

from tlx.benchmark.latency.pipeline import Pipeline
from tlx.data.formats.annotations import Item
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.runtime.tensors import as_tensors


def interleaved(
    pipelines: Sequence[Pipeline],
    items: Sequence[Item],
    rounds: int,
    pictures: int,
    warmup: int,
    progress: Callable[[int], None],
) -> list[np.ndarray]:
    """Seconds (rounds * pictures, stages) of each arm.

    In every round each arm takes its turn on the same pictures, in an order that is rotated from
    round to round: whatever else the machine does meets all arms alike. An arm's turn begins with
    a picture that is not timed, which brings its weights back into the cache and lets the
    threads of the arm before come to rest.

    Args:
        pictures: timed ones a turn. warmup: rounds before the first that counts.
    """
    times: list[list[list[float]]] = [[] for _ in pipelines]
    for number in range(warmup + rounds):
        first = number * pictures
        shown = [items[(first + i) % len(items)] for i in range(pictures)]
        for turn in range(len(pipelines)):
            place = (turn + number) % len(pipelines)
            pipelines[place](shown[-1])
            for item in shown:
                seconds = pipelines[place](item)[1]
                if number >= warmup:
                    times[place].append(seconds)
        progress(number + 1)
    return [np.array(rows) for rows in times]


def accuracy(pipeline: Pipeline, items: Sequence[Item], classes: list[str]) -> Figures:
    """COCO figures of a pipeline on the items of a split."""
    evaluator = Evaluator(classes)
    for item in items:
        evaluator.update([as_tensors(pipeline(item)[0])], [item])
    return evaluator.compute_coco()


class Others:
    """What other programs take of the machine's cores from now on."""

    def __init__(self) -> None:
        self.busy, self.own, self.start = _busy_s(), _own_s(), time.monotonic()

    def share(self) -> float:
        """Of all cores, 0..1; timings are worth little where this is not next to nothing."""
        cores = psutil.cpu_count() or 1
        seconds = _busy_s() - self.busy - (_own_s() - self.own)
        return max(0.0, seconds / (cores * (time.monotonic() - self.start)))


def _busy_s() -> float:
    """Processor seconds of all programs since the machine started."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Guests are counted in user and nice already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guests)


def _own_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
