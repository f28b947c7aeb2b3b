"""A run that is stopped or killed at any step goes on to the very numbers of an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import Compose, tiny_overrides
from omegaconf import DictConfig

import tlx.fit
from tlx.activations.plan import Forecast
from tlx.interrupt import Interrupted
from tlx.run import run

ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}  # other tests run beside this one
STEPS = 6  # two epochs of three batches


class StopAfter(pl.Callback):
    """Behave like a signal that arrives in the given step, or like a crash after it."""

    def __init__(self, step: int, crash: bool) -> None:
        self.step, self.crash = step, crash

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step + 1 == self.step:
            if self.crash:
                raise RuntimeError("killed")
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    """Make the next run stop in a step."""
    make_trainer = tlx.fit.make_trainer

    def install(step: int, crash: bool) -> None:
        def patched(*args: Any, **options: Any) -> pl.Trainer:
            callbacks = [*options.pop("callbacks", []), StopAfter(step, crash)]
            return make_trainer(*args, callbacks=callbacks, **options)

        monkeypatch.setattr(tlx.fit, "make_trainer", patched)

    return install


def course(record: dict[str, Any]) -> dict[str, Any]:
    """All numbers of a run that do not depend on the clock."""
    return {
        "loss": [row[1:] for row in record["loss"]],
        "map": [row[1:] for row in record["map"]],
        "best": record["best"],
        "test": record["test"],
        "frozen": record["frozen"],
    }


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return dict(state)


def assert_equal_runs(a: Path, b: Path) -> None:
    one, two = (json.loads((folder / "record.json").read_text()) for folder in (a, b))
    assert course(one) == course(two)
    assert one["frozen"]["hash_before"] == one["frozen"]["hash_after"] is not None
    first, second = weights(a), weights(b)
    assert all(torch.equal(first[key], second[key]) for key in first)


POLICIES = {
    "fixed": ["freeze=8"],
    "two_phase": ["freeze=8", "policy=two_phase", "policy.unfreeze_at=0.5"],
    "ema": ["freeze=8", "trainer.ema_decay=0.9"],
    "cached": ["freeze=8", "trainer.ema_decay=0.9", "cache=disk", "cache.views=1"],
}


@pytest.mark.parametrize("policy", POLICIES)
def test_stop_in_any_step_and_resume(
    policy: str,
    tiny_config: Compose,
    tmp_path: Path,
    stopped: Callable[[int, bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cfg = tiny_config(*POLICIES[policy], "trainer.checkpoint_minutes=60")
    run(cfg, tmp_path / "whole")
    assert len(json.loads((tmp_path / "whole/record.json").read_text())["loss"]) == STEPS
    for step in range(1, STEPS):
        folder = tmp_path / f"stopped{step}"
        with monkeypatch.context():
            stopped(step, False)
            with pytest.raises(Interrupted):
                run(cfg, folder)
        monkeypatch.undo()
        assert json.loads((folder / "record.json").read_text())["status"] == "interrupted"
        run(cfg, folder)
        assert_equal_runs(tmp_path / "whole", folder)
        assert json.loads((folder / "record.json").read_text())["resumes"] == 1


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


@pytest.mark.parametrize("step", [2, 5])
def test_crash_loses_only_the_steps_since_the_last_checkpoint(
    step: int,
    tiny_config: Compose,
    tmp_path: Path,
    stopped: Callable[[int, bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cfg: DictConfig = tiny_config("freeze=4", "trainer.checkpoint_minutes=0")
    run(cfg, tmp_path / "whole")
    stopped(step, True)
    with pytest.raises(RuntimeError, match="killed"):
        run(cfg, tmp_path / "crashed")
    monkeypatch.undo()
    record = json.loads((tmp_path / "crashed/record.json").read_text())
    assert record["status"] == "failed"
    assert record["error"]["message"] == "killed"
    run(cfg, tmp_path / "crashed")
    assert_equal_runs(tmp_path / "whole", tmp_path / "crashed")


def test_sigkill_of_a_real_process_then_resume(tiny_set: Path, tmp_path: Path) -> None:
    """With a cache of activations, which the kill catches half filled."""
    overrides = [*tiny_overrides(tiny_set, tmp_path), "freeze=8", "trainer.checkpoint_minutes=0"]
    overrides += ["cache=disk", "cache.views=2"]
    train = [sys.executable, "-m", "tlx.train", *overrides, "trainer.epochs=3"]
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [*train, f"hydra.run.dir={killed}"], stderr=subprocess.PIPE, env=ONE_THREAD
    )
    deadline = time.monotonic() + 200
    while not (killed / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    resume = [sys.executable, "-m", "tlx.train", f"resume={killed}"]
    done = subprocess.run(
        resume, capture_output=True, text=True, timeout=300, check=False, env=ONE_THREAD
    )
    assert done.returncode == 0, done.stderr
    # The other run reads what the killed one and its continuation have stored.
    whole = [*train, f"hydra.run.dir={tmp_path / 'whole'}"]
    subprocess.run(whole, check=True, capture_output=True, timeout=300, env=ONE_THREAD)
    assert_equal_runs(tmp_path / "whole", killed)
    rows = (killed / "metrics.csv").read_text().splitlines()
    steps = [row.split(",")[0] for row in rows[1:] if row.split(",")[3]]
    assert steps == [str(i) for i in range(1, 10)]


def test_resume_refuses_other_settings(tmp_path: Path, tiny_set: Path) -> None:
    (tmp_path / "config.yaml").write_text("freeze: none\n")
    command = [sys.executable, "-m", "tlx.train", f"resume={tmp_path}", "trainer.epochs=9"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "leave out trainer.epochs=9" in done.stderr
