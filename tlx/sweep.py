"""Sweeps: every job in a process of its own, a comparison at the end, an exit code that tells."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from tlx.console import stdout_console
from tlx.errors import TlxError
from tlx.interrupt import Interrupted
from tlx.record import describe_error, new_record, now, read_record, save_record
from tlx.report import comparison_table, load_records, make_report
from tlx.run import run

log = logging.getLogger(__name__)


def run_isolated(cfg: DictConfig, folder: Path) -> None:
    """Run a job in a child process and make sure that its record tells how it ended.

    A process of its own keeps one job's memory out of the next one's peak, and a job that the
    system kills does not take the sweep along. Where processes cannot be forked it runs here.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        _child(cfg, folder)
        return
    process = multiprocessing.get_context("fork").Process(target=_child, args=(cfg, folder))
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        # The terminal sends Ctrl+C to the child too; it saves and stops, then the sweep does.
        process.join()
        log.warning("sweep interrupted; start it again to continue where it stopped")
        sys.exit(130)
    if process.exitcode and process.exitcode < 0:
        record = read_record(folder) or new_record(cfg)
        name = signal.Signals(-process.exitcode).name
        record["status"], record["finished"] = "failed", now()
        record["error"] = {"type": name, "message": f"the process was killed by {name}"}
        save_record(record, folder)


def _child(cfg: DictConfig, folder: Path) -> None:
    try:
        run(cfg, folder)
    except TlxError as error:
        # An error before anything loads has no record yet.
        record = read_record(folder) or new_record(cfg)
        record["status"], record["error"] = "failed", describe_error(error)
        save_record(record, folder)
        log.error("%s: %s", type(error).__name__, error)
    except (KeyboardInterrupt, Interrupted):
        log.warning("%s: interrupted, state saved", folder.name)
    except Exception:
        log.exception("%s failed", folder.name)


class SweepReport(Callback):
    """Hydra's hooks around a sweep: collect the jobs' folders, compare them, set the exit code."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """A job of a sweep, or a single run, is about to start."""
        self.folders.append(Path(config.hydra.runtime.output_dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the comparison, write the report, and fail when a job failed."""
        loaded = load_records(self.folders)
        failed = [r for r in loaded.records if r.status != "finished"]
        missing = len(self.folders) - len(loaded.records)
        if len(failed) + missing < len(self.folders):
            stdout_console().print(comparison_table(loaded.records))
            report = make_report(self.folders, self.folders[0].parent / "report")
            print(f"report: {report}")
        for record in failed:
            error = record.get("error") or {}
            print(f"{record.status}: {record.name}: {error.get('message')}", file=sys.stderr)
        if failed or missing:
            sys.exit(1)
