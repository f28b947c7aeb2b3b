"""Weights & Biases as a mirror of the record: whatever happens to it, the run goes on."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tlx.config.identity import run_label
from tlx.config.schema import RunConfig
from tlx.config.typed import plain
from tlx.freeze.depth import freeze_label
from tlx.loggers.base import RunLogger, register
from tlx.records.arms import arm_settings, base_label
from tlx.records.columns import AXES, BY_TASK, Columns
from tlx.wandb.media import CLASSES, MOST_PICTURES, PICTURES, class_table, model_artifact
from tlx.wandb.service import (
    CALL_S,
    ServiceError,
    StalledError,
    bounded,
    finish_run,
    open_run,
    staged_in,
)

log = logging.getLogger(__name__)

JOB = "train"
TIME_PREFIX = "by_time/"
_ROWS = 1000  # in one call


class Mirror(RunLogger):
    """A run in W&B that turns itself off at its first failure.

    Args:
        columns: of the rows that it gets.

    Attributes:
        about: `id`, `project`, `mode` and `fault` (why it is off, else None), for the record.
    """

    def __init__(self, run: Any, mode: str, study: str, upload_s: float, columns: Columns) -> None:
        self.columns = columns
        # They are W&B's history, not its summary; drawn a second time, against seconds.
        self.series = ("loss", *columns.curves)
        self.by_time = ("loss", *(f"val_{name}" for name in columns.curves))
        self.run, self.study, self.upload_s = run, study, upload_s
        self.folder = Path(run.dir).parent
        self.about: dict[str, Any] = {
            "id": run.id,
            "project": run.project,
            "mode": mode,
            "fault": None,
        }
        self._try(self._define_axes)

    def log_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Mirror rows of `metrics.csv`, each as a row of W&B's history."""
        for start in range(0, len(rows), _ROWS):
            self._try(partial(self._log_rows, rows[start : start + _ROWS]))

    def summarize(self, record: Mapping[str, Any]) -> None:
        """Mirror what the record knows, apart from series and configuration, as the summary."""
        figures = {
            k: v for k, v in record.items() if k not in (*self.series, "wandb", "loggers", "config")
        }
        self._try(lambda: self.run.summary.update(figures))

    def show(self, pictures: Callable[[], Sequence[Any]]) -> None:
        """Mirror test pictures (`wandb.Image`) with what is there and what was found."""
        self._try(lambda: self._show(pictures()), lost="pictures")

    def close(self, record: Mapping[str, Any], run_dir: Path, *, checkpoint: bool) -> None:
        """Mirror the final record, its table and (if asked) its checkpoint; end the run."""
        finished = record["status"] == "finished"
        self.summarize(record)
        if finished and record["test"]:
            self._try(lambda: self._log_table(record, run_dir), lost="table")
        if finished and checkpoint:
            self._try(lambda: self._log_model(record, run_dir), lost="checkpoint")
        try:
            # Where it is off already, the service may be gone: it is not waited for.
            upload_s = 0.0 if self.about["fault"] else self.upload_s
            finish_run(self.run, 0 if finished else 1, upload_s)
        except ServiceError as error:
            self.about["fault"] = self.about["fault"] or str(error)
            log.warning("Weights & Biases did not end this run (%s)", error)
            log.warning("what it has can be uploaded: wandb sync %s", self.folder)

    def _try(self, action: Callable[[], Any], lost: str | None = None) -> None:
        """Do it, if the mirror is on; what is `lost` by an error alone does not turn it off."""
        if self.about["fault"] is not None:
            return
        try:
            bounded(action, CALL_S if lost is None else self.upload_s)
        except ServiceError as error:
            if lost is None or isinstance(error, StalledError):
                self._fail(error)
            else:
                log.warning("Weights & Biases lacks this run's %s (%s)", lost, error)

    def _fail(self, error: ServiceError) -> None:
        if self.about["fault"] is None:
            self.about["fault"] = str(error)
            log.warning("Weights & Biases is off for this run (%s); record.json goes on", error)

    def _define_axes(self) -> None:
        # The summary is the record's: no last values of curves in it.
        for axis in AXES:
            self.run.define_metric(axis, hidden=True, summary="none")
        for name in self.columns.names[len(AXES) :]:
            self.run.define_metric(name, step_metric="step", step_sync=False, summary="none")
        for name in self.by_time:
            self.run.define_metric(
                TIME_PREFIX + name, step_metric="seconds", step_sync=False, summary="none"
            )

    def _log_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            known = {key: value for key, value in row.items() if value is not None}
            again = {TIME_PREFIX + key: known[key] for key in self.by_time if key in known}
            self.run.log(known | again)

    def _show(self, images: Sequence[Any]) -> None:
        for start in range(0, len(images), MOST_PICTURES):
            self.run.log({PICTURES: images[start : start + MOST_PICTURES]})

    def _log_table(self, record: Mapping[str, Any], run_dir: Path) -> None:
        with staged_in(run_dir / "wandb"):
            self.run.log({CLASSES: class_table(record["test"])})

    def _log_model(self, record: Mapping[str, Any], run_dir: Path) -> None:
        artifact = model_artifact(record, self.study, run_dir)
        if artifact is not None:
            self.run.log_artifact(artifact, aliases=["best"])


@register("wandb")
def make_mirror(
    cfg: RunConfig, run_dir: Path, earlier: Mapping[str, Any] | None = None
) -> Mirror | None:
    """The run's mirror, or None: not wanted, or not to be had (which a warning says).

    Args:
        earlier: the mirror's `about` in the record of the run that is continued. Its id is used
            again: the new process mirrors all rows anew, and W&B replaces what it had.
    """
    disabled = cfg.logger.mode == "auto" and os.environ.get("WANDB_MODE") == "disabled"
    if disabled:
        return None
    config = plain(cfg)
    arm = base_label(arm_settings(config))
    tags = [cfg.backbone.name, config["data"]["name"], f"freeze={freeze_label(cfg.freeze)}"]
    tags += [cfg.policy["name"], arm]
    try:
        run, mode = open_run(
            cfg.logger.mode,
            upload_s=cfg.logger.upload_s,
            id=(earlier or {}).get("id") or secrets.token_hex(4),
            name=run_label(config),
            project=cfg.logger.project,
            group=cfg.name,
            job_type=JOB,
            tags=[*dict.fromkeys(tag[:64] for tag in tags)],  # longer ones are refused
            dir=str(run_dir),
            config=config,
        )
    except ServiceError as error:
        log.warning("Weights & Biases is off for this run (%s); record.json goes on", error)
        return None
    return Mirror(run, mode, cfg.name, cfg.logger.upload_s, BY_TASK[cfg.task])
