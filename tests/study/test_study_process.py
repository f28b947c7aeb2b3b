"""A run's process: it ends with its parent, hears each signal once, and shares no folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import tlx.common.lock
import tlx.training.run
from tests.conftest import Compose
from tlx.common.errors import BusyError
from tlx.common.lock import run_lock
from tlx.config.schema import RunConfig
from tlx.study.attempt import attempt
from tlx.study.isolate import run_in_child
from tlx.training.interrupt import Interrupted
from tlx.training.run import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's rules of processes")
FORK = multiprocessing.get_context("fork")


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sleep(folder: Path) -> None:
    """Say who it is, sleep, and note every interruption."""
    (folder / "pid.part").write_text(f"{os.getpid()} {os.getpgid(0)}")
    try:
        (folder / "pid.part").rename(folder / "pid")  # from here on it is interrupted
        time.sleep(60)
    except KeyboardInterrupt:
        with (folder / "heard").open("a") as file:
            file.write("once ")
        time.sleep(0.3)  # a second signal would end this early


def supervise(folder: Path) -> None:
    try:
        run_in_child(sleep, folder)
    except Interrupted:
        (folder / "told").touch()


@pytest.fixture
def family(tmp_path: Path) -> tuple[multiprocessing.process.BaseProcess, int, int]:
    """A parent with a sleeping child: the parent, the child's pid and its process group."""
    parent = FORK.Process(target=supervise, args=(tmp_path,))
    parent.start()
    wait_for((tmp_path / "pid").exists)
    pid, group = map(int, (tmp_path / "pid").read_text().split())
    return parent, pid, group


Family = tuple[multiprocessing.process.BaseProcess, int, int]


def test_a_child_does_not_outlive_a_killed_parent(family: Family) -> None:
    parent, child, _ = family
    assert alive(child)
    parent.kill()
    parent.join()
    wait_for(lambda: not alive(child))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_passed_on_once(family: Family, number: int, tmp_path: Path) -> None:
    parent, child, group = family
    assert group != os.getpgid(parent.pid or 0)  # a terminal's Ctrl+C takes no second way to it
    os.kill(parent.pid or 0, number)
    parent.join()
    assert not alive(child)
    assert (tmp_path / "heard").read_text() == "once "
    assert (tmp_path / "told").exists()


def test_a_killed_child_is_recorded_and_raises_nothing(
    tiny_config: Compose, tmp_path: Path
) -> None:
    def start(cfg: RunConfig, folder: Path) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    attempt(start, tiny_config(), tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["status"] == "failed"
    assert record["error"]["type"] == "SIGKILL"


def hold(folder: Path) -> None:
    with run_lock(folder):
        sleep(folder)


def test_a_second_process_is_refused_and_touches_nothing(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(tlx.common.lock, "_PATIENCE", 0.0)
    holder = FORK.Process(target=hold, args=(tmp_path,))
    holder.start()
    wait_for((tmp_path / "pid").exists)
    before = json.dumps({"status": "running", "fingerprint": "of the other"})
    (tmp_path / "record.json").write_text(before)
    with pytest.raises(BusyError, match=f"process {holder.pid} on "):
        run(tiny_config(), tmp_path)
    attempt(run, tiny_config(), tmp_path)
    assert (tmp_path / "record.json").read_text() == before
    holder.kill()
    holder.join()
    with run_lock(tmp_path):  # a killed holder lets go
        pass


def test_a_surviving_worker_of_a_killed_run_does_not_keep_its_folder(tmp_path: Path) -> None:
    def with_worker(folder: Path) -> None:
        with run_lock(folder):
            FORK.Process(target=sleep, args=(folder,)).start()
            time.sleep(60)

    holder = FORK.Process(target=with_worker, args=(tmp_path,))
    holder.start()
    wait_for((tmp_path / "pid").exists)
    worker = int((tmp_path / "pid").read_text().split()[0])
    holder.kill()
    holder.join()
    try:
        assert alive(worker)
        with run_lock(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_run_killed_in_its_test_keeps_the_proof_of_its_freeze(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to train then, so the end of training has to be proved all the same."""

    def killed(*_: Any) -> None:
        raise RuntimeError("killed")

    cfg = tiny_config("freeze=8", "trainer.epochs=1")
    with monkeypatch.context() as patch:
        patch.setattr(tlx.training.run, "_test", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run(cfg, tmp_path)
    (tmp_path / "checkpoints" / ".last.ckpt.123.partial").touch()
    record = run(cfg, tmp_path)
    assert record["status"] == "finished"
    assert record["frozen"]["hash_before"] == record["frozen"]["hash_after"] is not None
    assert record["test"]["images"] == 6
    assert not list(tmp_path.rglob("*.partial"))
