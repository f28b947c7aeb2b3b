"""Python's collector of reference cycles, where there are none to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Without the collector; also a decorator.

    It walks over all objects again and again while many are made, a quarter of the time that
    100,000 annotations take. What has no cycles is freed without it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
