"""A run in a process of its own, whose record tells how it ended whatever happened to it."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tlx.common.errors import BusyError, TlxError
from tlx.config.schema import RunConfig
from tlx.config.typed import plain
from tlx.records.record import Record, describe_error, new_record, now, read_record, save_record
from tlx.study.isolate import run_in_child
from tlx.training.closing import one_line
from tlx.training.interrupt import Interrupted

log = logging.getLogger(__name__)

_REFUSED = 3  # exit code of a child
Start = Callable[[RunConfig, Path], Record]


def attempt(start: Start, cfg: RunConfig, folder: Path) -> bool:
    """Call `start(cfg, folder)` in a child process; a failure is recorded and logged, not raised.

    Returns:
        False where a finished run was refused as one of what is asked for today; its record stands.

    Raises:
        Interrupted: a stop was asked for; the run has saved its state and ended.
    """
    code = run_in_child(_recorded, start, cfg, folder)
    if code < 0:
        name = signal.Signals(-code).name
        log.error("%s: the process was killed by %s", folder.name, name)
        _save_failure(cfg, folder, {"type": name, "message": f"the process was killed by {name}"})
    return code != _REFUSED


def _recorded(start: Start, cfg: RunConfig, folder: Path) -> None:
    try:
        log.info("%s", one_line(start(cfg, folder)))
    except BusyError as error:  # the record is the other process's
        log.error("%s: %s", type(error).__name__, error)
    except TlxError as error:
        log.error("%s: %s", type(error).__name__, error)
        # An error before anything loads has no record yet.
        if not _save_failure(cfg, folder, describe_error(error)):
            sys.exit(_REFUSED)
    except (KeyboardInterrupt, Interrupted):
        log.warning("%s: interrupted, state saved", folder.name)
    except Exception:
        log.exception("%s failed", folder.name)


def _save_failure(cfg: RunConfig, folder: Path, error: dict[str, Any]) -> bool:
    """Record a failure; False where the run had finished before, whose record is left alone."""
    record = read_record(folder) or new_record(plain(cfg))
    if record["status"] == "finished":  # it has been refused for what came after it, and stands
        return False
    record["status"], record["finished"], record["error"] = "failed", now(), error
    save_record(record, folder)
    return True
