"""Where a study stands: which run is next, how many have finished, how long the rest takes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlx.config.schema import RunConfig


@dataclass(frozen=True)
class Planned:
    """A run of a study, started or not."""

    arm: str
    seed: int
    folder: Path
    fold: int | None = None


def planned(jobs: Sequence[tuple[RunConfig, Path]]) -> list[Planned]:
    """The runs that composed configurations stand for, each with its folder."""
    # Here: Hydra loads this module in every program.
    from tlx.config.typed import plain
    from tlx.records.arms import arm_labels, arm_settings

    labels = arm_labels([arm_settings(plain(cfg)) for cfg, _ in jobs])
    return [
        Planned(label, cfg.seed, folder, getattr(cfg.data, "fold", None))
        for label, (cfg, folder) in zip(labels, jobs, strict=True)
    ]


def repeats(plan: Sequence[Planned]) -> list[str]:
    """A warning for every folder that several jobs of a sweep would work in."""
    jobs = Counter(run.folder for run in plan)
    return [
        f"{count} jobs of this sweep are one run, {folder}: what they differ in changes no number "
        "of a run (docs/configuration.md, run folders), so it is made once"
        for folder, count in jobs.items()
        if count > 1
    ]


def progress_line(plan: Sequence[Planned], index: int) -> str | None:
    """`run 4 of 15, freeze=8 seed=1, 2 finished, about 40 min left`; None for a finished run."""
    from tlx.records.record import read_record  # it imports torch

    records = [read_record(run.folder) or {} for run in plan]
    if records[index].get("status") == "finished":
        return None
    finished = sum(record.get("status") == "finished" for record in records)
    run = plan[index]
    which = f"{run.arm} seed={run.seed}" + ("" if run.fold is None else f" fold={run.fold}")
    parts = [f"run {index + 1} of {len(plan)}", which]
    parts.append(f"{finished} finished")
    if (left := seconds_left(plan, records)) is not None:
        parts.append(spoken(left))
    return ", ".join(parts)


def seconds_left(plan: Sequence[Planned], records: Sequence[dict[str, Any]]) -> float | None:
    """Estimate from the finished runs: those of the same arm, else of all; None without any.

    What an unfinished run has done so far is taken off. Start-up and the data check are not in it.
    """
    spent: dict[str, list[float]] = defaultdict(list)
    for run, record in zip(plan, records, strict=True):
        if record.get("status") == "finished":
            spent[run.arm].append(_seconds(record))
    if not spent:
        return None
    everywhere = fmean(value for values in spent.values() for value in values)
    return sum(
        max(0.0, (fmean(spent[run.arm]) if run.arm in spent else everywhere) - _seconds(record))
        for run, record in zip(plan, records, strict=True)
        if record.get("status") != "finished"
    )


def spoken(seconds: float) -> str:
    """`about 40 min left`, as coarse as such a forecast deserves."""
    if seconds < 60:
        return "under a minute left"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left"


def _seconds(record: dict[str, Any]) -> float:
    """Seconds of training and test that a record tells of."""
    time = record.get("time")
    seconds = (time.get("fit_s"), time.get("test_s")) if isinstance(time, dict) else ()
    return sum(value for value in seconds if isinstance(value, int | float) and value > 0)
