"""Classes of Open Images by name; labels there are MIDs such as `/m/01jfm_`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

from tlx.common.errors import ConfigError, DataError
from tlx.common.typos import nearest

ALIKE = 0.75  # of the letters: nearly the same name
MOST_WORDS = 3  # names that are told


def split_names(text: str) -> list[str]:
    """`Apple, "a name, with a comma"` as names: commas part them, but between quotes.

    Raises:
        ConfigError: there is none.
    """
    names = [name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row]
    if not any(names):
        raise ConfigError("classes= names no class")
    return [name for name in names if name]


def read_descriptions(path: Path) -> dict[str, str]:
    """MID by name, in the file's order.

    Raises:
        DataError: a line that is not `MID,name`.
    """
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if not row or row[:1] == ["LabelName"]:  # later versions have a header
                    continue
                if len(row) != 2 or not row[0].startswith("/"):
                    raise DataError(f"{path}:{number}: expected MID,name, found {','.join(row)!r}")
                found[row[1]] = row[0]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no list of classes ({error}): delete it") from error
    if not found:
        raise DataError(f"{path} lists no class: delete it")
    return found


def find_classes(asked: Sequence[str], known: dict[str, str]) -> dict[str, str]:
    """MID by name as Open Images spells it, in the order that was asked for, whatever the case.

    The order is that of the labels, in every split alike.

    Raises:
        ConfigError: an unknown class, with the nearest, or one that is named twice.
    """
    spelled = {name.casefold(): name for name in known}
    found: dict[str, str] = {}
    for name in asked:
        right = spelled.get(name.casefold())
        if right is None:
            told = _meant(name.casefold(), spelled)
            raise ConfigError(f"{name!r} is no class of Open Images with boxes{told}")
        if right in found:
            raise ConfigError(f"the class {right!r} is named twice")
        found[right] = known[right]
    return found


def _meant(name: str, spelled: dict[str, str]) -> str:
    """The class that is spelled alike; where none nearly is, those that have the name as a word."""
    near = nearest(name, spelled)
    alike = near is not None and SequenceMatcher(None, name, near).ratio() >= ALIKE
    words = [right for low, right in spelled.items() if name in low.split()]
    if words and not alike:
        return f": did you mean {' or '.join(map(repr, words[:MOST_WORDS]))}?"
    return f": did you mean {spelled[near]!r}?" if near else ""
