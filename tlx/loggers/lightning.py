"""TensorBoard, MLflow and CSV files, through Lightning's own loggers."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger

from tlx.common.errors import ToolError, first_line
from tlx.common.packages import pip_install
from tlx.config.identity import flat, run_label
from tlx.config.schema import RunConfig
from tlx.config.typed import plain
from tlx.loggers.base import RunLogger, register

log = logging.getLogger(__name__)
_EVERY = 200  # rows between two writes to a disk
_TRACKING = "MLFLOW_TRACKING_URI"
# A server that is away costs a run seconds: MLflow's own patience is four minutes a request.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_A_REQUEST = 1000  # figures that MLflow takes at once


class LightningLogger(RunLogger):
    """Rows as metrics by step, the configuration as hyperparameters, final figures at the end."""

    def __init__(self, logger: Logger, about: dict[str, Any]) -> None:
        self.logger, self.about = logger, {**about, "fault": None}
        self._rows = 0

    def log_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Each row's figures at its step."""
        for row in rows:
            self.logger.log_metrics(_figures(row), step=row["step"])
        self._rows += len(rows)
        if self._rows >= _EVERY:
            self.logger.save()
            self._rows = 0

    def close(self, record: Mapping[str, Any], run_dir: Path, *, checkpoint: bool) -> None:
        """The test's figures at the last step, and the end."""
        test = record.get("test") or {}
        figures = {f"test_{k}": v for k, v in test.items() if isinstance(v, int | float)}
        loss = record.get("loss") or [[0, 0, 0]]
        if figures:
            self.logger.log_metrics(figures, step=loss[-1][1])
        self.keep(record, run_dir, checkpoint)
        self.logger.save()
        self.logger.finalize("success" if record["status"] == "finished" else "failed")

    def keep(self, record: Mapping[str, Any], run_dir: Path, checkpoint: bool) -> None:
        """Add what this logger shows beside figures."""


class _TensorBoard(LightningLogger):
    def keep(self, record: Mapping[str, Any], run_dir: Path, checkpoint: bool) -> None:
        board: Any = self.logger.experiment  # type: ignore[attr-defined]
        board.add_text("freeze", f"<pre>{_text(run_dir / 'freeze.txt')}</pre>")
        for path in _pictures(run_dir):
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            board.add_image(f"test/{path.stem}", pixels, dataformats="HWC")


class _MLFlow(LightningLogger):
    def log_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """As the others', in few requests."""
        from mlflow.entities import Metric

        client: Any = self.logger.experiment  # type: ignore[attr-defined]
        now = int(time.time() * 1000)
        metrics = [
            Metric(key, float(value), now, int(row["step"]))
            for row in rows
            for key, value in _figures(row).items()
        ]
        for start in range(0, len(metrics), _A_REQUEST):
            client.log_batch(self.about["id"], metrics[start : start + _A_REQUEST])

    def keep(self, record: Mapping[str, Any], run_dir: Path, checkpoint: bool) -> None:
        client: Any = self.logger.experiment  # type: ignore[attr-defined]
        files = [run_dir / "record.json", run_dir / "freeze.txt", *_pictures(run_dir)]
        if checkpoint:
            files.append(run_dir / "checkpoints" / "best.ckpt")
        for path in files:
            if path.is_file():
                client.log_artifact(self.about["id"], str(path))


def _make(
    name: str, make: Callable[[], Logger], kind: type[LightningLogger], about: dict[str, Any],
    cfg: RunConfig,
) -> LightningLogger | None:  # fmt: skip
    try:
        logger = make()
        logger.log_hyperparams(flat(plain(cfg)))
        if "id" in about:
            about["id"] = logger.version
        return kind(logger, about)
    except ModuleNotFoundError as error:
        raise ToolError(
            f"logger.name={name} needs a package ({first_line(error)}): {pip_install('loggers')}"
        ) from error
    except Exception as error:  # of a server
        told = f"{type(error).__name__}: {first_line(error)}"
        log.warning("%s is off for this run (%s); record.json goes on", name, told)
        return None


def _fresh(folder: Path) -> Path:
    """A folder for all rows of the run, without those of an earlier process: they come again."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@register("csv")
def _csv(
    cfg: RunConfig, run_dir: Path, earlier: Mapping[str, Any] | None
) -> LightningLogger | None:
    folder = _fresh(run_dir / "csv")
    return _make(
        "csv", lambda: CSVLogger(run_dir, "csv", ""), LightningLogger,
        {"folder": folder.name}, cfg,
    )  # fmt: skip


@register("tensorboard")
def _tensorboard(
    cfg: RunConfig, run_dir: Path, earlier: Mapping[str, Any] | None
) -> LightningLogger | None:
    folder = _fresh(run_dir / "tensorboard")
    return _make(
        "tensorboard",
        lambda: TensorBoardLogger(run_dir, "tensorboard", "", default_hp_metric=False),
        _TensorBoard, {"folder": folder.name}, cfg,
    )  # fmt: skip


@register("mlflow")
def _mlflow(
    cfg: RunConfig, run_dir: Path, earlier: Mapping[str, Any] | None
) -> LightningLogger | None:
    # A database beside the runs, where no server is named: nothing is needed to look at it.
    place = os.environ.get(_TRACKING) or f"sqlite:///{Path(cfg.runs_dir).absolute() / 'mlflow.db'}"
    Path(cfg.runs_dir).mkdir(parents=True, exist_ok=True)

    for key, value in _PATIENCE.items():
        os.environ.setdefault(key, value)

    def make() -> MLFlowLogger:
        logger = MLFlowLogger(
            cfg.logger.project, run_label(plain(cfg)), place, tags={"study": cfg.name},
            artifact_location=None if os.environ.get(_TRACKING)
            else (Path(cfg.runs_dir).absolute() / "mlflow").as_uri(),
        )  # fmt: skip
        client: Any = logger.experiment
        if before := (earlier or {}).get("id"):  # no figure of a run can be taken back
            from mlflow.exceptions import MlflowException

            with contextlib.suppress(MlflowException):  # somebody has deleted it
                client.delete_run(before)
        return logger

    return _make("mlflow", make, _MLFlow, {"tracking": place, "id": None}, cfg)


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None and key != "step"}


def _pictures(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "predictions").glob("*.png"))


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
