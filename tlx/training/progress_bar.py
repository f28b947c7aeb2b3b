"""A progress bar with rate and time left on a terminal; lines in a log elsewhere."""

from __future__ import annotations

import sys

from pytorch_lightning.callbacks import ProgressBar, TQDMProgressBar

EVERY = 10  # steps: showing the loss waits for the device, and drawing takes time of short steps


def progress_bar(wanted: bool) -> ProgressBar | None:
    """The bar where somebody watches; None where output goes to a file or a pipe."""
    if not wanted or not sys.stderr.isatty():
        return None
    return TQDMProgressBar(refresh_rate=EVERY)
