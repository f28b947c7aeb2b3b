"""A run that is stopped or killed at any step goes on to the very numbers of an undisturbed one."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import tlx.training.fit
from tests.conftest import Compose, tiny_overrides
from tests.helpers_process import run_program
from tests.training.helpers_stop import assert_equal_runs, rows, stop_next_run
from tlx.activations.plan import Forecast
from tlx.common.errors import ConfigError
from tlx.config.schema import RunConfig
from tlx.data.dataset import EpochBatches
from tlx.training.detection import DetectionTask
from tlx.training.interrupt import Interrupted
from tlx.training.run import run

STEPS = 6  # two epochs of three batches


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Make the next run stop in a step."""
    return functools.partial(stop_next_run, monkeypatch)


def assert_resumed(
    cfg: RunConfig, folder: Path, steps: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is stopped in each of these steps goes on to the numbers of an undisturbed one."""
    whole = run(cfg, folder / "whole")
    stopped = folder / "stopped"
    for step in steps:
        with monkeypatch.context() as patch:
            stop_next_run(patch, step)
            with pytest.raises(Interrupted):
                run(cfg, stopped)
        assert json.loads((stopped / "record.json").read_text())["status"] == "interrupted"
    record = run(cfg, stopped)
    assert_equal_runs(folder / "whole", stopped)
    assert record["resumes"] == len(record["resumed"]) == len(steps) < len(whole["loss"])
    found = [(note["step"], note["workers"]) for note in record["resumed"]]
    assert found == [(step, cfg.trainer.workers) for step in steps]


POLICIES = {
    "fixed": ["freeze=8"],
    "two_phase": ["freeze=8", "policy=two_phase", "policy.unfreeze_at=0.5"],
    "ema": ["freeze=8", "trainer.ema_decay=0.9"],
    "disk": ["freeze=8", "trainer.ema_decay=0.9", "cache=disk", "cache.views=1"],
    "memory": ["freeze=8", "cache=memory", "cache.views=4"],
    "two_phase disk": [
        "freeze=8",
        "policy=two_phase",
        "policy.unfreeze_at=0.5",
        "cache=disk",
        "cache.views=4",
    ],
}
# One loader process is the default. Every policy meets every number in the slow tier: two processes
# with `fixed` are there, where they are with `memory` here.
DEFAULT_TIER = {
    ("fixed", 0), ("fixed", 1), ("two_phase", 1), ("ema", 0), ("disk", 1),
    ("memory", 2), ("two_phase disk", 1),
}  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "workers"),
    [
        pytest.param(
            policy, workers, marks=() if (policy, workers) in DEFAULT_TIER else pytest.mark.slow
        )
        for policy in POLICIES
        for workers in (0, 1, 2)
    ],
)
def test_stop_in_any_step_and_resume(
    policy: str,
    workers: int,
    tiny_config: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cfg = tiny_config(
        *POLICIES[policy], "trainer.checkpoint_minutes=60", f"trainer.workers={workers}"
    )
    # 3: at the border of the epochs
    assert_resumed(cfg, tmp_path, (1, 3, 5) if workers else range(1, STEPS), monkeypatch)
    assert len(json.loads((tmp_path / "whole/record.json").read_text())["loss"]) == STEPS


def test_batches_of_unlike_sizes_are_resumed_exactly(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config(
        "freeze=8", "trainer.batch_size=5", "trainer.workers=1", "cache=memory", "cache.views=1"
    )
    assert_resumed(cfg, tmp_path, (3, 4, 6), monkeypatch)
    rates = [float(row["lr_head"]) for row in rows(tmp_path / "whole") if row["loss"]]
    assert len(rates) == 2 * 4, "18 pictures in batches of 5, 5, 4 and 4, twice"
    assert rates[-2] > rates[-1] == 0, "the rate ends with the last step"


def test_a_run_that_was_begun_with_fewer_batches_an_epoch_is_not_mixed(
    tiny_config: Compose,
    tmp_path: Path,
    stopped: Callable[[int, bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Checkpoints from before the rest of a small set was trained on do not say how many."""
    for batch_size, goes_on in ((6, True), (5, False)):
        cfg, folder = tiny_config(f"trainer.batch_size={batch_size}"), tmp_path / f"{batch_size}"
        stopped(4, False)
        with pytest.raises(Interrupted):
            run(cfg, folder)
        monkeypatch.undo()
        for path in (folder / "checkpoints").glob("*.ckpt"):
            content = torch.load(path, weights_only=True)
            del content["tlx"]["batches_per_epoch"]
            torch.save(content, path)
        if goes_on:
            run(cfg, folder)
        else:
            with pytest.raises(ConfigError, match="begun with 3 batches an epoch, and now the 18"):
                run(cfg, folder)


@pytest.mark.parametrize("used", [True, False])
def test_a_resumed_run_keeps_its_decision_on_the_cache(
    used: bool,
    tiny_config: Compose,
    tmp_path: Path,
    stopped: Callable[[int, bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The forecast is measured: another measurement must not change a run's rounding."""

    def decide(value: bool) -> None:
        verdict = None if value else "it would not pay back"
        monkeypatch.setattr(
            Forecast, "verdict", lambda _self, mode, _b: verdict if mode == "auto" else None
        )

    cfg = tiny_config("freeze=8", "cache.views=1", "cache.dtype=u8")
    decide(used)
    run(cfg, tmp_path / "whole")
    stopped(2, False)
    with pytest.raises(Interrupted):
        run(cfg, tmp_path / "stopped")
    monkeypatch.undo()
    decide(not used)
    record = run(cfg, tmp_path / "stopped")
    assert record["engine"]["caches"][0]["used"] == used
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


def test_crash_loses_only_the_steps_since_the_last_checkpoint(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg: RunConfig = tiny_config("freeze=4", "trainer.checkpoint_minutes=0")
    run(cfg, tmp_path / "whole")
    for step in (2, 5):
        with monkeypatch.context() as patch:
            stop_next_run(patch, step, crash=True)
            with pytest.raises(RuntimeError, match="killed"):
                run(cfg, tmp_path / "crashed")
        record = json.loads((tmp_path / "crashed/record.json").read_text())
        assert record["status"] == "failed"
        assert record["error"]["message"] == "killed"
    record = run(cfg, tmp_path / "crashed")
    assert [note["step"] for note in record["resumed"]] == [1, 4]
    assert_equal_runs(tmp_path / "whole", tmp_path / "crashed")


def test_sigkill_of_a_real_process_then_resume(tiny_set: Path, tmp_path: Path) -> None:
    """With a loader process, as is the default, and a cache that the kill catches half filled."""
    overrides = [*tiny_overrides(tiny_set, tmp_path), "freeze=8", "trainer.checkpoint_minutes=0"]
    overrides += ["cache=disk", "cache.views=2", "trainer.workers=1"]
    train = [sys.executable, "-m", "tlx.train", *overrides, "trainer.epochs=3"]
    killed = tmp_path / "killed"
    process = subprocess.Popen([*train, f"hydra.run.dir={killed}"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 200
    while not (killed / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = run_program("tlx.train", f"resume={killed}", f"cache_dir={tmp_path}/cache")
    assert done.returncode == 0, done.stderr
    # The other run reads what the killed one and its continuation have stored.
    done = run_program(*train[2:], f"hydra.run.dir={tmp_path / 'whole'}")
    assert done.returncode == 0, done.stderr
    assert_equal_runs(tmp_path / "whole", killed)
    steps = [row["step"] for row in rows(killed) if row["loss"]]
    assert steps == [str(i) for i in range(1, 10)]


def test_resume_refuses_other_settings(tmp_path: Path, tiny_set: Path) -> None:
    (tmp_path / "config.yaml").write_text("freeze: none\n")
    done = run_program("tlx.train", f"resume={tmp_path}", "trainer.epochs=9", timeout=120)
    assert done.returncode == 2
    assert "leave out trainer.epochs=9" in done.stderr


def test_a_batch_out_of_order_stops_the_training(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = EpochBatches.at
    monkeypatch.setattr(EpochBatches, "__iter__", lambda self: (at(self, i + 1) for i in range(3)))
    with pytest.raises(RuntimeError, match=r"step 1 was given the pictures .* and not"):
        run(tiny_config("freeze=8"), tmp_path / "run")


class StopAll(pl.Callback):
    """What a terminal does at Ctrl+C, and a system that ends a service: every process is told."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 1:
            workers = multiprocessing.active_children()
            assert workers
            for process in workers:
                os.kill(process.pid or 0, self.number)
            os.kill(os.getpid(), self.number)
            time.sleep(0.5)  # a loader process that dies of it has died now


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_that_loader_processes_hear_too_is_an_interruption(
    number: signal.Signals, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config("freeze=8", "trainer.workers=1", "trainer.checkpoint_minutes=0")
    make_trainer = tlx.training.fit.make_trainer
    with monkeypatch.context() as patch:
        patch.setattr(
            tlx.training.fit, "make_trainer",
            lambda *a, callbacks=(), **o: make_trainer(
                *a, callbacks=[*callbacks, StopAll(number)], **o
            ),
        )  # fmt: skip
        with pytest.raises(Interrupted):
            run(cfg, tmp_path / "run")
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["status"] == "interrupted"
    assert run(cfg, tmp_path / "run")["status"] == "finished"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_in_the_test_is_an_interruption(
    number: signal.Signals, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config("freeze=8", "trainer.epochs=1")
    test_step = DetectionTask.test_step

    def stop(*arguments: Any) -> None:
        os.kill(os.getpid(), number)
        test_step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(DetectionTask, "test_step", stop)
        with pytest.raises(Interrupted):
            run(cfg, tmp_path / "run")
    assert json.loads((tmp_path / "run/record.json").read_text())["status"] == "interrupted"
    assert run(cfg, tmp_path / "run")["status"] == "finished"
