"""Runs that stop in a given step, and what must be equal after they have gone on."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import tlx.training.fit


class StopAfter(pl.Callback):
    """Behave like a signal that arrives in the given step, or like a crash after it."""

    def __init__(self, step: int, crash: bool) -> None:
        self.step, self.crash = step, crash

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step + 1 == self.step:
            if self.crash:
                raise RuntimeError("killed")
            os.kill(os.getpid(), signal.SIGINT)


def stop_next_run(monkeypatch: pytest.MonkeyPatch, step: int, crash: bool = False) -> None:
    """Let the next run stop in a step."""
    make_trainer = tlx.training.fit.make_trainer

    def stopping(*args: Any, **options: Any) -> pl.Trainer:
        callbacks = [*options.pop("callbacks", []), StopAfter(step, crash)]
        return make_trainer(*args, callbacks=callbacks, **options)

    monkeypatch.setattr(tlx.training.fit, "make_trainer", stopping)


def course(record: dict[str, Any]) -> dict[str, Any]:
    """All numbers of a run that do not depend on the clock."""
    return {
        "loss": [row[1:] for row in record["loss"]],
        "map": [row[1:] for row in record["map"]],
        "best": record["best"],
        "test": record["test"],
        "frozen": record["frozen"],
    }


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]
    return dict(state)


def rows(folder: Path) -> list[dict[str, str]]:
    """metrics.csv without the clock."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_equal_runs(a: Path, b: Path) -> None:
    """Of runs that freeze something from the first step on."""
    frozen = json.loads((a / "record.json").read_text())["frozen"]
    assert frozen["hash_before"] == frozen["hash_after"] is not None
    assert_equal_courses(a, b)


def assert_equal_courses(a: Path, b: Path) -> None:
    """Every number and every weight, bit by bit."""
    one, two = (json.loads((folder / "record.json").read_text()) for folder in (a, b))
    assert course(one) == course(two)
    assert rows(a) == rows(b)
    for name in ("last.ckpt", "best.ckpt"):
        first, second = weights(a, name), weights(b, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)
