"""Where tables are printed."""

from __future__ import annotations

import sys

from rich.console import Console

PLAIN_WIDTH = 120  # columns where the output is a file or a pipe


def stdout_console() -> Console:
    """As wide as the terminal; wide enough for every table where there is none."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
