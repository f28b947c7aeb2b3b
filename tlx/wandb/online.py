"""Read the runs of a project from W&B's service, through its public API."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tlx.common.errors import DataError
from tlx.common.files import read_json
from tlx.wandb.runs import TABLE, MirroredRun, split_media

ADDRESS = re.compile(r"(?P<entity>[^/\s]+)/(?P<project>[^/\s]+)(?:/(?P<group>[^/\s]+))?")
EXIT_CODES = {"finished": 0, "failed": 1, "crashed": 1, "killed": 1}  # W&B's states


def read_online(address: str) -> list[MirroredRun]:
    """The training runs at ENTITY/PROJECT or ENTITY/PROJECT/GROUP.

    Raises:
        DataError: the address is of another form, W&B has no credentials or does not answer, or
            there are no such runs.
    """
    parts = ADDRESS.fullmatch(address)
    if parts is None:
        raise DataError(
            f"{address} is no file or folder, and not ENTITY/PROJECT or ENTITY/PROJECT/GROUP either"
        )
    filters = {"jobType": "train"} | ({"group": parts["group"]} if parts["group"] else {})
    try:
        import wandb

        found = wandb.Api().runs(f"{parts['entity']}/{parts['project']}", filters, lazy=False)
        runs = [_read_run(run) for run in found]
    except Exception as error:  # no credentials, no network, no project: W&B has a class for each
        raise DataError(
            f"{address} is no file or folder, and cannot be read from Weights & Biases ({error}): "
            "check the address and `wandb login`"
        ) from error
    if not runs:
        raise DataError(f"{address} has no training run")
    return runs


def _read_run(run: Any) -> MirroredRun:
    """A `wandb.apis.public.Run` as we know it."""
    mirrored = MirroredRun(
        id=run.id,
        project=run.project,
        entity=run.entity,
        group=run.group,
        name=run.name,
        job_type=run.job_type,
        tags=list(run.tags),
        started=run.created_at,
        config=split_media(run.config)[0],
        summary=split_media(run.summary_metrics)[0],
        exit_code=EXIT_CODES.get(run.state),
        sources=[run.url],
    )
    for item in run.scan_history():
        for key, value in mirrored.add_history(item).items():
            if value["_type"] == TABLE:
                mirrored.tables[key] = _table(run, value["path"])
    return mirrored


def _table(run: Any, path: str) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        run.file(path).download(root=folder, replace=True)
        table = read_json(Path(folder) / path)
    return {"columns": table["columns"], "data": table["data"]}
