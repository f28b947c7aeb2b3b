"""Short runs that prepare a run: of a pilot, of the tuning of a rate. The test split is left alone.

They are ordinary runs, each in a process and a folder of its own, without W&B and, once finished,
without checkpoints.
"""

from __future__ import annotations

import copy
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path

from tlx.common.errors import DataError, DivergenceError, TlxError
from tlx.config.schema import RunConfig
from tlx.data.membership import Summary, changes
from tlx.loggers.base import NONE
from tlx.records.quality import Figure
from tlx.records.record import Record, read_record
from tlx.study.attempt import attempt
from tlx.training.fit import CHECKPOINTS
from tlx.training.run import run


def shortened(cfg: RunConfig, seed: int, epochs: int) -> RunConfig:
    """The same configuration for a short run; W&B is for the run that it prepares."""
    job = copy.deepcopy(cfg)
    job.seed = seed
    job.trainer.epochs = epochs
    job.trainer.val_every = min(job.trainer.val_every, epochs)
    job.trainer.patience = 0  # short runs are compared at equal epochs
    job.logger.name = NONE
    job.resume = None
    return job


def short_run(job: RunConfig, folder: Path, figure: Figure, what: str) -> Record:
    """The record of a short run, which has the figure of a validation or diverged.

    A finished one is not repeated, another goes on from its checkpoint.

    Args:
        figure: of `record["best"]` that the run is judged by.
        what: the run is in messages.

    Raises:
        DataError: val holds no object.
        Interrupted: a stop was asked for.
        TlxError: it failed.
    """
    record = read_record(folder) or {}
    if record.get("status") != "finished" and not diverged(record):
        attempt(functools.partial(run, test=False), job, folder)
        record = read_record(folder) or {}
    if diverged(record):
        return record
    if record.get("status") != "finished":
        error = record.get("error") or {}
        reason = error.get("message") or f"its status is {record.get('status')}"
        raise TlxError(
            f"{what} {folder} did not finish: {reason}; the same command again goes on from where "
            "it stopped"
        )
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # a finished run needs none
    if record["best"] is None or record["best"][figure.key] is None:
        raise DataError(f"{what} {folder}: val holds no object, so nothing can be compared")
    return record


def fit_seconds(record: Record) -> float:
    """Of training with its validations."""
    return float((record.get("time") or {}).get("fit_s") or 0)


def diverged(record: Record) -> bool:
    """Whether the loss ceased to be a number."""
    return (record.get("error") or {}).get("type") == DivergenceError.__name__


def shared_dataset(summaries: Sequence[Summary | None], folder: Path, what: str) -> Summary | None:
    """The data that all short runs had; where one was interrupted the next may have had others.

    Raises:
        DataError: they differ.
    """
    first, *others = summaries
    for other in others:
        if other != first and (told := changes(first, other or {"classes": [], "splits": {}})):
            raise DataError(
                f"the runs in {folder} had different data: {'; '.join(told)}. Delete the folder to "
                f"run the {what} anew"
            )
    return first
