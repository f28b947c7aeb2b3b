"""A study of fair arms: each gets rates of its own within one budget, then its runs.

All arms' first trials come first, then all second ones, there and back, so that a machine that
slows down favours none of them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlx.common.errors import ConfigError
from tlx.common.lock import run_lock
from tlx.config.schema import RunConfig
from tlx.config.typed import plain
from tlx.records.arms import Settings, arm_labels, arm_settings, is_scratch, unlike_keys
from tlx.records.tuning import FOLDER, RATES, WALL_CLOCK
from tlx.study import sampler
from tlx.study.order import is_apart
from tlx.study.tune import Tuning
from tlx.study.wall_clock import how_timed, length
from tlx.training.check import check_run

Jobs = Sequence[tuple[RunConfig, Path]]


@dataclass(frozen=True)
class Arm:
    """The runs of a sweep that share their tuning.

    Attributes:
        settings: what makes the arm, by key, without what the study finds.
        jobs: their places in the sweep.
    """

    cfg: RunConfig
    settings: Settings
    jobs: tuple[int, ...]
    tuning: Tuning

    @property
    def label(self) -> str:
        """What the arm is called."""
        return self.tuning.label


@dataclass(frozen=True)
class Found:
    """What the study has found for a run: its keys, and what `record["tuning"]` says of them."""

    overrides: list[str]
    tuning: dict[str, Any]


def arms_of(jobs: Jobs) -> list[Arm]:
    """The arms of a sweep whose rates are tuned, with what there is of their trials.

    Raises:
        ConfigError: a trial could not begin, or the sweep says what the study is to find.
        ToolError: there is no Optuna.
    """
    sampler.method()
    groups: dict[str, list[int]] = {}
    for place, (cfg, _) in enumerate(jobs):
        if cfg.tune.asked and cfg.resume is None:
            groups.setdefault(_key(cfg), []).append(place)
    for places in groups.values():
        _refuse_swept([jobs[place][0] for place in places])
    firsts = [jobs[places[0]] for places in groups.values()]
    settings = [arm_settings(plain(cfg)) for cfg, _ in firsts]
    labels = arm_labels(settings)
    arms = []
    for (cfg, folder), own, label, places in zip(
        firsts, settings, labels, groups.values(), strict=True
    ):
        fold = getattr(cfg.data, "fold", None)
        name = label if fold is None else f"{label} fold={fold}"
        tuning = Tuning(cfg, folder.parent / FOLDER, name)
        try:
            check_run(tuning.trial({}))
        except ConfigError as error:
            raise ConfigError(
                f"a trial of {name} would have {tuning.epochs} epochs (tune.epochs): {error}"
            ) from error
        arms.append(Arm(cfg, own, tuple(places), tuning))
    return arms


def _key(cfg: RunConfig) -> str:
    """Equal for the runs of one arm (and fold), whatever rates and lengths they are given."""
    settings = {**arm_settings(plain(cfg)), "data.fold": getattr(cfg.data, "fold", None)}
    left = {"trainer.epochs", *(f"trainer.{rate}" for rate in RATES)}
    return json.dumps({k: v for k, v in settings.items() if k not in left}, default=str)


def _refuse_swept(runs: Sequence[RunConfig]) -> None:
    for key in (*RATES, "epochs"):
        if len(values := {getattr(run.trainer, key) for run in runs}) > 1:
            why = "gives all arms one length" if key == "epochs" else "finds it for each arm"
            listed = ",".join(f"{value:g}" for value in sorted(values))
            raise ConfigError(
                f"trainer.{key}={listed}: a study with tune.trials or tune.minutes {why}, so leave "
                "it out of the sweep"
            )


def tune(arms: Sequence[Arm]) -> None:
    """Make the trials that are missing; what `Tuning.step` raises, and BusyError."""
    # Arms of two designs share their trials.
    unique = list({arm.tuning.folder: arm.tuning for arm in arms}.values())
    with contextlib.ExitStack() as stack:
        for tuning in unique:
            stack.enter_context(run_lock(tuning.folder))
            tuning.reload()  # another process may have made trials since
        pending = [tuning for tuning in unique if not tuning.finished]
        while pending:
            for tuning in pending:
                tuning.step()
            pending = [tuning for tuning in reversed(pending) if not tuning.finished]
    for arm in arms:
        arm.tuning.reload()


def found(arms: Sequence[Arm]) -> dict[int, Found]:
    """By the place of a job in the sweep what was found for it; all arms are tuned."""
    known: dict[int, Found] = {}
    for arm in arms:
        state = arm.tuning.state
        keys = [f"trainer.{rate}={value!r}" for rate, value in state["rates"].items()]
        told: dict[str, Any] = {**state, "design": arm.cfg.tune.design, "length": None}
        if arm.cfg.tune.design == WALL_CLOCK:
            reference = reference_of(arm, arms)
            how = how_timed([other.tuning.state for other in beside(arm, arms)])
            told["length"] = length(
                state, reference.tuning.state, arm.cfg.trainer.epochs, how, reference.label
            )
            keys.append(f"trainer.epochs={told['length']['epochs']}")
        known |= dict.fromkeys(arm.jobs, Found(keys, told))
    return known


def beside(arm: Arm, arms: Sequence[Arm]) -> list[Arm]:
    """The arms that it is compared with, itself among them: of one data set, fold, backbone, …"""
    return [other for other in arms if _setting(other) == _setting(arm)]


def _setting(arm: Arm) -> str:
    told = {k: v for k, v in arm.settings.items() if is_apart(k) or k.startswith("tune.")}
    fold = getattr(arm.cfg.data, "fold", None)
    return json.dumps({**told, "fold": fold}, sort_keys=True, default=str)


def reference_of(arm: Arm, arms: Sequence[Arm]) -> Arm:
    """The arm whose fit all others are as long as: `freeze=none`, where there is one, of several
    the one that is most like this arm; else the first."""
    others = beside(arm, arms)
    free = [
        other
        for other in others
        if str(other.settings.get("freeze")) == "none"
        and other.settings.get("policy.name") == "fixed"
        and not is_scratch(other.settings)
    ]
    return min(free, key=lambda o: len(unlike_keys(arm.settings, o.settings)), default=others[0])
