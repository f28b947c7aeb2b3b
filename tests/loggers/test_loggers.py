"""Several loggers of one run: what each holds, what a resumed run gives, what a fault costs."""

from __future__ import annotations

import csv
import json
import os
import socket
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tlx.loggers.lightning
from tests.conftest import Compose
from tests.training.helpers_stop import stop_next_run
from tlx.common.errors import ConfigError
from tlx.loggers.base import LOGGERS, RunLogger, make_loggers, names_of, register
from tlx.training.check import check_run
from tlx.training.run import run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("none", []),
        ("csv", ["csv"]),
        ("[csv,wandb,csv]", ["csv", "wandb"]),
        ("[none,csv]", ["csv"]),
    ],
)
def test_one_none_or_several(asked: str, names: list[str], tiny_config: Compose) -> None:
    assert names_of(tiny_config(f"logger.name={asked}")) == names


def test_an_unknown_logger_is_found_before_anything_begins(tiny_config: Compose) -> None:
    with pytest.raises(ConfigError, match=r"logger\.name=tensorbord .*did you mean .*tensorboard"):
        check_run(tiny_config("logger.name=tensorbord"))


class Broken(RunLogger):
    """A service that fails at the second call."""

    def __init__(self) -> None:
        self.about, self.calls, self.closed = {"fault": None}, 0, False

    def log_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.calls += 1
        if self.calls > 1:
            raise OSError("no route")

    def close(self, record: Mapping[str, Any], run_dir: Path, *, checkpoint: bool) -> None:
        self.closed = True


def test_one_that_fails_is_off_and_the_others_go_on(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Broken()
    monkeypatch.setitem(LOGGERS, "broken", lambda cfg, run_dir, earlier: broken)
    record = run(tiny_config("logger.name=[broken,csv]"), tmp_path / "run")
    assert record["status"] == "finished"
    assert record["loggers"]["broken"]["fault"] == "OSError: no route"
    assert broken.calls == 2
    assert broken.closed
    assert record["loggers"]["csv"] == {"folder": "csv", "fault": None}
    stored = json.loads((tmp_path / "run" / "record.json").read_text())
    assert stored["loggers"] == record["loggers"]


@pytest.mark.parametrize("name", ["csv", "tensorboard", "mlflow"])
def test_a_resumed_run_has_each_step_once(
    name: str, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "csv" and not find_spec(name):
        pytest.skip(f"{name} is not installed: pip install -e '.[loggers]'")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    cfg = tiny_config(f"logger.name={name}", "trainer.checkpoint_minutes=0", "trainer.workers=1",
                      "logger.predictions=2")  # fmt: skip
    with monkeypatch.context() as patch:
        stop_next_run(patch, 5, crash=True)  # as a kill would, before the second epoch's end
        with pytest.raises(RuntimeError, match="killed"):
            run(cfg, tmp_path / "run")
    record = run(cfg, tmp_path / "run")
    wanted = [(step, value) for _, step, value in record["loss"]]
    if name == "csv":
        rows = rows_of(tmp_path / "run" / "csv" / "metrics.csv")
        found = [(int(r["step"]), float(r["loss"])) for r in rows if r["loss"]]
        tested = [float(r["test_map_50"]) for r in rows if r["test_map_50"]]
    elif name == "mlflow":
        from mlflow.tracking import MlflowClient

        about = record["loggers"]["mlflow"]
        client = MlflowClient(about["tracking"])
        history = client.get_metric_history(about["id"], "loss")
        found = sorted((metric.step, metric.value) for metric in history)
        tested = [m.value for m in client.get_metric_history(about["id"], "test_map_50")]
        # The stopped process's run is gone.
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
        assert [run.info.run_id for run in runs] == [about["id"]]
    else:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        board = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
        board.Reload()
        found = [(e.step, e.value) for e in board.Scalars("loss")]
        tested = [e.value for e in board.Scalars("test_map_50")]
        assert board.Tags()["images"]
    assert [step for step, _ in found] == [step for step, _ in wanted]
    assert [value for _, value in found] == pytest.approx([value for _, value in wanted])
    assert tested == pytest.approx([record["test"]["map_50"]])


def test_mlflow_keeps_figures_and_files(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not find_spec("mlflow"):
        pytest.skip("MLflow is not installed: pip install -e '.[loggers]'")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    record = run(tiny_config("logger.name=mlflow"), tmp_path / "runs" / "study" / "run")
    about = record["loggers"]["mlflow"]
    assert about["fault"] is None
    from mlflow.tracking import MlflowClient

    client = MlflowClient(about["tracking"])
    losses = client.get_metric_history(about["id"], "loss")
    assert [(m.step, m.value) for m in sorted(losses, key=lambda m: m.step)] == [
        (step, pytest.approx(value)) for _, step, value in record["loss"]
    ]
    assert {a.path for a in client.list_artifacts(about["id"])} > {"record.json", "best.ckpt"}


def test_a_server_that_is_away_costs_seconds(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow alone would try for four minutes, at each of several requests."""
    if not find_spec("mlflow"):
        pytest.skip("MLflow is not installed: pip install -e '.[loggers]'")
    tries, patience = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
    monkeypatch.setenv(tries, "0")
    monkeypatch.delenv(patience, raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free.getsockname()[1]}")
    record = run(tiny_config("logger.name=mlflow"), tmp_path / "run")
    assert record["status"] == "finished"
    assert record["loggers"] is None
    assert os.environ[tries] == "0"  # who has said how long to wait is heard
    assert os.environ[patience] == "10"


def test_a_missing_package_is_named_before_training(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: Any, **__: Any) -> Any:
        raise ModuleNotFoundError("No module named 'mlflow'")

    monkeypatch.setattr(tlx.loggers.lightning, "MLFlowLogger", without)
    with pytest.raises(Exception, match=r"pip install 'tlx.*\[loggers\]'"):
        make_loggers(tiny_config("logger.name=mlflow"), tmp_path, {})


def test_two_parts_of_one_name_are_refused() -> None:
    def other(cfg: Any, run_dir: Path, earlier: Any) -> None:
        return None

    with pytest.raises(ConfigError, match=r"registered by tlx\.loggers\.lightning and by tests"):
        register("csv")(other)
