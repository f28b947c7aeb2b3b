"""Short runs that never ran: their figures follow from their rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tlx.records.record import Record

BEST = 0.002  # rate of the heads
Figure = Callable[[Any], float | None]


def peaked(job: Any) -> float:
    """Highest at `BEST`, whatever the rate of the backbone."""
    return max(0.0, 0.8 - 0.3 * abs(math.log10(job.trainer.head_lr / BEST)))


class ShortRuns:
    """In the place of `short_run`: notes what is asked for, and ends as it is told.

    Attributes:
        made: the configuration of each run, in order.
        figure: the val figure of a configuration; None: it diverges.
        stop_at: the number of the run that is interrupted instead, once.
    """

    def __init__(self, figure: Figure = peaked, seconds: float = 60.0) -> None:
        self.made: list[Any] = []
        self.figure, self.seconds = figure, seconds
        self.stop_at: int | None = None

    def __call__(self, job: Any, folder: Path, *_: Any) -> Record:
        if self.stop_at == len(self.made):
            self.stop_at = None
            raise KeyboardInterrupt
        self.made.append(job)
        value = self.figure(job)
        folder.mkdir(parents=True, exist_ok=True)
        base = "" if str(job.freeze) == "all" else job.trainer.base_lr
        (folder / "metrics.csv").write_text(
            f"loss,lr_base,lr_head\n1,{base},{job.trainer.head_lr}\n"
        )
        time = {"fit_s": self.seconds}
        if value is None:
            return {"error": {"type": "DivergenceError"}, "best": None, "time": time}
        return {
            "error": None, "time": time, "epochs": job.trainer.epochs, "dataset": None,
            "best": {"map_50": value, "map": value / 2, "epoch": 0, "step": 10},
            "phases": [{}], "step_time": {"median_s": 0.1}, "loss": [[1.0, 10, 2.0]],
            "map_50": [[2.0, 10, value]], "config": {"trainer": {"val_every": 1}},
        }  # fmt: skip

    @property
    def rates(self) -> list[tuple[float, float]]:
        """Rates of the runs: of the backbone, of the heads."""
        return [(job.trainer.base_lr, job.trainer.head_lr) for job in self.made]
