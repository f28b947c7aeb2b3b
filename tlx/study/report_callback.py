"""The end of a sweep: a comparison of its runs, and an exit code that tells."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from tlx.report import load_records
from tlx.report.build import PAGE, advise, read_comparison, write_report
from tlx.report.show import show


class SweepReport(Callback):
    """Hydra's hooks around a sweep: collect the jobs' folders, compare them, set the exit code."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.refused: list[Path] = []

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """A job of a sweep, or a single run, is about to start."""
        folder = Path(config.hydra.runtime.output_dir)
        if folder not in self.folders:  # two jobs may be one run
            self.folders.append(folder)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """A job has ended; one that was refused has left no trace in its folder."""
        if job_return.status == JobStatus.COMPLETED and job_return.return_value is False:
            self.refused.append(Path(config.hydra.runtime.output_dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the comparison, write the report, and fail when a job failed."""
        loaded = load_records(self.folders)
        failed = [r for r in loaded.records if r.status != "finished"]
        missing = len(self.folders) - len(loaded.records)
        if len(failed) + missing < len(self.folders):
            comparison = read_comparison(self.folders)
            report = write_report(comparison, self.folders, self.folders[0].parent / "report")
            show(comparison, advise(comparison, None, None))
            print(f"report: {report.with_name(PAGE)}")
        for record in failed:
            error = record.get("error") or {}
            message = error.get("message") or "see above"
            print(f"{record.status}: {record.name}: {message}", file=sys.stderr)
        for folder in self.refused:
            print(f"refused: {folder.name}: see above", file=sys.stderr)
        if failed or missing or self.refused:
            sys.exit(1)
