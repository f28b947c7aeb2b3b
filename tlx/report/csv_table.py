"""Every scalar figure of every run as a CSV file: one row a run, empty where there is no figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

from tlx.records.arms import base_label
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.figures import relative
from tlx.report.comparison.levels import Levels, Reached, reach_loss, reach_main, smoothed_loss
from tlx.report.comparison.records import Record
from tlx.report.comparison.rows import proof_of

# Columns before and behind those of quality: where they stand in record.json.
_ABOUT: dict[str, tuple[str, ...]] = {
    **{
        key: (key,)
        for key in (
            "status", "freeze", "policy", "backbone", "data", "seed", "epochs", "batch_size",
            "input_size", "precision", "fingerprint", "started", "finished", "resumes",
        )
    },
    "base_lr": ("config", "trainer", "base_lr"),
    "head_lr": ("config", "trainer", "head_lr"),
    "weights": ("weights", "source"),
    "weights_sha256": ("weights", "sha256"),
}  # fmt: skip
_COSTS: dict[str, tuple[str, ...]] = {
    **{f"step_{key}": ("step_time", key) for key in (
        "median_s", "p10_s", "p90_s", "data_s", "forward_s", "backward_s", "optimizer_s")},
    "steps_timed": ("step_time", "steps"),
    **{f"bound_{key}": ("bound", key) for key in (
        "step_share", "speedup", "forward_macs", "frozen_macs_share")},
    "frozen_parameters": ("frozen", "parameters"),
    "trainable_parameters": ("trainable", "parameters"),
    **{key: ("memory", key) for key in ("peak_rss_bytes", "peak_device_bytes")},
    **{key: ("time", key) for key in ("fit_s", "test_s")},
    **{f"energy_{key}": ("energy", key) for key in ("joules", "measured", "method")},
    **{key: ("environment", key) for key in (
        "cpu", "cores", "gpu", "memory_bytes", "platform", "python", "torch", "tlx", "git_commit")},
}  # fmt: skip


def csv_text(comparison: Comparison, output: Path) -> str:
    """The file: finished runs in the order of the arms, then the others.

    Args:
        comparison: What to write.
        output: Folder of the report, which folders of runs are named relative to.
    """
    rows = [(row.arm.label, record) for row in comparison.rows for record in row.arm.records]
    rows += [(base_label(record.settings), record) for record in comparison.unfinished]
    columns = _columns(comparison.levels, output)
    if any(record.fold is not None for _, record in rows):
        columns = {"fold": lambda record: record.fold, **columns}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["arm", *columns])
    for label, record in rows:
        writer.writerow([label, *(_cell(value(record)) for value in columns.values())])
    return buffer.getvalue()


def _columns(levels: Levels, output: Path) -> dict[str, Callable[[Record], object]]:
    columns: dict[str, Callable[[Record], object]] = {
        "run": lambda record: record.name,
        "folder": lambda record: relative(record.folder, output),
    }
    quality = levels.quality
    tested = {f"test_{key}": key for key in quality.test}
    best = {f"best_val_{key}": ("best", key) for key in (*quality.best, "epoch", "step")}
    columns |= {name: _at(path) for name, path in _ABOUT.items()}
    columns |= {name: _tested(key) for name, key in tested.items()}
    columns |= {name: _at(path) for name, path in (best | _COSTS).items()}
    return columns | {
        "ran_beside": lambda record: ", ".join(record.beside) or None,
        "frozen_proof": proof_of,
        "final_loss": _final_loss,
        "s_to_loss_level": lambda record: _seconds(reach_loss(record, levels.loss)),
        f"s_to_{quality.short}_level": lambda record: _seconds(reach_main(record, levels.main)),
    }


def _at(path: tuple[str, ...]) -> Callable[[Record], object]:
    return lambda record: record.get(*path)


def _tested(key: str) -> Callable[[Record], object]:
    """As the record has it, or worked out where only its parts are there."""
    return lambda record: record.tested(key) if (v := record.get("test", key)) is None else v


def _final_loss(record: Record) -> float | None:
    series = smoothed_loss(record)
    return float(series[-1, 2]) if len(series) else None


def _seconds(reached: Reached | None) -> float | None:
    return reached.seconds if reached is not None and reached.yes else None


def _cell(value: object) -> object:
    """Scalars as they are; null is empty. Text that a spreadsheet would run as a formula is not."""
    if not isinstance(value, str):
        return value if isinstance(value, int | float) else None
    return f"'{value}" if value[:1] in ("=", "+", "-", "@") else value
