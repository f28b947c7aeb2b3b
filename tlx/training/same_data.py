"""A run's data must stay what it was: at a resume, when it is finished, after what chose for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.membership import Membership, Summary, changes
from tlx.data.module import DetectionData
from tlx.records.record import Record
from tlx.training.resume import Resume

log = logging.getLogger(__name__)

_ADVICE = (
    "Bring the data back as they were (if nothing of them changed, go on with the version of tlx "
    "that began it, which cut them otherwise), or train on today's under another name (name=…), or "
    "delete the folder to train it anew"
)


def settle_data(
    data: DetectionData, run_dir: Path, record: Record, resume: Resume | None
) -> Membership:
    """Enter today's data in the record and return them, unless the run has begun on others.

    Raises:
        DataError: the checkpoint to be continued, the pilot that chose the depth, or the tuning,
            had others.
    """
    members = data.membership
    today = members.summary()
    if resume is not None:
        meta = resume.meta
        stored = Membership.read(meta["classes"], meta.get("dataset"), resume.path)
        _refuse(f"{run_dir} began on other data", stored.summary() if stored else None, today)
    if record.get("pilot"):
        then = record["pilot"].get("dataset")
        _refuse(f"the pilot of {run_dir} chose its depth on other data", then, today)
    if tuning := record.get("tuning"):
        # Val, by which they were chosen, and test, which they have not seen.
        held_out = {split: today["splits"][split] for split in ("val", "test")}
        told = f"the rates of {run_dir} were tuned on other data"
        _refuse(told, tuning.get("dataset"), {**today, "splits": held_out})
    record["dataset"] = today
    return members


def refuse_finished_on_other_data(
    record: Record, run_dir: Path, read: Callable[[], DetectionData]
) -> None:
    """A finished run is not done again, so its data must be those that would be trained on today.

    Args:
        record: of the finished run. read: reads today's data.

    Raises:
        DataError: they are others; what differs is said.
    """
    try:
        today = read().membership.summary()
    except DataError as error:
        log.warning("the data of %s cannot be compared with today's: %s", run_dir, error)
        return
    _refuse(f"{run_dir} is finished, on other data than today's", record.get("dataset"), today)


def _refuse(what: str, then: Summary | None, today: Summary) -> None:
    if told := changes(then, today):
        raise DataError(f"{what}: {'; '.join(told)}. {_ADVICE}")
