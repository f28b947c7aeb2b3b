"""What the distribution is called, and optional packages, imported when a format needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tlx.common.errors import ToolError

# In a package index and for pip; `tlx` is another project's there. The import name is tlx.
DISTRIBUTION = "tlx-detect"


def pip_install(extra: str) -> str:
    """The command that brings an extra, by name."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def require(module: str, what: str) -> Any:
    """The imported module; `ToolError` that says what to install where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ToolError(
            f"{what} needs the package that provides {module!r}: {pip_install('edge')} ({error})"
        ) from error
