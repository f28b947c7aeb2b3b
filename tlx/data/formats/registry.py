"""The table of annotation readers, filled by a decorator."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path

from tlx.common.registry import Registry
from tlx.data.formats.annotations import Annotation

Reader = Callable[[Path, list[str] | None], list[Annotation]]

READERS: Registry[Reader] = Registry("data.format")


def reader(name: str) -> Callable[[Reader], Reader]:
    """Register the decorated function as the reader of format `name`.

    A reader takes the data folder and the configured classes (None: those found) and returns its
    annotations, which are sorted here, so that no file system's order reaches an experiment.
    """

    def register(function: Reader) -> Reader:
        @wraps(function)
        def in_order(root: Path, classes: list[str] | None) -> list[Annotation]:
            return sorted(function(root, classes), key=lambda a: (str(a.image), a.source))

        return READERS.add(name, in_order, function.__module__)

    return register
