"""`record.json`: the truth of a run, in the form that docs/record.md describes."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tlx.common.errors import TlxError
from tlx.common.files import read_json, write_json
from tlx.config.identity import fingerprint, run_label
from tlx.freeze.apply import prefix_length
from tlx.freeze.bound import Cost, fixed_parameters, schedule_step_share
from tlx.freeze.depth import freeze_label
from tlx.freeze.policies.base import Phase
from tlx.models.trunk import TrunkNetwork
from tlx.records.columns import CLASSIFY, DETECT
from tlx.records.digest import ALTERED, SEAL, is_altered, sealed
from tlx.records.environment import boot_id

log = logging.getLogger(__name__)
VERSION = 1
RECORD = "record.json"
CLASSIFICATION = "classification"
"""The `task` of a classification's record and checkpoint; those of detections have none."""
Record = dict[str, Any]
# Of the process, whatever went before it.
NEW = {"version", "status", "error", "finished", "config"}
_LATER = {"phases": list, "classes": list}  # null at first; the other nulls become objects


def now() -> str:
    """The time in UTC, ISO 8601, whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def new_record(config: Mapping[str, Any]) -> Record:
    """A record of a run that has started and knows nothing yet but its configuration.

    Args:
        config: plain values (`tlx.config.typed.plain`).
    """
    classifies = "classifier" in config
    network = config["classifier" if classifies else "detector"]
    columns = CLASSIFY if classifies else DETECT
    size = config["trainer"]["batch_size"]
    return {
        **({"task": CLASSIFICATION} if classifies else {}),  # detections do not name theirs
        "version": VERSION,
        "status": "running",
        "error": None,
        "name": run_label(config),
        "fingerprint": fingerprint(config),
        "backbone": config["backbone"]["name"],
        "detector": None if classifies else network.get("name"),
        "weights": None,
        "freeze": freeze_label(config["freeze"]),
        "policy": config["policy"]["name"],
        "data": config["data"]["name"],
        "seed": config["seed"],
        "epochs": config["trainer"]["epochs"],
        "batch_size": size if isinstance(size, int) else None,  # auto: chosen later
        "chosen_batch_size": None,
        "input_size": network["input_size"],
        "precision": config["trainer"]["precision"],
        "config": dict(config),
        "engine": None,
        "classes": None,
        "started": now(),
        "finished": None,
        "segments": [],
        "resumes": 0,
        "resumed": [],
        "best": None,
        "stopped_early": None,
        "checkpoint": None,
        "test": None,
        "step_time": None,
        "gradients": None,
        "bound": None,
        "frozen": None,
        "trainable": None,
        "phases": None,
        "memory": None,
        "time": None,
        "energy": None,
        "pilot": None,
        "tuning": None,
        "loss": [],
        **{name: [] for name in columns.curves},
        "dataset": None,
        "data_report": None,
        "environment": None,
        "wandb": None,
        "loggers": None,
    }


def read_record(run_dir: Path) -> Record | None:
    """The record of a run's folder, or None where there is none (or it is damaged).

    One that is not as it was written is said, and used.
    """
    try:
        record = read_json(run_dir / RECORD)
        json.dumps(record, allow_nan=False)  # what no program of ours has written is damage
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict):
        return None
    if is_altered(record):
        log.warning("%s: %s", run_dir / RECORD, ALTERED)
    record.pop(SEAL, None)
    return record


def carry_over(record: Record, earlier: Record, *keys: str) -> None:
    """Take over what an earlier process of the run has noted, where it is of the right type."""
    for key in keys:
        known, fresh = earlier.get(key), record[key]
        kind = _LATER.get(key, dict) if fresh is None else type(fresh)
        if isinstance(known, kind):
            record[key] = known


def begin_segment(record: Record, earlier: Record | None) -> None:
    """Note that a process begins to work on the run.

    Args:
        earlier: the record of the processes before, whose work goes on; None where it starts anew.
    """
    noted = (earlier or {}).get("segments")
    before = [s for s in noted if isinstance(s, dict)] if isinstance(noted, list) else []
    if earlier and not before and not earlier.get("resumes") and earlier.get("finished"):
        # Of a version that took no note: a run that was never resumed had one process.
        span = {"started": earlier.get("started"), "until": earlier["finished"]}
        before = [{**span, "boot": None}]
    record["segments"] = [*before, {"started": now(), "until": now(), "boot": boot_id()}]


def end_segment(record: Record) -> None:
    """Note that the process has done its work, however that went."""
    record["finished"] = record["segments"][-1]["until"] = now()


def save_record(record: Record, run_dir: Path) -> None:
    """Write the record in one piece, with the digest of its content.

    A run in progress is known to have gone on until now.
    """
    if record["status"] == "running" and record.get("segments"):
        record["segments"][-1]["until"] = now()
    write_json(run_dir / RECORD, sealed(record))


def add_freeze(record: Record, network: TrunkNetwork, cost: Cost, phases: Sequence[Phase]) -> None:
    """What is frozen in the first phase, what trains, and the bound over the whole schedule."""
    frozen = phases[0].frozen
    share = schedule_step_share(network, cost, phases, record["epochs"])
    record["bound"] = {
        "step_share": share,
        "speedup": 1 / share,
        "forward_macs": sum(cost.macs),
        "frozen_macs_share": cost.frozen_share(frozen),
    }
    parameters = fixed_parameters(network, cost, phases[0])
    record["frozen"] = {
        "blocks": [cost.parts[place] for place in sorted(frozen)],
        "parameters": parameters,
        "hash_before": None,
        "hash_after": None,
    }
    record["trainable"] = {"parameters": sum(cost.parameters) - parameters}
    record["phases"] = [
        {
            "first_epoch": phase.first_epoch,
            "frozen_blocks": len(phase.frozen),
            "blocks": [cost.parts[place] for place in sorted(phase.frozen)],
            "prefix_blocks": prefix_length(network, phase),
            "trains": phase.trains or None,
            "frozen_parameters": fixed_parameters(network, cost, phase),
            "lr_scale": phase.lr_scale,
            "reason": phase.reason or None,
            "hash_before": None,
            "hash_after": None,
        }
        for phase in phases
    ]


def describe_error(error: BaseException) -> dict[str, Any]:
    """An error for the record; the traceback only where the program, not the input, is at fault."""
    lines = [] if isinstance(error, TlxError) else traceback.format_exception(error)
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(lines) or None,
    }
