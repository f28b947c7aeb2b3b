"""Optional packages, imported when a format needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tlx.common.errors import ToolError


def require(module: str, what: str) -> Any:
    """The imported module; `ToolError` that says what to install where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ToolError(
            f"{what} needs the package that provides {module!r}: pip install 'tlx[edge]' ({error})"
        ) from error
