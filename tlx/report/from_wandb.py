"""Run folders out of W&B: from files of offline runs, or from a project of the service.

What W&B does not hold is null in the records. Checkpoints and pictures are not fetched.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from tlx.common.errors import DataError, TlxError
from tlx.common.files import write_json, write_text
from tlx.records.columns import DETECT
from tlx.records.digest import sealed
from tlx.records.quality import quality_of
from tlx.wandb.offline import read_offline
from tlx.wandb.online import read_online
from tlx.wandb.runs import MirroredRun

SOURCE = "wandb.json"  # where a folder's run came from
JOB = "train"
_FROM_CONFIG = (
    "task", "name", "backbone", "freeze", "policy", "data", "seed", "epochs", "batch_size",
    "input_size", "config",
)  # fmt: skip


def fetch(source: str, output: Path) -> tuple[Path, list[str]]:
    """Write the training runs of a source as folders below `output/runs`.

    Folders of an earlier fetch are replaced.

    Args:
        source: a `.wandb` file, a folder with such files at any depth, ENTITY/PROJECT or
            ENTITY/PROJECT/GROUP.

    Returns:
        The folder that holds the run folders, and a warning for each run that was left out.

    Raises:
        DataError: the source cannot be read, holds no training run of tlx, or the output cannot be
            written.
    """
    if Path(source).exists():
        runs, warnings = read_offline(Path(source))
    else:
        runs, warnings = read_online(source), []
    folder = output / "runs"
    try:
        for old in folder.rglob(SOURCE) if folder.is_dir() else []:
            shutil.rmtree(old.parent)
        written = 0
        for run in (run for run in runs if run.job_type == JOB):
            try:
                write_run(run, _free(folder / _safe(run.group or "study") / _safe(run.name), run))
            except TlxError as error:
                warnings.append(f"{run.id}: {error}; left out")
            else:
                written += 1
    except OSError as error:
        raise DataError(f"the runs cannot be written to {folder}: {error}") from error
    if not written:
        raise DataError("; ".join([f"{source} holds no training run of tlx", *warnings]))
    return folder, warnings


def write_run(run: MirroredRun, folder: Path) -> None:
    """A run's folder: record.json, config.yaml, metrics.csv, and where it all came from.

    Raises:
        DataError: W&B's run is not one of tlx.
    """
    record = to_record(run)
    write_json(folder / "record.json", sealed(record))
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(run.config)))
    _write_rows(run.rows, folder / "metrics.csv")
    about = ("id", "entity", "project", "group", "job_type", "tags", "exit_code", "images",
             "tables", "sources")  # fmt: skip
    write_json(folder / SOURCE, {key: getattr(run, key) for key in about})


def to_record(run: MirroredRun) -> dict[str, Any]:
    """The record of a run, as far as W&B knows it.

    Raises:
        DataError: the configuration is not one of tlx.
    """
    from tlx.config.typed import interpolation  # these import torch
    from tlx.records.record import VERSION, new_record

    if (found := interpolation(run.config)) is not None:
        raise DataError(f"its configuration holds an interpolation, {found!r}")
    try:
        blank = new_record(run.config)
    except (AttributeError, LookupError, TypeError, ValueError, TlxError) as error:
        raise DataError(f"its configuration is not one of tlx ({error})") from error
    record = dict.fromkeys(blank) | {key: blank[key] for key in _FROM_CONFIG if key in blank}
    record |= {
        "version": VERSION,
        "status": _status(run),
        "name": run.name or blank["name"],
    }
    record |= {key: value for key, value in run.summary.items() if key in record}
    courses = {key: f"val_{key}" for key in quality_of(blank).courses}  # of a record <- of a row
    record |= {
        key: _series(run.rows, column) for key, column in {"loss": "loss", **courses}.items()
    }
    return record | {"wandb": {"id": run.id, "project": run.project, "mode": None, "fault": None}}


def _status(run: MirroredRun) -> str:
    """What a run is called whose summary does not say: it ended early."""
    return "running" if run.exit_code is None else "failed"


def _series(rows: Sequence[Mapping[str, Any]], column: str) -> list[list[float]]:
    return [[row["seconds"], row["step"], row[column]] for row in rows if column in row]


def _write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, DETECT.names, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _safe(name: str | None) -> str:
    """A name of W&B as one of a folder: strangers chose it."""
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "-", name or "run").lstrip(".") or "run"


def _free(folder: Path, run: MirroredRun) -> Path:
    return folder.with_name(f"{folder.name}-{_safe(run.id)}") if folder.exists() else folder
