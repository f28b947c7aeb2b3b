"""The sweep that made a study, and lines to paste that go on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlx.common.cli import command
from tlx.common.files import read_yaml
from tlx.freeze.depth import freeze_label
from tlx.records.arms import SCRATCH
from tlx.report.comparison.records import Record
from tlx.report.comparison.tuning import found_for

SWEEP = "multirun.yaml"
_PROGRAMS = {"classify": "tlx.classify"}  # by the name of the configuration; others are of train
_OF_A_STUDY = {"seed", "name"}  # a training that goes on from a study is none of its runs
# Trials are of studies: a training alone has what they found, whatever an experiment asks for.
_UNTUNED = {"tune.trials": "null", "tune.minutes": "null", "tune.design": "epochs"}


@dataclass(frozen=True)
class Sweep:
    """`given` are the overrides as they were typed, `of_hydra` Hydra's own, `params` the file's."""

    program: str
    given: list[str]
    of_hydra: list[str]
    params: Mapping[str, Any]

    @property
    def asked(self) -> dict[str, str]:
        """The values of each key, those that were typed before those of the file."""
        typed = (text.partition("=") for text in self.given)
        known = {**self.params, **{key.lstrip("+"): value for key, _, value in typed}}
        return {key: str(value) for key, value in known.items()}


def with_seeds(records: Sequence[Record], seeds: Sequence[int]) -> str | None:
    """A line to paste that adds the seeds which are missing; finished runs are not repeated.

    Args:
        records: All runs of a study.
        seeds: All seeds that it is to have.

    Returns:
        None where the runs are not all of one sweep, or its file cannot be read.
    """
    return _again(records, {"seed": ",".join(map(str, seeds))})


def with_value(records: Sequence[Record], key: str, value: object) -> str | None:
    """A line to paste that runs the study again with another value of a key, where it is known."""
    return _again(records, {key: str(value)})


def of_arm(records: Sequence[Record], chosen: Record) -> str | None:
    """A line to paste that trains once more as one run of a study was trained.

    Its seed and the name of the study are left to the defaults, so that it is a run of its own. It
    has the rates that the study's trials found, and makes no trials.

    Args:
        records: All runs of the study.
        chosen: The run.

    Returns:
        None where `with_seeds` has none, or a value that was varied cannot be told.
    """
    sweep = _sweep_of(records)
    if sweep is None:
        return None
    instead = _instead(sweep, chosen)
    words = []
    for key, value in sweep.asked.items():
        if key in _OF_A_STUDY | instead.keys() or key.startswith(("hydra.", "tune.")):
            continue
        own = _own_value(value, chosen, key)
        if own is None:
            return None
        words.append(f"{key}={own}")
    words += [f"{key}={value}" for key, value in instead.items() if value]
    return command(sweep.program, *words)


def _instead(sweep: Sweep, chosen: Record) -> dict[str, str]:
    """What the run had instead of what the sweep says; an empty value: the key is left out."""
    found = {}
    if chosen.scratch and SCRATCH in _choices(sweep.asked.get("freeze", "")):
        # A word of sweeps, which no training alone takes.
        found = {"freeze": chosen.freeze, "weights": SCRATCH, "backbone.weights": ""}
    if rates := found_for(chosen):
        found |= rates | _UNTUNED
    return found


def _again(records: Sequence[Record], changes: Mapping[str, str]) -> str | None:
    sweep = _sweep_of(records)
    if sweep is None:
        return None
    kept = [text for text in sweep.given if text.partition("=")[0] not in changes]
    kept += sweep.of_hydra
    return command(sweep.program, "-m", *kept, *(f"{k}={v}" for k, v in changes.items()))


def _sweep_of(records: Sequence[Record]) -> Sweep | None:
    """The sweep of all these runs; None where there is none, or its file cannot be read."""
    folders = {record.folder.parent for record in records}
    if len(folders) != 1:
        return None
    try:
        noted = read_yaml(folders.pop() / SWEEP)
        hydra = noted["hydra"]
        given, of_hydra = (hydra["overrides"][key] for key in ("task", "hydra"))
        params = hydra["sweeper"]["params"] or {}
        program = _PROGRAMS.get(hydra.get("job", {}).get("config_name"), "tlx.train")
        if not all(isinstance(text, str) for text in (*given, *of_hydra)):
            return None
        others = [text for text in of_hydra if text != "hydra.mode=MULTIRUN"]
        sweep = Sweep(program, list(given), others, dict(params))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return sweep if _names_all(records, sweep.asked) else None


def _names_all(records: Sequence[Record], values: Mapping[str, str]) -> bool:
    """Whether the sweep makes the depth of every run; a folder can hold runs of several sweeps."""
    named = {freeze_label(value) for value in _choices(values.get("freeze", "none"))}
    weights = set(_choices(str(values.get("backbone.weights", values.get("weights")))))
    return all(
        record.freeze in named or (record.scratch and SCRATCH in named | weights)
        for record in records
    )


def _choices(value: str) -> list[str]:
    return [text.strip(" '\"") for text in value.split(",")]


def _own_value(value: str, record: Record, key: str) -> str | None:
    """The one of the values of a key that a run had; the value itself where there is but one."""
    if value.startswith(("range(", "choice(", "glob(", "interval(")):
        return None
    if "," not in value or value.startswith(("[", "{")):
        return value
    found: Any = record.freeze if key == "freeze" else record.get("config", *key.split("."))
    if isinstance(found, Mapping):  # a group, which is called by its name
        found = found.get("name")
    for text in _choices(value):
        if text == str(found) or (key == "freeze" and freeze_label(text) == found):
            return text
    return None
