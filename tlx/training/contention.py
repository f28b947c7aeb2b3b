"""How long this process waited for a core that others had."""

from __future__ import annotations

from pathlib import Path

_SCHEDSTAT = Path("/proc/self/schedstat")  # of the main thread, which runs the steps


def waited_seconds() -> float | None:
    """Seconds, since the process began, that its main thread could run and no core was free.

    None where the system does not tell. Linux does, in nanoseconds, as the second number of
    `schedstat` (Documentation/scheduler/sched-stats.rst).
    """
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
