"""One process a run: two that train in one folder would mix their checkpoints and rows."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tlx.common.errors import BusyError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

LOCK = ".lock"
_PATIENCE = 5.0  # seconds: a killed process may need a moment to let go
_TAKEN = (errno.EACCES, errno.EAGAIN)


@contextlib.contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Hold the folder of a run; the system lets go when the process ends, however it ends.

    A POSIX record lock and not `flock`: forked loader processes do not inherit it, so that one
    that is slow to notice its parent's end does not keep the folder.

    Raises:
        BusyError: another process holds it, and still does after some seconds.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    with (run_dir / LOCK).open("a+", encoding="utf-8") as file:
        _take(file, run_dir)
        yield


def _take(file: IO[str], run_dir: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno not in _TAKEN:  # a file system without locks
                log.warning("%s cannot be locked (%s): start no second run in it", run_dir, error)
                return
        if time.monotonic() > deadline:
            file.seek(0)
            raise BusyError(
                f"{run_dir} belongs to a run in progress ({file.read().strip()}): wait for it, "
                "stop it, or give this one another runs_dir"
            )
        time.sleep(0.1)
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
