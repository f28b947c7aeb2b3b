"""The course of a run: what every step and validation gave, kept in one place.

The rows live in the checkpoint, so that a run killed at any moment and resumed from it carries on
with exactly the rows that belong to its state; `metrics.csv` and the loggers mirror them.
"""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from torch import Tensor

from tlx.common.errors import DivergenceError
from tlx.freeze.policies.base import Phase
from tlx.freeze.proof import phase_hash
from tlx.records.columns import GRADIENT, Columns
from tlx.records.record import Record
from tlx.training.contention import waited_seconds
from tlx.training.freeze_task import FreezeTask
from tlx.training.steps import step_is_done

if TYPE_CHECKING:
    from tlx.loggers.base import Loggers

log = logging.getLogger(__name__)

_FLUSH_EVERY = 50  # steps: reading a loss back costs a device synchronisation
Row = dict[str, float | int | None]


class Recorder(pl.Callback):
    """Collects rows, mirrors them to `metrics.csv`, keeps the best epoch and the freeze's hashes.

    Args:
        phases: the freeze schedule, to which decisions may add (`tlx.training.switches`).
        on_progress: called after every validation with this recorder (the record is rewritten).
        mirror: gets every row once, those of a checkpoint included.
    """

    def __init__(
        self,
        columns: Columns,
        csv_path: Path,
        phases: Sequence[Phase],
        select_by: str,
        on_progress: Callable[[Recorder], None],
        mirror: Loggers | None = None,
    ) -> None:
        self.columns = columns
        self.csv_path, self.phases, self.select_by = csv_path, phases, select_by
        self.on_progress, self.mirror = on_progress, mirror
        self.rows: list[Row] = []
        self.hashes: dict[str, str | None] = {}  # "<phase>.before" / "<phase>.after" -> sha256
        self.seconds_before = 0.0  # of fit, in processes before this one
        self.waited_before: float | None = 0.0  # of them, for a core; None: not told
        self._waited_at_start: float | None = None
        self._batches: list[dict[str, Tensor]] = []  # losses of the step's so far
        self._pending: list[tuple[Row, list[dict[str, Tensor]], Tensor]] = []
        self._started = 0.0
        self._written = 0  # rows already in the CSV
        self._mirrored = 0  # rows that the mirror has seen

    @property
    def seconds(self) -> float:
        """Seconds of fit so far, the pauses between resumed processes left out."""
        return self.seconds_before + (time.monotonic() - self._started if self._started else 0.0)

    @property
    def waited(self) -> float | None:
        """Seconds of fit in which the process waited for a core; None where that is not known."""
        if self.waited_before is None or not self._started:
            return self.waited_before
        now = waited_seconds()
        if now is None or self._waited_at_start is None:
            return None
        return self.waited_before + now - self._waited_at_start

    @property
    def _judged(self) -> list[Row]:
        """The validation rows that have the figure which selects."""
        return [row for row in self.rows if row.get(f"val_{self.select_by}") is not None]

    @property
    def validated(self) -> list[int]:
        """Epochs, from 0, of the validations that have the figure which selects."""
        return [int(row["epoch"]) for row in self._judged]  # type: ignore[arg-type]

    @property
    def scores(self) -> list[tuple[int, float]]:
        """The epochs, from 0, of those validations, and their figures."""
        return [(int(row["epoch"]), row[f"val_{self.select_by}"]) for row in self._judged]  # type: ignore[arg-type,misc]

    @property
    def best_row(self) -> Row | None:
        """The validation row that selects the checkpoint; the earlier one wins a tie."""
        rows = self._judged
        return max(rows, key=lambda row: row[f"val_{self.select_by}"], default=None)  # type: ignore[arg-type,return-value]

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best validation."""
        return int(self.best_row["epoch"]) if self.best_row else None  # type: ignore[arg-type]

    def series(self, column: str) -> list[list[float | int]]:
        """[seconds, step, value] of a column, where it has a value."""
        rows = [row for row in self.rows if row.get(column) is not None]
        return [[row["seconds"], row["step"], row[column]] for row in rows]  # type: ignore[list-item]

    def gradients(self, clip_norm: float) -> dict[str, float | None] | None:
        """The median norm of the steps' gradients, and the share of steps that were clipped.

        None where no step has one: they are noted since version 0.4.0.
        """
        norms = [row[GRADIENT] for row in self.rows if row.get(GRADIENT) is not None]
        if not norms:
            return None
        above = [norm > clip_norm for norm in norms]  # type: ignore[operator]
        return {
            "median_norm": median(norms),  # type: ignore[type-var]
            "clipped": sum(above) / len(above) if clip_norm else None,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to continue the course without a seam."""
        self._flush_losses()
        return {
            "rows": self.rows,
            "hashes": self.hashes,
            "seconds": self.seconds,
            "waited": self.waited,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the course of a checkpoint over; later rows of the killed process are gone."""
        self.rows = list(state_dict["rows"])
        self.hashes = dict(state_dict["hashes"])
        self.seconds_before = state_dict["seconds"]
        self.waited_before = state_dict.get("waited")  # noted since version 0.4.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, hash the frozen tensors, lay the CSV anew from the rows."""
        self._started, self._waited_at_start = time.monotonic(), waited_seconds()
        self._written = 0
        self.csv_path.unlink(missing_ok=True)
        self._hash(pl_module, 0, "before")
        self._write_csv()
        self.mirror_rows()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hash at the borders of phases: the end of one is the start of the next."""
        for index, phase in enumerate(self.phases):
            if index and phase.first_epoch == trainer.current_epoch:
                self._hash(pl_module, index - 1, "after")
                self._hash(pl_module, index, "before")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hash the last phase that was reached, stop the clock."""
        self.prove_end(pl_module)
        self._flush_losses()
        self._write_csv()
        self.seconds_before, self.waited_before = self.seconds, self.waited
        self._started = 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the optimizer step; its losses are read back later, many at once."""
        losses = {name: outputs[name] for name in self.columns.losses}
        losses["loss"] = losses["loss"] * trainer.accumulate_grad_batches  # which divided it
        self._batches.append(losses)
        if not step_is_done(trainer, batch_idx):
            return
        batches, self._batches = self._batches, []
        row: Row = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "seconds": self.seconds,
        }
        # Of groups of one name the last counts: with layer_decay, the backbone's last block.
        for group in trainer.optimizers[0].param_groups:
            row[f"lr_{group['name']}"] = group["lr"]
        assert isinstance(pl_module, FreezeTask)
        self._pending.append((row, batches, pl_module.gradient_norm))
        if len(self._pending) >= _FLUSH_EVERY:
            self._flush_losses()
            self._write_csv()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the figures of a validation and rewrite the record."""
        assert isinstance(pl_module, FreezeTask)
        self._flush_losses()
        row: Row = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "seconds": self.seconds,
            **{f"val_{name}": pl_module.figures[name] for name in self.columns.val},
        }
        self.rows.append(row)
        self._write_csv()
        self.mirror_rows()
        self._tell(trainer, row)
        self.on_progress(self)

    def prove_end(self, pl_module: pl.LightningModule) -> None:
        """Hash the last phase that was reached; training may have ended before this process."""
        begun = [int(key.partition(".")[0]) for key in self.hashes if key.endswith(".before")]
        self._hash(pl_module, max(begun, default=0), "after")

    def _flush_losses(self) -> None:
        for row, batches, norm in self._pending:
            values = {
                name: sum(float(losses[name]) for losses in batches) / len(batches)
                for name in self.columns.losses
            }
            if not all(math.isfinite(value) for value in values.values()):
                raise DivergenceError(
                    f"the loss became {values['loss']} at step {row['step']}: lower "
                    "trainer.base_lr and trainer.head_lr, or set trainer.clip_norm"
                )
            self.rows.append({**row, **values, GRADIENT: float(norm)})
        self._pending = []

    def _write_csv(self) -> None:
        new = not self.csv_path.exists()
        with self.csv_path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns.names, restval="")
            if new:
                writer.writeheader()
            writer.writerows(self.rows[self._written :])
        self._written = len(self.rows)

    def mirror_rows(self) -> None:
        """Give the mirror every row that it has not seen."""
        start, self._mirrored = self._mirrored, len(self.rows)
        if self.mirror is not None:
            self.mirror.log_rows(self.rows[start:])

    def _hash(self, pl_module: pl.LightningModule, phase: int, when: str) -> None:
        assert isinstance(pl_module, FreezeTask)
        # A resumed run keeps the hash of its true beginning.
        self.hashes.setdefault(f"{phase}.{when}", phase_hash(pl_module.network, self.phases[phase]))

    def _tell(self, trainer: pl.Trainer, row: Row) -> None:
        losses = [r["loss"] for r in self.rows if r["epoch"] == row["epoch"] and "loss" in r]
        mean = sum(x for x in losses if x is not None) / max(1, len(losses))
        figures = [
            f"{heading} {_share(row[f'val_{key}'])}" for heading, key in self.columns.shown.items()
        ]
        log.info(
            "epoch %d/%d  loss %.3f  val %s  %.0f s",
            int(row["epoch"] or 0) + 1,
            trainer.max_epochs or 0,
            mean,
            "  ".join(figures),
            self.seconds,
        )


def _share(value: float | int | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def add_course(record: Record, recorder: Recorder) -> None:
    """Take over what the recorder has seen so far."""
    record["loss"] = recorder.series("loss")
    names = {"epoch": "epoch", "step": "step"}
    for name in recorder.columns.curves:
        names[name] = f"val_{name}"
        record[name] = recorder.series(names[name])
    if row := recorder.best_row:
        record["best"] = {name: row[column] for name, column in names.items()}
    record["time"] = {"fit_s": recorder.seconds, "waited_s": recorder.waited}


def add_proof(record: Record, recorder: Recorder) -> None:
    """The hashes of the frozen tensors at the borders of each phase."""
    for index, phase in enumerate(record["phases"]):
        for when in ("before", "after"):
            phase[f"hash_{when}"] = recorder.hashes.get(f"{index}.{when}")
    for when in ("hash_before", "hash_after"):
        record["frozen"][when] = record["phases"][0][when]
