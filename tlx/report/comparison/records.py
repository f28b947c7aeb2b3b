"""Find, read and check the records of runs (`record.json`, version 1).

A study outlives some of its runs: a killed run leaves half a record, a newer program writes a newer
version. None of that may stop the report of the runs that are sound, so a record that cannot be
used becomes a warning that names the file and the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlx.common.files import read_json, read_yaml
from tlx.config.schema import OF_SEED
from tlx.records.arms import SCRATCH, arm_settings
from tlx.records.digest import ALTERED, describe_result, is_altered
from tlx.records.quality import QUALITIES, Quality, finite, number, quality_of
from tlx.records.tuning import FOLDER, TUNING

FILE_NAME = "record.json"
CONFIG = "config.yaml"
VERSION = 1
STATUSES = ("running", "finished", "failed", "interrupted")

# What a record without its configuration says of it.
_LEGACY = {
    "freeze": "freeze", "policy.name": "policy", "backbone.name": "backbone", "data.name": "data",
    "detector.input_size": "input_size", "trainer.epochs": "epochs",
    "trainer.batch_size": "batch_size",
}  # fmt: skip
_LONGEST_CONFIG = 1_000_000  # bytes: a configuration has a few thousand

Series = NDArray[np.float64]
"""Points of a run, shape [N, 3]: seconds since the start of fit, step, value."""


def seconds_of(value: object) -> float | None:
    """Seconds since 1970 of a time in ISO 8601; one without a zone is taken for UTC."""
    if not isinstance(value, str):
        return None
    try:
        # Python 3.10 does not know `Z`
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class Record:
    """One run's record; every accessor gives None for what is absent or null.

    Attributes:
        beside: runs that were at work at the same time on its machine (`overlap`).
        parts: where this stands for the folds of a seed, their runs (`folds`); else empty.
    """

    folder: Path
    data: Mapping[str, Any]
    beside: tuple[str, ...] = ()
    parts: tuple[Record, ...] = ()

    def get(self, *keys: str) -> Any:
        """The value under a path of keys, e.g. `get("test", "map_50")`."""
        value: Any = self.data
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def number(self, *keys: str) -> float | None:
        """The finite number under a path of keys."""
        return finite(self.get(*keys))

    def text(self, *keys: str) -> str | None:
        """The value under a path of keys as text; numbers are spelled out, containers are None."""
        value = self.get(*keys)
        return str(value) if isinstance(value, str | int | float) else None

    def items(self, *keys: str) -> list[Any]:
        """The list under a path of keys; empty where there is none."""
        value = self.get(*keys)
        return value if isinstance(value, list) else []

    def series(self, name: str) -> Series:
        """The points of a course (`loss`, `map_50`) whose three numbers are known, [N, 3]."""
        points = self.get(name)
        rows = [_point(point) for point in points] if isinstance(points, list) else []
        kept = [row for row in rows if row is not None]
        return np.array(kept, dtype=np.float64).reshape(len(kept), 3)

    @property
    def fold(self) -> int | None:
        """Which fold of its set the run tests, from 0; None where the set is not folded."""
        value = self.get("config", "data", "fold")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def draws_train(self) -> bool:
        """Whether its part of the train pictures is drawn by its seed (`data.train_draw`)."""
        data = self.get("config", "data")
        if not isinstance(data, Mapping) or data.get("train_fraction", 1) == 1:
            return False
        return data.get("train_draw") == OF_SEED

    @property
    def quality(self) -> Quality:
        """What runs of its task are judged by."""
        return quality_of(self.data)

    def tested(self, key: str) -> float | None:
        """A figure of the test set."""
        return self.quality.tested(self.data, key)

    @property
    def name(self) -> str:
        """The name in the record, or the folder's."""
        return self.text("name") or self.folder.name

    @property
    def status(self) -> str:
        """One of `STATUSES`."""
        return str(self.data["status"])

    @property
    def freeze(self) -> str:
        """The freeze setting as text: `none`, a depth, `all`, `heads` or a block's name."""
        return str(self.data["freeze"])

    @property
    def policy(self) -> str:
        """The freeze policy, `fixed` where the record names none."""
        return self.text("policy") or "fixed"

    @property
    def scratch(self) -> bool:
        """Whether this is the baseline that starts from random weights."""
        return self.text("weights", "source") == SCRATCH

    @cached_property
    def checkpoint_sha256(self) -> str | None:
        """Of the checkpoint that the run ended with; of an earlier record, that beside it."""
        if (stated := self.text("checkpoint", "sha256")) is not None:
            return stated
        result = describe_result(self.folder)
        return result["sha256"] if result else None

    @property
    def configured(self) -> bool:
        """Whether the whole configuration is known."""
        return self._from_config is not None

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the run's arm (`tlx.records.arms`), or what an earlier record says of that."""
        if self._from_config is not None:
            return self._from_config
        known = {key: self.get(name) for key, name in _LEGACY.items()}
        known |= {"freeze": self.freeze, "policy.name": self.policy}
        known |= {"backbone.weights": SCRATCH} if self.scratch else {}
        return {key: value for key, value in known.items() if value is not None}

    @cached_property
    def _from_config(self) -> dict[str, Any] | None:
        config = self.get("config")
        try:
            return arm_settings(config) if isinstance(config, Mapping) else None
        except (RecursionError, TypeError, ValueError):  # nested too deep, or no configuration
            return None


@dataclass(frozen=True)
class LoadedRuns:
    """The records that could be used, in the order found, and a warning for each that could not."""

    records: list[Record]
    warnings: list[str]


def load_records(paths: Iterable[Path]) -> LoadedRuns:
    """Read every record in the given run folders, or in folders that hold run folders.

    A run that is reached by two of the paths is read once.
    """
    loaded = LoadedRuns([], [])
    seen: set[Path] = set()
    for path in paths:
        files = _record_files(path)
        if not files:
            reason = f"holds no {FILE_NAME}" if path.exists() else "no such file or folder"
            loaded.warnings.append(f"{path}: {reason}; left out")
        for file in files:
            if (resolved := file.resolve()) in seen:
                continue
            seen.add(resolved)
            _load_into(loaded, file)
    return LoadedRuns(*_without_copies(loaded.records, loaded.warnings))


def _without_copies(records: list[Record], warnings: list[str]) -> tuple[list[Record], list[str]]:
    """Each run once, and a warning for copies of whole folders.

    A copy of a run is no second run, nor did it run beside itself. Copies of a folder have its
    record to the last bit; what a logger keeps of a run (an artifact of MLflow's holds the record
    as it was a moment before its end) is left out without a word.
    """
    kept: list[Record] = []
    told = list(warnings)
    digests: dict[str, Record] = {}
    courses: set[str] = set()
    for record in sorted(records, key=lambda r: not _is_whole(r.folder)):
        course = str([record.name, record.get("started"), record.get("loss")])
        digest = record.text("sha256")
        if _is_whole(record.folder):
            courses.add(course)
        elif course in courses:
            continue
        if digest is not None and (first := digests.setdefault(digest, record)) is not record:
            told.append(f"{record.folder} is a copy of {first.folder}; left out")
            continue
        kept.append(record)
    chosen = {id(record) for record in kept}
    return [record for record in records if id(record) in chosen], told


def _is_whole(folder: Path) -> bool:
    """Whether this is the folder of a run, and not a place where its record was put."""
    return (folder / CONFIG).is_file()


def _point(point: object) -> list[float] | None:
    if not isinstance(point, list) or len(point) != 3:
        return None
    numbers = [number for value in point if (number := finite(value)) is not None]
    return numbers if len(numbers) == 3 else None


def _record_files(path: Path) -> list[Path]:
    found = (file for file in path.rglob(FILE_NAME) if file.is_file())
    return sorted(f for f in found if not _of_pilot(f, path) and not _of_tuning(f, path))


def _of_tuning(file: Path, asked: Path) -> bool:
    """Whether this is a trial of a study's rates below the folder that was asked for."""
    arm = file.parent.parent
    inside = arm.parent != asked and arm.parent.is_relative_to(asked)
    return inside and arm.parent.name == FOLDER and (arm / TUNING).is_file()


def _of_pilot(file: Path, asked: Path) -> bool:
    """Whether this is a short run of a `policy=auto` run below the folder that was asked for."""
    pilot = file.parent.parent
    inside = pilot != asked and pilot.is_relative_to(asked)
    return inside and pilot.name == "pilot" and (pilot.parent / "config.yaml").is_file()


def _load_into(loaded: LoadedRuns, file: Path) -> None:
    try:
        data = read_json(file)
    except (OSError, ValueError, RecursionError) as error:
        loaded.warnings.append(f"{file}: cannot be read ({error}); left out")
        return
    if (fault := _fault(data)) is not None:
        loaded.warnings.append(f"{file}: {fault}; left out")
        return
    if is_altered(data):
        loaded.warnings.append(f"{file}: {ALTERED}; its figures are used as they are")
    if not isinstance(data.get("config"), dict):  # records before version 0.3.0
        data["config"] = _stored_config(file.with_name(CONFIG))
    loaded.records.append(Record(file.parent, data))


def _stored_config(file: Path) -> dict[str, Any] | None:
    """The configuration beside a record, None where it cannot be had; nothing in it is resolved."""
    try:
        if file.stat().st_size > _LONGEST_CONFIG:
            return None
        found = read_yaml(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _fault(data: object) -> str | None:
    """Why this cannot be used as a record, or None when it can."""
    if not isinstance(data, dict):
        return "not a JSON object"
    version = data.get("version")
    if isinstance(version, bool) or version != VERSION:
        return f"record version {version!r} is unknown (this program reads version {VERSION})"
    task = data.get("task")
    if task is not None and not (isinstance(task, str) and task in QUALITIES):
        return f"task {task!r} is none of {', '.join(QUALITIES)}"
    if data.get("status") not in STATUSES:
        return f"status {data.get('status')!r} is none of {', '.join(STATUSES)}"
    freeze = data.get("freeze")
    if isinstance(freeze, bool) or not isinstance(freeze, str | int) or freeze == "":
        return f"freeze {freeze!r} is not a freeze setting"
    quality = quality_of(data)
    for part in ("best", "test"):
        for figure in (quality.main, quality.second):
            found = number(data.get(part), figure.key)
            if found is not None and not 0 <= found <= 1:
                return f"{part} {figure.key} is {found:g}: {figure.name} lies in 0..1"
    return None
