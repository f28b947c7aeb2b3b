"""Write files so that a reader never meets half of one, whatever kills the writer."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tlx.errors import StorageError


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a neighbouring file, flush it to disk, then put it in place of `path`.

    Raises:
        StorageError: the disk is full, the folder may not be written, …; `path` is as before.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}: free space or give another place"
        ) from error


def remove_partials(folder: Path) -> None:
    """Delete what killed writers left below `folder`; nobody else may be writing there."""
    for partial in folder.rglob(".*.partial"):
        partial.unlink(missing_ok=True)


def read_json(path: Path, encoding: str = "utf-8") -> Any:
    """What a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; also where it is nested deeper than Python can follow.
    """
    try:
        return json.loads(path.read_text(encoding=encoding))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def write_json(path: Path, value: Any) -> None:
    """JSON by the standard: NaN is refused, because other readers would choke on it."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_atomically(path, lambda partial: _write_text(partial, text))


def write_text(path: Path, text: str) -> None:
    """A whole text file at once."""
    write_atomically(path, lambda partial: _write_text(partial, text))


def write_bytes(path: Path, content: bytes) -> None:
    """A whole binary file at once."""
    write_atomically(path, lambda partial: _write_bytes(partial, content))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def path_below(path: Path, root: Path) -> str:
    """`path` relative to `root`, in POSIX form; the absolute path where it lies elsewhere."""
    path, root = path.absolute(), root.absolute()
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def output_names(paths: Sequence[Path]) -> list[str]:
    """A file name NAME.png for each picture, told apart by a number where names repeat.

    Also where they repeat but for their case, for some file systems take these for one.
    """
    taken: set[str] = set()
    names = []
    for path in paths:
        candidates = (f"{path.stem}{f'-{n}' if n > 1 else ''}.png" for n in itertools.count(1))
        name = next(name for name in candidates if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names
