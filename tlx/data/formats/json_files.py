"""JSON annotation files of strangers, read with an error that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tlx.common.errors import DataError
from tlx.common.files import read_json


def read_annotation_json(path: Path) -> Any:
    """What the file holds, with or without a byte-order mark.

    Raises:
        DataError: it is no JSON, or holds what no annotation can.
    """
    try:
        return read_json(path, "utf-8-sig")
    except (ValueError, RecursionError) as error:  # ValueError: JSON's and Unicode's errors too
        raise DataError(f"{path}: malformed JSON: {error}: correct or export it again") from error


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Turn the error of a value that is not there or of another kind into words with its place."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        told = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{where}: {told}: correct or export it again") from error
