"""Checkpoints: atomic, read with `weights_only=True`, enough to rebuild the detector."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

import tlx
from tlx.common.errors import WeightsError
from tlx.common.files import write_atomically, write_bytes
from tlx.data.membership import Membership
from tlx.data.split_notes import NO_BEST, NO_FIGURE
from tlx.models.backbones.base import Conventions, backbone_spec
from tlx.models.backbones.weights import own_meta, read_torch
from tlx.models.detectors.ssd.ssd import SSD
from tlx.records.digest import BEST, LAST
from tlx.records.record import read_record
from tlx.training.recorder import Recorder

log = logging.getLogger(__name__)


def checkpoint_meta(detector: SSD, dataset: Membership, config: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain types."""
    return {
        "version": tlx.__version__,
        "backbone": detector.spec.name,
        "conventions": asdict(detector.conventions),
        "classes": list(dataset.classes),
        "dataset": dataset.as_lists(),
        "input_size": detector.input_size,
        "config": config,
    }


class Checkpoints(pl.Callback):
    """Keep the best and the last state of a run.

    The last state is written at the end of an epoch that was the best so far, when `minutes` have
    passed since the previous one, after the last epoch, and when a stop was asked for.
    """

    def __init__(self, folder: Path, recorder: Recorder, minutes: float) -> None:
        self.folder, self.recorder, self.minutes = folder, recorder, minutes
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save in mid-epoch when it is time (the epoch's last batch is left to the epoch's end)."""
        if not trainer.is_last_batch and self._due():
            self.save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after validation, so that a resumed run need not validate again."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        best = self.recorder.best_epoch == trainer.current_epoch
        if best or last or self._due():
            self.save(trainer, best=best)

    def save(self, trainer: pl.Trainer, *, best: bool = False) -> None:
        """Write `best.ckpt`, then `last.ckpt`: a kill between the two repeats the epoch."""

        def write(partial: Path) -> None:
            trainer.save_checkpoint(partial)
            if best:
                # A copy and no link: what damages one of the two must not damage the other.
                write_bytes(self.folder / BEST, partial.read_bytes())

        write_atomically(self.folder / LAST, write)
        self._saved_at = time.monotonic()

    def _due(self) -> bool:
        return time.monotonic() - self._saved_at >= 60 * self.minutes


def find_checkpoint(path: Path) -> Path:
    """A checkpoint file, or the best checkpoint of a run's folder.

    A finished run whose val split has no object that counts has none; its last one is the result
    then, and a warning says so.

    Raises:
        WeightsError: there is none, or the run is not finished and has no best one yet.
    """
    for candidate in (path, path / "checkpoints" / BEST, path / BEST):
        if candidate.is_file():
            return candidate
    last = path / "checkpoints" / LAST
    if last.is_file():
        if (read_record(path) or {}).get("status") != "finished":
            raise WeightsError(
                f"{path} is not finished and has no {BEST} yet: let it finish, or give {last}"
            )
        log.warning("%s: %s: %s", path, NO_FIGURE, NO_BEST)
        return last
    raise WeightsError(f"{path} is neither a checkpoint nor a run folder with checkpoints/{BEST}")


def load_detector(path: Path) -> tuple[SSD, dict[str, Any]]:
    """The detector of a tlx checkpoint in inference mode, and the checkpoint's meta data.

    Raises `WeightsError` for a file that is damaged, not tlx's, or does not fit its own meta data.
    """
    checkpoint = read_torch(path)
    if not isinstance(checkpoint, dict) or "tlx" not in checkpoint:
        raise WeightsError(
            f"{path} is not a tlx checkpoint; weights of other projects are given to "
            "`python -m tlx.train backbone.weights=…`"
        )
    meta = own_meta(checkpoint, path)
    if meta.get("task") == "classification":
        raise WeightsError(
            f"{path} is a classifier, not a detector: python -m tlx.classify.export exports it"
        )
    try:
        conventions = Conventions(**meta["conventions"])
        detector = SSD(
            backbone_spec(meta["backbone"]), conventions, len(meta["classes"]), meta["input_size"]
        )
        load_weights(detector, checkpoint, path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} does not describe a detector: {error!r}") from error
    return detector.eval(), meta


def load_weights(detector: SSD, checkpoint: dict[str, Any], path: Path) -> None:
    """Fill a detector with the tensors of a checkpoint that was read from `path`."""
    state = {
        key.removeprefix("detector."): value for key, value in checkpoint["state_dict"].items()
    }
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit its own description: {error}") from error
    detector.to(memory_format=torch.channels_last)
