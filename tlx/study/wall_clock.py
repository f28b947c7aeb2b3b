"""Runs of one length in time: how many epochs of an arm take as long as those of the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tlx.records.record import Record

STEPS, FITS = "steps", "fits"
"""How an epoch was timed: from its steps and its validation, or as a part of a whole fit."""


def parts_of_an_epoch(record: Record, curve: str) -> dict[str, Any]:
    """What an epoch of a finished run consists of, for its trial; null where it is not known.

    Args:
        curve: a figure of val that the record has a series of.

    Returns:
        `steps` of an epoch, `step_s` (their measured median, warm-up left out), `val_s` of one
        validation, `val_every`, and `fit_epoch_s`: the fit's seconds over its epochs. `step_s` is
        null of a run of several phases, whose steps are not of one length.
    """
    best, epochs = record["best"], record["epochs"]
    one_phase = len(record["phases"] or []) == 1
    return {
        "steps": round(best["step"] / (best["epoch"] + 1)),
        "step_s": (record["step_time"] or {}).get("median_s") if one_phase else None,
        "val_s": _validation(record["loss"], record[curve]),
        "val_every": record["config"]["trainer"]["val_every"],
        "fit_epoch_s": record["time"]["fit_s"] / epochs,
    }


def _validation(losses: Sequence[Sequence[float]], curve: Sequence[Sequence[float]]) -> float:
    """The median time from the last step before a validation to its end, seconds."""
    ends = {step: seconds for seconds, step, _ in losses}
    spans = [seconds - ends[step] for seconds, step, _ in curve if step in ends]
    return median(spans) if spans else 0.0


def how_timed(arms: Sequence[Mapping[str, Any]]) -> str:
    """One way for all arms that are compared: by steps where every arm has them timed.

    Args:
        arms: `tuning.json` of each.
    """
    timed = all(any(t.get("step_s") for t in arm["trials"]) for arm in arms)
    return STEPS if timed else FITS


def epoch_seconds(arm: Mapping[str, Any], how: str) -> float:
    """Seconds of an epoch with its share of a validation: the median over the arm's trials."""
    return median(
        trial["fit_epoch_s"]
        if how == FITS
        else trial["steps"] * trial["step_s"] + trial["val_s"] / trial["val_every"]
        for trial in arm["trials"]
        if trial.get("fit_epoch_s") and (how == FITS or trial["step_s"])
    )


def length(
    arm: Mapping[str, Any], reference: Mapping[str, Any], epochs: int, how: str, name: str
) -> dict[str, Any]:
    """How long the runs of an arm are, and by what.

    The same estimate of both arms' epochs is used, so that what it leaves out (the warm-up, a
    validation's pictures) leaves their ratio nearly alone.

    Args:
        arm, reference: `tuning.json` of each. epochs: of the reference. name: what it is called.

    Returns:
        `epochs` (at least 1), `seconds` that they are expected to take, and what they follow from.
    """
    own, theirs = epoch_seconds(arm, how), epoch_seconds(reference, how)
    count = max(1, round(epochs * theirs / own))
    return {
        "epochs": count,
        "seconds": count * own,
        "epoch_s": own,
        "timed_by": how,
        "reference": name,
        "reference_epochs": epochs,
        "reference_seconds": epochs * theirs,
        "reference_epoch_s": theirs,
    }
