"""Keys of a program, read from the text of its --help without importing it.

A program takes seconds to import, and a person who presses Tab waits.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def module_file(module: str) -> Path:
    """The file of `tlx.…`: a module's, or a package's program."""
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return place / "__main__.py" if place.is_dir() else place.with_suffix(".py")


def help_keys(text: str) -> dict[str, bool]:
    """Keys that a help text explains, `  key, other  what they mean`; true: it is yes or no.

    Rows of commands (`  train    what it does`) look the same: leave them out by their names.
    """
    rows = re.findall(r"^  ([a-z]\w*(?:, [a-z]\w*)*)  +(\S.*)$", text, re.MULTILINE)
    return {
        key: bool(re.match(r"true: ", told) or re.search(r"\(default:? (true|false)\)", told))
        for keys, told in rows
        for key in keys.split(", ")
    }


def keys_of(module: str) -> dict[str, bool]:
    """The keys of a program by its module."""
    return help_keys(ast.get_docstring(ast.parse(module_file(module).read_text("utf-8"))) or "")


def literal(module: str, name: str) -> dict[str, list[str]]:
    """A module's dict of texts, as far as it is written out: `{"key": ("choice", …)}`."""
    found = {}
    for node in ast.parse(module_file(module).read_text("utf-8")).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)):
            continue
        if name not in [getattr(target, "id", None) for target in node.targets]:
            continue
        for key, value in zip(node.value.keys, node.value.values, strict=True):
            try:
                found[str(ast.literal_eval(key or value))] = list(ast.literal_eval(value))
            except (ValueError, TypeError):  # a name of another module
                continue
    return found
