"""The one Lightning module: an SSD under a freeze schedule, its loss, optimizer and evaluation."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from tlx.data.annotations import Item
from tlx.data.dataset import Batch
from tlx.detector.loss import multibox_loss
from tlx.detector.ssd import SSD, Detections
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.freeze.apply import apply_phase, trainable_parameters
from tlx.policies.base import Phase, phase_at
from tlx.schedule import lr_factor
from tlx.schema import DetectorConfig, TrainerConfig


class DetectionTask(pl.LightningModule):
    """Train and evaluate `detector`.

    Args:
        phases: the freeze schedule; the state of every epoch follows from it and the epoch alone.
        items: the checked items of each split that is evaluated ("val", "test").
        meta: stored in checkpoints: all that is needed to rebuild the detector.
    """

    def __init__(
        self,
        detector: SSD,
        phases: tuple[Phase, ...],
        trainer_cfg: TrainerConfig,
        detector_cfg: DetectorConfig,
        classes: list[str],
        items: dict[str, list[Item]],
        meta: dict[str, Any],
    ) -> None:
        super().__init__()
        self.detector = detector
        self.phases, self.classes, self.items, self.meta = phases, classes, items, meta
        self.trainer_cfg, self.detector_cfg = trainer_cfg, detector_cfg
        self.evaluator = Evaluator(classes)
        self.figures: Figures = {}

    def forward(self, images: Tensor) -> list[Detections]:
        """RGB (N, 3, S, S) in 0..255 -> detections per image."""
        return self.detector.detect(
            images,
            score_threshold=self.detector_cfg.score_threshold,
            nms_iou=self.detector_cfg.nms_iou,
            max_detections=self.detector_cfg.max_detections,
        )

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The multibox loss of a batch."""
        logits, offsets = self.detector(self.detector.normalize(batch.images))
        losses = multibox_loss(
            logits,
            offsets,
            batch.targets,
            self.detector.priors,
            min_negatives=self.detector_cfg.min_negatives,
        )
        if self.trainer.progress_bar_callback is not None:
            self.log("loss", losses["loss"], prog_bar=True, logger=False)
        return losses

    def on_train_start(self) -> None:
        """A run resumed in mid-epoch gets no epoch-start hook: apply the freeze here too."""
        apply_phase(self.detector, phase_at(self.phases, self.current_epoch))

    def on_train_epoch_start(self) -> None:
        """Assert the freeze anew: validation and other callbacks have had the network since."""
        apply_phase(self.detector, phase_at(self.phases, self.current_epoch))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """A new phase starts with a fresh optimizer: old momentum belongs to another problem."""
        starts = {phase.first_epoch for phase in self.phases[1:]}
        if batch_idx == 0 and self.current_epoch in starts:
            optimizer = self.optimizers(use_pl_optimizer=False)
            assert isinstance(optimizer, torch.optim.Optimizer)
            optimizer.state.clear()

    def configure_optimizers(self) -> Any:
        """SGD with two groups that never change, under the pure schedule of `lr_factor`."""
        cfg, phases = self.trainer_cfg, self.phases
        groups = trainable_parameters(self.detector, phases)
        rates = {"base": cfg.base_lr, "head": cfg.head_lr}
        optimizer = torch.optim.SGD(
            [{"params": p, "lr": rates[name], "name": name} for name, p in groups.items() if p],
            lr=cfg.head_lr,
            momentum=cfg.momentum,
            weight_decay=cfg.weight_decay,
        )
        steps = int(self.trainer.estimated_stepping_batches) // cfg.epochs
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(step, steps, cfg.epochs, phases, cfg.warmup_steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what rebuilds the detector; plain types, so that `weights_only=True` loads it."""
        checkpoint["tlx"] = self.meta

    def _start_evaluation(self) -> None:
        self.evaluator = Evaluator(self.classes)

    def _evaluate(self, batch: Batch, split: str) -> None:
        items = [self.items[split][i] for i in batch.indices.tolist()]
        self.evaluator.update(self(batch.images), items)

    def on_validation_epoch_start(self) -> None:
        """Forget the previous validation."""
        self._start_evaluation()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect detections on `val`."""
        self._evaluate(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """COCO figures of the whole split at once."""
        self.figures = self.evaluator.compute_coco()

    def on_test_epoch_start(self) -> None:
        """Forget the previous evaluation."""
        self._start_evaluation()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect detections on the split under test."""
        self._evaluate(batch, "test")

    def on_test_epoch_end(self) -> None:
        """All figures of the whole split at once."""
        self.figures = self.evaluator.compute()
