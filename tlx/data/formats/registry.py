"""The table of annotation readers and of the signs by which their files are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

from tlx.common.registry import Registry
from tlx.data.formats.annotations import Annotation

Reader = Callable[[Path, list[str] | None], list[Annotation]]


@dataclass(frozen=True)
class Sign:
    """How an annotation file of a format is known, whatever it is called.

    Attributes:
        words: what such files are, for messages.
        endings: of such files, in lower case.
        fits: whether a file's content is that of such a file: the whole of a JSON file, the
            beginning of any other. It may be cut off anywhere, and no text at all.
        seen: what a message says of such a file; "": nothing.
        needs: keys that the format cannot do without, as they are typed.
    """

    words: str
    endings: frozenset[str]
    fits: Callable[[bytes], bool]
    seen: str = ""
    needs: str = ""


READERS: Registry[Reader] = Registry("data.format")
SIGNS: dict[str, Sign] = {}


def reader(name: str, sign: Sign | None = None) -> Callable[[Reader], Reader]:
    """Register the decorated function as the reader of format `name`.

    A reader takes the data folder and the configured classes (None: those found) and returns its
    annotations, which are sorted here, so that no file system's order reaches an experiment.

    Args:
        sign: of its files; without one `data.format=auto` does not find them.
    """

    def register(function: Reader) -> Reader:
        @wraps(function)
        def in_order(root: Path, classes: list[str] | None) -> list[Annotation]:
            return sorted(function(root, classes), key=lambda a: (str(a.image), a.source))

        if sign is not None:
            SIGNS[name] = sign
        return READERS.add(name, in_order, function.__module__)

    return register
