"""What a person may have meant by a key or a choice that there is none of."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that is most like this one: its full name, or the same but for a few letters.

    `epochs` is the end of `data.epochs` and of `trainer.epochs`: the last one that is known counts.
    """
    ends = [name for name in known if name.endswith(f".{word}")]
    close = difflib.get_close_matches(word.lower(), list(known), n=1)
    if ends or close:
        return (ends or close)[-1]
    # A letter of the last part may be wrong, and the part before it missing.
    parts = {name.rpartition(".")[2]: name for name in known}
    last = difflib.get_close_matches(word.rpartition(".")[2], list(parts), n=1, cutoff=0.75)
    return parts[last[0]] if last else None


def unknown_key(key: str, known: Collection[str], value: str | None = None) -> str:
    """`freez is not a key: did you mean freeze=4?`, or the keys where none is like it."""
    found = nearest(key, known)
    if found is None:
        return f"{key} is not a key; keys: {', '.join(known)}"
    return f"{key} is not a key: did you mean {found if value is None else f'{found}={value}'}?"


def unknown_choice(key: str, value: str, known: Collection[str]) -> str:
    """`data=gunz is none of coco, guns, …: did you mean data=guns?`"""
    found = nearest(value, known)
    told = f"{key}={value} is none of {', '.join(known)}"
    return told if found is None else f"{told}: did you mean {key}={found}?"


def unknown_command(word: str, known: Collection[str]) -> str:
    """`'trian' is not a command: did you mean train?`, or the commands."""
    found = nearest(word, known)
    told = f"commands: {', '.join(known)}" if found is None else f"did you mean {found}?"
    return f"{word!r} is not a command: {told}"
