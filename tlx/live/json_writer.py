"""Detections as JSON, written row by row: a camera may run for weeks."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tlx.live.writers import Shown


class JsonLines:
    """`.jsonl`: a row a line. What is written stays readable, whatever ends the program."""

    draws = False

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")

    def write(self, shown: Shown) -> None:
        """Append a line and hand it to the system."""
        self._file.write(json.dumps(shown.row, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class JsonArray:
    """`.json`: one array. It takes its name when it is complete."""

    draws = False

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._file = self._partial.open("w", encoding="utf-8")
        self._before = "[\n"

    def write(self, shown: Shown) -> None:
        """Append an element."""
        self._file.write(self._before + json.dumps(shown.row, indent=1, allow_nan=False))
        self._before = ",\n"

    def close(self) -> None:
        """Close the array and put the file in its place."""
        try:
            with self._file as file:
                file.write("[]\n" if self._before == "[\n" else "\n]\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._partial, self.path)
        finally:
            self._partial.unlink(missing_ok=True)
