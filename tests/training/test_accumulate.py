"""Optimizer steps of several batches: the update, what is counted in steps, and resuming."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import tlx.training.fit
from tests.classify.helpers_classify import tiny, write_set
from tests.conftest import Compose
from tests.training.helpers_stop import assert_equal_runs, rows, weights
from tlx.classify import network
from tlx.classify.heads import LinearHead
from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.data.dataset import EpochBatches
from tlx.models.detector import Targets
from tlx.models.detectors.ssd.loss import multibox_loss
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.likeness import obstacle
from tlx.report.comparison.records import Record
from tlx.study.order import arrange
from tlx.training.freeze_task import FreezeTask
from tlx.training.interrupt import Interrupted
from tlx.training.run import run


@pytest.mark.parametrize(("batch_size", "accumulate"), [(3, 2), (2, 4)])
def test_the_update_is_that_of_one_large_batch(
    batch_size: int, accumulate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without batch norm in training mode, and where each picture has one part in the loss.

    Six batches of two in steps of four: the second step has two, whose mean it is. With a fault
    there (Lightning divides by four) its gradient would be half of what it should be.
    """
    root = write_set(tmp_path / "set", {"train": 4, "val": 1, "test": 1})
    # The head's own batch norm would see the batches.
    monkeypatch.setitem(
        network.HEADS, "linear", lambda *given: LinearHead(*given[:3], normalize=False)
    )
    common = [
        "trainer=sgd", "freeze=14", "trainer.freeze_bn=true", "classifier.dropout=0",
        "data.augment=off", "trainer.epochs=1", "trainer.warmup_steps=0", "trainer.timer_warmup=0",
    ]  # fmt: skip
    parts = tiny(
        root, tmp_path, *common,
        f"trainer.batch_size={batch_size}", f"trainer.accumulate={accumulate}",
    )  # fmt: skip
    record = run(parts, tmp_path / "parts")
    assert [row[1] for row in record["loss"]] == [1, 2]
    assert record["step_time"]["steps"] == 2
    sizes = [6, 6] if accumulate == 2 else [8, 4]
    monkeypatch.setattr("tlx.data.dataset.batch_sizes", lambda count, size: sizes)
    run(tiny(root, tmp_path, *common, f"trainer.batch_size={sizes[0]}"), tmp_path / "one")
    for here, there in zip(rows(tmp_path / "parts"), rows(tmp_path / "one"), strict=True):
        for key in ("step", "loss", "gradient_norm", "lr_base", "lr_head"):
            assert here[key] == there[key] == "" or (
                float(here[key]) == pytest.approx(float(there[key]), rel=1e-4)
            ), key
    a, b = (weights(tmp_path / name, "last.ckpt") for name in ("parts", "one"))
    for key, value in b.items():
        torch.testing.assert_close(a[key], value, rtol=1e-4, atol=1e-6)


def test_batches_that_weigh_unlike_are_a_mean_of_means() -> None:
    """What differs from a large batch: a loss is divided by its own batch's positives."""
    torch.manual_seed(0)
    priors = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.2, 0.2, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2]])
    logits, offsets = torch.randn(2, 3, 2), torch.randn(2, 3, 4)
    boxes = torch.tensor([[[0.3, 0.3, 0.7, 0.7], [0.0, 0.0, 0.0, 0.0]],
                          [[0.1, 0.1, 0.3, 0.3], [0.7, 0.7, 0.9, 0.9]]])  # fmt: skip
    labels = torch.tensor([[1, 0], [1, 1]])

    def loss(part: slice) -> float:
        targets = Targets(boxes[part], labels[part])
        return float(multibox_loss(logits[part], offsets[part], targets, priors)["loss"])

    one, two, both = loss(slice(0, 1)), loss(slice(1, 2)), loss(slice(0, 2))
    assert both == pytest.approx((one + 2 * two) / 3)
    assert both != pytest.approx((one + two) / 2, rel=1e-3)


def test_the_order_counts_batches_and_is_asked_for_in_steps() -> None:
    """Seven batches an epoch in steps of three: 3, 3 and 1."""
    plain = EpochBatches(14, 2, seed=1, steps_done=lambda: 0)
    for steps, first in ((0, 0), (1, 3), (2, 6), (3, 7), (4, 10)):
        order = EpochBatches(14, 2, 1, steps_done=lambda steps=steps: steps, accumulate=3)
        assert order.first_of(steps) == first
        assert next(iter(order)) == plain.at(first)
        assert len(list(order)) == 7 - first % 7


class StopInBatch(pl.Callback):
    """A signal, or a crash, in the middle of a step."""

    def __init__(self, batch: int, crash: bool) -> None:
        self.batch, self.crash = batch, crash

    def on_before_backward(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            if self.crash:
                raise RuntimeError("killed")
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("workers", "crash"), [(0, False), (1, False), (0, True)])
def test_a_stop_in_the_middle_of_a_step_resumes_exactly(
    workers: int, crash: bool, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine batches in steps of two, five an epoch; the average and two phases with them."""
    cfg = tiny_config(
        "freeze=8", "policy=two_phase", "policy.unfreeze_at=0.5", "trainer.accumulate=2",
        "trainer.batch_size=4", "trainer.ema_decay=0.9", f"trainer.workers={workers}",
        f"trainer.checkpoint_minutes={0 if crash else 60}",
    )  # fmt: skip
    whole = run(cfg, tmp_path / "whole")
    assert [row[1] for row in whole["loss"]] == [1, 2, 3, 4, 5, 6], "five batches are three steps"
    steps = [{k: float(v) for k, v in row.items() if v} for row in rows(tmp_path / "whole")]
    assert steps[-2]["lr_head"] == 0, "the rate ends with the last step"
    for row in steps:
        if "loss" in row:
            assert row["loss"] == pytest.approx(row["classification"] + row["localization"])
    make_trainer = tlx.training.fit.make_trainer
    # From 0 over all epochs: the first of steps 2 and 5; of a crash the second, behind what a
    # checkpoint must not be written at.
    for batch in (3, 8) if crash else (2, 7):
        with monkeypatch.context() as patch:
            patch.setattr(
                tlx.training.fit, "make_trainer",
                lambda *a, callbacks=(), batch=batch, **o: make_trainer(
                    *a, callbacks=[*callbacks, StopInBatch(batch, crash)], **o
                ),
            )  # fmt: skip
            with pytest.raises(RuntimeError if crash else Interrupted):
                run(cfg, tmp_path / "stopped")
    record = run(cfg, tmp_path / "stopped")
    assert [note["step"] for note in record["resumed"]] == ([1, 4] if crash else [2, 5])
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


def test_clipping_and_norm_are_of_the_whole_step(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    clip = FreezeTask.configure_gradient_clipping

    def counted(task: FreezeTask, *given: Any, **named: Any) -> None:
        asked.append(task.trainer.fit_loop.batch_idx)
        clip(task, *given, **named)

    monkeypatch.setattr(FreezeTask, "configure_gradient_clipping", counted)
    run(tiny_config("freeze=8", "trainer.accumulate=2", "trainer.epochs=1"), tmp_path / "run")
    assert asked == [1, 2], "three batches: one step of two, one of one"
    kept = json.loads((tmp_path / "run/record.json").read_text())
    assert kept["gradients"]["median_norm"] == pytest.approx(
        np.median([float(row["gradient_norm"]) for row in rows(tmp_path / "run") if row["loss"]])
    )


def test_no_step_of_no_batch(compose_config: Compose) -> None:
    with pytest.raises(ConfigError, match=r"trainer.accumulate=0 must be at least 1"):
        check_config(compose_config("trainer.accumulate=0"))


def test_steps_of_unlike_numbers_of_batches_are_not_the_same_work() -> None:
    """For a report, and for the order of a study: a record that says nothing had one."""

    def record(**trainer: Any) -> Record:
        return Record(Path("r"), {"batch_size": 24, "config": {"trainer": trainer}})

    one, two, old = record(accumulate=1), record(accumulate=2), record()
    assert obstacle(one, two, ["batch size"]) == "batch size"
    assert obstacle(one, old, ["batch size"]) is None
    settings = [{"trainer.accumulate": 1}, {"trainer.accumulate": 2}, {}]
    arms = [Arm("a", (old,), each).setting for each in settings]
    assert arms[0] == arms[2] != arms[1]
    jobs = [["freeze=4", "trainer.accumulate=1"], ["freeze=4", "trainer.accumulate=2"],
            ["freeze=8", "trainer.accumulate=1"], ["freeze=8", "trainer.accumulate=2"]]  # fmt: skip
    assert arrange(jobs) == [jobs[0], jobs[2], jobs[1], jobs[3]], "each is a study of its own"
