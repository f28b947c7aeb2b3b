"""Several loggers of one run: what each holds, what a resumed run gives, what a fault costs."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

import tlx.loggers.lightning
import tlx.training.fit
from tests.conftest import Compose
from tlx.common.errors import ConfigError
from tlx.loggers.base import LOGGERS, RunLogger, make_loggers, names_of, register
from tlx.training.check import check_run
from tlx.training.run import run


class Crash(pl.Callback):
    """Stop as a kill would, before the second epoch's end."""

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 4:
            raise RuntimeError("killed")


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


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_a_resumed_run_has_each_step_once(
    name: str, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "tensorboard" and not find_spec("tensorboard"):
        pytest.skip("TensorBoard is not installed: pip install -e '.[loggers]'")
    cfg = tiny_config(f"logger.name={name}", "trainer.checkpoint_minutes=0", "trainer.workers=1",
                      "logger.predictions=2")  # fmt: skip
    make_trainer = tlx.training.fit.make_trainer
    with monkeypatch.context() as patch:
        patch.setattr(
            tlx.training.fit, "make_trainer",
            lambda *a, callbacks=(), **o: make_trainer(*a, callbacks=[*callbacks, Crash()], **o),
        )  # fmt: skip
        with pytest.raises(RuntimeError, match="killed"):
            run(cfg, tmp_path / "run")
    record = run(cfg, tmp_path / "run")
    wanted = [(step, value) for _, step, value in record["loss"]]
    if name == "csv":
        rows = rows_of(tmp_path / "run" / "csv" / "metrics.csv")
        found = [(int(r["step"]), float(r["loss"])) for r in rows if r["loss"]]
        tested = [float(r["test_map_50"]) for r in rows if r["test_map_50"]]
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
