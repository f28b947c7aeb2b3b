"""Copies of runs that are enough to make their report again: what a study commits.

A run's folder takes a hundred MiB of checkpoints, and pictures that may not be passed on. What a
report is computed from takes a quarter of a MiB: the record, the configuration, the course, the
predictions on test.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from tlx.common.errors import DataError
from tlx.common.files import write_json, write_text
from tlx.records.digest import sealed
from tlx.records.predictions.classified import classified_path
from tlx.records.predictions.file import predictions_path
from tlx.report.comparison.records import CONFIG, FILE_NAME, Record, load_records

KEPT = "runs"  # folder of the copies
COURSE, FROZEN = "metrics.csv", "freeze.txt"
# An absolute path inside of a text: two folders deep at least, and no part of an address.
_QUOTED = re.compile(r"(['\"])(?:[A-Za-z]:)?[/\\](?:[^/\\'\"\n]+[/\\])+([^/\\'\"\n]+)\1")
_INSIDE = re.compile(r"(?<![\w.:/~-])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:'\"]+[/\\])+([^\s/\\:'\",;)]+)")


def keep_runs(run_dirs: Sequence[Path], output: Path) -> list[str]:
    """Copy what the report of these runs needs to `output/runs`, for anybody's machine.

    Each run gets a folder of its own below one for each folder that was given, as it lay there.
    Absolute paths are cut to their last part, so that nothing tells of the machine; the record is
    sealed again. Copies of an earlier call are replaced; what is there and no copy is refused.

    Args:
        run_dirs: run folders, or folders that hold run folders.
        output: folder of the report.

    Returns:
        A warning for each run that could not be read.

    Raises:
        DataError: there is no run, `output/runs` holds something else, or it cannot be written.
    """
    loaded = load_records(run_dirs)
    if not loaded.records:
        raise DataError("; ".join(["there is no run to keep", *loaded.warnings]))
    target, draft = output / KEPT, output / f".{KEPT}.draft"
    if target.exists() and any(path.name in ("checkpoints", ".lock") for path in target.rglob("*")):
        raise DataError(f"{target} holds runs, and not copies of them: give another output=")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        for record, place in zip(loaded.records, _places(loaded.records), strict=True):
            _copy(record, draft / place)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    except OSError as error:
        raise DataError(f"the runs cannot be kept in {target}: {error}") from error
    return loaded.warnings


def portable(value: Any) -> Any:
    """The same with each absolute path cut to its last part, in lists and mappings of any depth."""
    if isinstance(value, Mapping):
        return {key: portable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [portable(each) for each in value]
    return _short(value) if isinstance(value, str) else value


def _short(text: str) -> str:
    whole = PureWindowsPath(text) if re.match(r"[A-Za-z]:\\", text) else PurePosixPath(text)
    if whole.is_absolute() and whole.name and not re.search(r"[:\n]\s|//", text):
        return whole.name
    return _cut(text)


def _cut(text: str) -> str:
    """A text with its paths cut, those in quotes first: they may have spaces."""
    return _INSIDE.sub(r"\1", _QUOTED.sub(r"\1\2\1", text))


def _places(records: Iterable[Record]) -> list[Path]:
    """Where each run's copy goes: the folder of its group and its own, told apart by a number."""
    seen: dict[Path, int] = {}
    places = []
    for record in records:
        folder = record.folder.absolute()
        place = Path(folder.parent.name or "study") / folder.name
        seen[place] = seen.get(place, 0) + 1
        places.append(place.with_name(f"{place.name}-{seen[place]}") if seen[place] > 1 else place)
    return places


def _copy(record: Record, target: Path) -> None:
    folder = record.folder
    write_json(target / FILE_NAME, sealed(portable(record.data)))
    config = folder / CONFIG
    if config.is_file():
        read = yaml.safe_load(config.read_text(encoding="utf-8"))
        write_text(target / CONFIG, yaml.safe_dump(portable(read), sort_keys=False))
    kept = (folder / COURSE, folder / FROZEN, predictions_path(folder), classified_path(folder))
    for path in (path for path in kept if path.is_file()):
        text = path.read_text(encoding="utf-8")
        write_text(target / path.relative_to(folder), _cut(text))
