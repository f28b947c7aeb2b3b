"""Read the files of offline runs (`run-*.wandb`) with W&B's own reader, `wandb leet inspect`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tlx.common.errors import DataError
from tlx.common.files import read_json
from tlx.wandb.runs import TABLE, MirroredRun, merge, split_media

_LIMIT_S = 600


def read_offline(path: Path) -> tuple[list[MirroredRun], list[str]]:
    """The runs in a `.wandb` file, or in a folder that holds such files at any depth.

    The files that the processes of a resumed run left are one run.

    Returns:
        The runs in the order of their first files, and a warning for each file without a run.

    Raises:
        DataError: there is no such file, or W&B's reader is not there.
    """
    files = [path] if path.is_file() else sorted(path.rglob("run-*.wandb"))
    if not files:
        raise DataError(
            f"{path} holds no run-*.wandb: give the folder of a run that W&B mirrored, or of a "
            "study of such runs"
        )
    parts: dict[tuple[str | None, str], list[MirroredRun]] = defaultdict(list)
    warnings = []
    for file in dict.fromkeys(file.resolve() for file in files):
        part, fault = _read_file(file)
        if part is None:
            warnings.append(f"{file}: {fault}; left out")
        else:
            parts[part.project, part.id].append(part)
    runs = [merge(sorted(some, key=lambda part: part.started or "")) for some in parts.values()]
    return runs, warnings


def _read_file(file: Path) -> tuple[MirroredRun | None, str]:
    records, fault = inspect(file)
    run: MirroredRun | None = None
    for kind, record in records:
        if kind == "run" and run is None:
            run = MirroredRun(id=str(record["run_id"]), sources=[str(file)])
        if run is not None:
            _take(run, kind, record, file.parent / "files")
    return run, fault or "no run in it"


def inspect(file: Path) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """The records of a file as (type, record), as far as it can be read, and what went wrong."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    # Offline and without error reports: reading a file sends nothing anywhere.
    silent = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    try:
        done = subprocess.run(
            command, capture_output=True, env=os.environ | silent, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{file} cannot be read by `wandb leet inspect`: {error}") from error
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode and not done.stdout and any("No such command" in line for line in said):
        raise DataError("the installed wandb has no `leet inspect`: pip install 'wandb>=0.31'")
    return list(_records(done.stdout)), said[-1] if done.returncode and said else ""


def _records(output: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in output.splitlines():
        record = json.loads(line)
        payload = record.get(record.get("type"))
        if isinstance(payload, dict):
            yield record["type"], payload


def _take(run: MirroredRun, kind: str, record: Mapping[str, Any], files: Path) -> None:
    """Add one record of a `.wandb` file to the run."""
    if kind == "run":
        run.project, run.entity = record.get("project"), record.get("entity")
        run.group, run.name = record.get("run_group"), record.get("display_name")
        run.job_type, run.tags = record.get("job_type"), list(record.get("tags", []))
        run.started = record.get("start_time")
        run.config |= split_media(record.get("config", {}).get("update", {}))[0]
    elif kind == "config":
        run.config |= split_media(record.get("update", {}))[0]
    elif kind == "summary":
        run.summary |= split_media(record.get("update", {}))[0]
    elif kind == "history":
        for key, value in run.add_history(record.get("item", {})).items():
            if value["_type"] == TABLE:
                run.tables[key] = _table(files / value["path"])
    elif kind == "exit":
        run.exit_code = int(record["exit_code"])


def _table(file: Path) -> dict[str, Any]:
    table = read_json(file)
    return {"columns": table["columns"], "data": table["data"]}
