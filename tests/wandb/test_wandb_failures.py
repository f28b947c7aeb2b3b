"""Whatever happens to W&B, a run ends, in time, with a complete record."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytorch_lightning as pl

import tlx.training.fit
import tlx.wandb.service
from tests.conftest import Compose
from tests.wandb.test_wandb_mirror import csv_rows
from tlx.training.run import run
from tlx.wandb.offline import read_offline
from tlx.wandb.service import SERVICE, StalledError, bounded, open_run, stop_service

WANDB = ("logger=wandb", "logger.mode=offline", "freeze=8")


def services() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if p.name().startswith(SERVICE)]


class AtStep(pl.Callback):
    """Do something to W&B's service in a step, then crash, if asked to."""

    def __init__(self, step: int, action: Callable[[], Any], crash: bool) -> None:
        self.step, self.action, self.crash = step, action, crash

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step + 1 == self.step:
            self.action()
            if self.crash:
                raise RuntimeError("killed")


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have something happen in a step of the next run."""
    make_trainer = tlx.training.fit.make_trainer

    def install(step: int, action: Callable[[], Any], crash: bool = False) -> None:
        def patched(*args: Any, **options: Any) -> pl.Trainer:
            callbacks = [*options.pop("callbacks", []), AtStep(step, action, crash)]
            return make_trainer(*args, callbacks=callbacks, **options)

        monkeypatch.setattr(tlx.training.fit, "make_trainer", patched)

    return install


def signal_service(number: int) -> None:
    found = services()
    assert found, "no service to hit"
    for process in found:
        process.send_signal(number)


def assert_complete(folder: Path, steps: int = 6) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    assert record["status"] == "finished"
    assert [point[1] for point in record["loss"]] == list(range(1, steps + 1))
    assert record["test"]["map"] is not None
    assert len(csv_rows(folder)) == steps + 2
    return record


def test_not_installed(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    run(tiny_config(*WANDB), tmp_path / "run")
    assert assert_complete(tmp_path / "run")["wandb"] is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_service_is_killed_or_stalls_in_mid_run(
    number: int,
    tiny_config: Compose,
    tmp_path: Path,
    at_step: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def strike() -> None:
        signal_service(number)  # first: a service on a busy machine may need longer than that
        monkeypatch.setattr(tlx.wandb.logger, "CALL_S", 2.0)
        monkeypatch.setattr(tlx.wandb.service, "GRACE_S", 2.0)

    at_step(2, strike)
    run(tiny_config(*WANDB, "logger.upload_s=1"), tmp_path / "run")
    assert assert_complete(tmp_path / "run")["wandb"]["fault"]
    assert not services()  # nothing is left that the end of the program would wait for
    # The next run in the same process has a mirror again.
    monkeypatch.undo()
    run(tiny_config(*WANDB, "seed=1"), tmp_path / "next")
    assert assert_complete(tmp_path / "next")["wandb"]["fault"] is None


@pytest.mark.parametrize("service_dies", [True, False])
def test_killed_and_resumed_run_is_one_run_without_double_or_lost_rows(
    service_dies: bool,
    tiny_config: Compose,
    tmp_path: Path,
    at_step: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cfg = tiny_config(*WANDB, "trainer.epochs=3", "trainer.checkpoint_minutes=60")
    folder = tmp_path / "run"
    # After the second validation; the best checkpoint may be the first's: steps are trained again.
    at_step(8, lambda: service_dies and signal_service(signal.SIGKILL), crash=True)
    with pytest.raises(RuntimeError, match="killed"):
        run(cfg, folder)
    monkeypatch.undo()
    time.sleep(1.1)  # W&B names folders by the second
    record = run(cfg, folder)
    assert record["resumes"] == 1
    assert len(list(folder.glob("wandb/offline-run-*"))) == 2
    [read], _ = read_offline(folder)
    # A service that is killed may not have written its first block: the second one has it all.
    assert len(read.sources) == 2 or service_dies
    rows = [{k: v for k, v in row.items() if "/" not in k} for row in read.rows]
    assert rows == csv_rows(folder)
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 10))
    assert read.summary["status"] == "finished"
    assert read.exit_code == 0


SCRIPT = """
import os, signal, sys, psutil
import tlx.wandb.logger, tlx.wandb.service
from pathlib import Path
from tlx.records.columns import DETECT
from tlx.wandb.service import open_run
tlx.wandb.logger.CALL_S = tlx.wandb.service.CALL_S = float(sys.argv[2])
tlx.wandb.service.GRACE_S = 2.0
run, mode = open_run(sys.argv[3], upload_s=1.0, id="abc", project="p", dir=sys.argv[1])
mirror = tlx.wandb.logger.Mirror(run, mode, "study", 1.0, DETECT)
if sys.argv[4] != "0":
    service = [p for p in psutil.Process().children() if "wandb" in p.name()]
    assert service
    [os.kill(p.pid, int(sys.argv[4])) for p in service]
    psutil.wait_procs(service, 5.0 if sys.argv[4] == "9" else 0.0)  # a busy machine takes its time
mirror.log_rows([{"step": i, "epoch": 0, "seconds": float(i), "loss": 1.0} for i in range(1, 9)])
mirror.close({"status": "failed"}, Path(sys.argv[1]), checkpoint=False)
print(mode, mirror.about["fault"])
"""


def program(folder: Path, limit: float, mode: str, number: int, **env: str) -> tuple[str, str]:
    arguments = [str(folder), str(limit), mode, str(number)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_program_ends_although_its_service_does_not_answer(number: int, tmp_path: Path) -> None:
    printed, said = program(tmp_path, 2.0, "offline", number)
    assert printed.startswith("offline ")
    assert "None" not in printed
    assert "Traceback" not in said


def test_a_server_that_does_not_answer_makes_the_run_offline(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # it accepts, and says nothing
        port = server.getsockname()[1]
        printed, _ = program(
            tmp_path, 3.0, "online", 0,
            WANDB_BASE_URL=f"http://127.0.0.1:{port}", WANDB_API_KEY="0" * 40,
        )  # fmt: skip
    assert printed == "offline None\n"
    [read], _ = read_offline(tmp_path)
    assert [row["step"] for row in read.rows] == list(range(1, 9))


def test_a_service_that_died_between_two_runs_is_started_anew(tmp_path: Path) -> None:
    open_run("offline", upload_s=1.0, id="one", project="p", dir=tmp_path)
    found = services()
    signal_service(signal.SIGKILL)
    psutil.wait_procs(found, timeout=10)
    second, mode = open_run("offline", upload_s=1.0, id="two", project="p", dir=tmp_path)
    assert (mode, second.id) == ("offline", "two")
    assert services()


def test_bounded_gives_up_and_wraps_every_error() -> None:
    started = time.monotonic()
    with pytest.raises(StalledError, match=r"0\.2 s"):
        bounded(lambda: time.sleep(60), 0.2)
    assert time.monotonic() - started < 10
    with pytest.raises(tlx.wandb.service.ServiceError, match="SystemExit: 3"):
        bounded(lambda: sys.exit(3), 10)
    assert bounded(lambda: 7, 10) == 7


@pytest.fixture(autouse=True)
def _no_service_left() -> Any:
    yield
    stop_service()
