"""A run that is stopped or killed at any step goes on to the very numbers of an undisturbed one."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import tlx.training.fit
from tests.conftest import Compose, tiny_overrides
from tests.helpers_process import run_program
from tlx.activations.plan import Forecast
from tlx.common.errors import ConfigError, StorageError, WeightsError
from tlx.config.schema import RunConfig
from tlx.config.typed import stored_config, to_yaml
from tlx.data.dataset import EpochBatches
from tlx.training.detection import DetectionTask
from tlx.training.interrupt import Interrupted
from tlx.training.run import run

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
    make_trainer = tlx.training.fit.make_trainer

    def install(step: int, crash: bool) -> None:
        patched = stopping(make_trainer, step, crash)
        monkeypatch.setattr(tlx.training.fit, "make_trainer", patched)

    return install


def stopping(
    make_trainer: Callable[..., pl.Trainer], step: int, crash: bool
) -> Callable[..., pl.Trainer]:
    """`make_trainer` of a run that stops in a step."""

    def patched(*args: Any, **options: Any) -> pl.Trainer:
        callbacks = [*options.pop("callbacks", []), StopAfter(step, crash)]
        return make_trainer(*args, callbacks=callbacks, **options)

    return patched


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
    one, two = (json.loads((folder / "record.json").read_text()) for folder in (a, b))
    assert course(one) == course(two)
    assert one["frozen"]["hash_before"] == one["frozen"]["hash_after"] is not None
    assert rows(a) == rows(b)
    for name in ("last.ckpt", "best.ckpt"):
        first, second = weights(a, name), weights(b, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


def assert_resumed(
    cfg: RunConfig, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that will be stopped in a step goes on to the numbers of `tmp_path/whole`."""
    folder = tmp_path / f"stopped{step}"
    with pytest.raises(Interrupted):
        run(cfg, folder)
    monkeypatch.undo()
    assert json.loads((folder / "record.json").read_text())["status"] == "interrupted"
    run(cfg, folder)
    assert_equal_runs(tmp_path / "whole", folder)
    record = json.loads((folder / "record.json").read_text())
    assert record["resumes"] == len(record["resumed"]) == 1
    [note] = record["resumed"]
    assert (note["step"], note["workers"]) == (step, cfg.trainer.workers)


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
    stopped: Callable[[int, bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cfg = tiny_config(
        *POLICIES[policy], "trainer.checkpoint_minutes=60", f"trainer.workers={workers}"
    )
    run(cfg, tmp_path / "whole")
    assert len(json.loads((tmp_path / "whole/record.json").read_text())["loss"]) == STEPS
    for step in (1, 3, 5) if workers else range(1, STEPS):  # 3: at the border of the epochs
        stopped(step, False)
        assert_resumed(cfg, tmp_path, step, monkeypatch)


def test_batches_of_unlike_sizes_are_resumed_exactly(
    tiny_config: Compose,
    tmp_path: Path,
    stopped: Callable[[int, bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cfg = tiny_config(
        "freeze=8", "trainer.batch_size=5", "trainer.workers=1", "cache=memory", "cache.views=1"
    )
    record = run(cfg, tmp_path / "whole")
    assert len(record["loss"]) == 2 * 4, "18 pictures in batches of 5, 5, 4 and 4, twice"
    rates = [float(row["lr_head"]) for row in rows(tmp_path / "whole") if row["loss"]]
    assert rates[-2] > rates[-1] == 0, "the rate ends with the last step"
    for step in (3, 4, 6):
        stopped(step, False)
        assert_resumed(cfg, tmp_path, step, monkeypatch)


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


@pytest.mark.parametrize("step", [2, 5])
def test_crash_loses_only_the_steps_since_the_last_checkpoint(
    step: int,
    tiny_config: Compose,
    tmp_path: Path,
    stopped: Callable[[int, bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cfg: RunConfig = tiny_config("freeze=4", "trainer.checkpoint_minutes=0")
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
    """With a loader process, as is the default, and a cache that the kill catches half filled."""
    overrides = [*tiny_overrides(tiny_set, tmp_path), "freeze=8", "trainer.checkpoint_minutes=0"]
    overrides += ["cache=disk", "cache.views=2", "trainer.workers=1"]
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


@pytest.fixture(scope="module")
def two_runs(
    tiny_set: Path, tmp_path_factory: pytest.TempPathFactory, compose_config: Compose
) -> tuple[Path, RunConfig]:
    """A folder with `run`, which was stopped in its second epoch, and the undisturbed `whole`."""
    folder = tmp_path_factory.mktemp("two_runs")
    cfg = compose_config(*tiny_overrides(tiny_set, folder), "freeze=8", "trainer.workers=1")
    make_trainer = tlx.training.fit.make_trainer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tlx.training.fit, "make_trainer", stopping(make_trainer, 5, False))
        with pytest.raises(Interrupted):
            run(cfg, folder / "run")
    run(cfg, folder / "whole")
    return folder, cfg


@pytest.fixture
def interrupted(two_runs: tuple[Path, RunConfig], tmp_path: Path) -> RunConfig:
    """Those runs in `tmp_path`, with their configuration."""
    shutil.copytree(two_runs[0], tmp_path, dirs_exist_ok=True)
    return deepcopy(two_runs[1])


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "a flipped bit": lambda content: (
        content[: (i := len(content) // 2)] + bytes([content[i] ^ 4]) + content[i + 1 :]
    ),
}


def test_damage_to_one_checkpoint_leaves_the_other(tiny_config: Compose, tmp_path: Path) -> None:
    """Also after an epoch that was the best, when both hold the same."""
    run(tiny_config("freeze=8", "trainer.epochs=1"), tmp_path / "run")
    last, best = (tmp_path / "run" / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    assert last.read_bytes() == best.read_bytes()
    with last.open("r+b") as file:
        file.write(bytes(100))
    assert last.read_bytes() != best.read_bytes()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_last_checkpoint_gives_way_to_the_best(
    damage: str, interrupted: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    last = checkpoints / "last.ckpt"
    last.write_bytes(DAMAGE[damage](last.read_bytes()))
    record = run(interrupted, tmp_path / "run")
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")
    assert [note["checkpoint"] for note in record["resumed"]] == ["best.ckpt"]
    assert "last.ckpt cannot be read as weights" in caplog.text
    assert "after step 3, instead" in caplog.text


def test_where_every_checkpoint_is_damaged_the_way_on_is_said(
    interrupted: RunConfig, tmp_path: Path
) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    for path in checkpoints.glob("*.ckpt"):
        path.write_bytes(b"")
    before = (tmp_path / "run" / "record.json").read_bytes()
    with pytest.raises(WeightsError, match=r"best\.ckpt .* To start this run anew, delete"):
        run(interrupted, tmp_path / "run")
    assert (tmp_path / "run" / "record.json").read_bytes() == before


def test_checkpoints_of_another_configuration_are_not_continued(
    interrupted: RunConfig, tmp_path: Path
) -> None:
    interrupted.trainer.head_lr = 0.5
    with pytest.raises(ConfigError, match="belongs to a run of another configuration"):
        run(interrupted, tmp_path / "run")


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


def test_a_full_disk_costs_no_checkpoint(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config("freeze=8", "trainer.checkpoint_minutes=0")
    save = pl.Trainer.save_checkpoint

    def fail(trainer: pl.Trainer, path: Path, *more: Any) -> None:
        save(trainer, path, *more)
        if trainer.global_step == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(pl.Trainer, "save_checkpoint", fail)
        with pytest.raises(StorageError, match=r"last\.ckpt cannot be written: No space left"):
            run(cfg, tmp_path / "run")
    record = run(cfg, tmp_path / "run")
    run(cfg, tmp_path / "whole")
    assert record["resumed"][0]["step"] == 1
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")


STORED = {
    "an interpolation": ("seed: 0", "seed: ${oc.env:HOME}", "interpolation"),
    "an escape": ("seed: 0", "seed: !!python/object/apply:os.system [id]", "cannot be read"),
    "half": (None, "", "cannot be read|is not"),
    "another cache": ("cache_dir: ", "cache_dir: /somewhere/else #", "names the cache_dir"),
    "another type": ("seed: 0", "seed: [0]", "does not fit"),
    "an unknown key": ("seed: 0", "seed: 0\nsede: 1", "does not fit"),
    "a list": (None, "- 1\n- 2\n", "no configuration"),
}


@pytest.mark.parametrize("name", STORED)
def test_a_stored_configuration_is_read_as_a_strangers(
    name: str, tiny_config: Compose, tmp_path: Path
) -> None:
    cfg = tiny_config()
    path = tmp_path / "config.yaml"
    text = to_yaml(cfg)
    old, new, message = STORED[name]
    path.write_text(text.replace(old, new, 1) if old else new or text[: len(text) // 2] + "\n :")
    with pytest.raises(ConfigError, match=message) as raised:
        stored_config(path, cache_dir=str(cfg.cache_dir))
    assert "\n" not in str(raised.value)
    path.write_text(text)
    assert stored_config(path, cache_dir=str(cfg.cache_dir)) == cfg
