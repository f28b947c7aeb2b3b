"""Settings of the host that a training step pays for: the allocator and the compute threads."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Any

import torch

# mallopt's parameters (malloc.h of the GNU C library).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 2**31 - 1
_TOP_PAD = 256 * 2**20


def keep_freed_memory() -> bool:
    """Tell glibc to keep big buffers between steps; False where there is no glibc.

    By default every activation of more than some MiB is mapped from and returned to the system in
    every step, and the page faults cost a CPU training step up to a third of its time. The price
    is more resident memory.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library (musl)
        return False
    settings = (
        (_M_MMAP_THRESHOLD, _LARGEST),
        (_M_TRIM_THRESHOLD, _LARGEST),
        (_M_TOP_PAD, _TOP_PAD),
    )
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


def return_freed_memory() -> None:
    """Let glibc give back to the system what it keeps (`malloc_trim`); elsewhere nothing."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # another C library (musl)
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def set_up_host(threads: int) -> dict[str, Any]:
    """Apply the settings (0 threads: torch's default) and say what holds, for the record."""
    if threads:
        torch.set_num_threads(threads)
    return {
        "threads": torch.get_num_threads(),
        "keeps_freed_memory": keep_freed_memory(),
        # As the OpenMP library found them when torch was loaded; None: its own default.
        **{name: os.environ.get(name) for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")},
    }
