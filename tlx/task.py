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
from tlx.engine.depthwise import keep_strided_depthwise_in_float32
from tlx.engine.plan import EnginePlan
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.evaluation.prefix_memory import PrefixMemory
from tlx.freeze.apply import trainable_parameters
from tlx.schedule import lr_factor
from tlx.schema import DetectorConfig, TrainerConfig


class DetectionTask(pl.LightningModule):
    """Train and evaluate `detector`.

    Args:
        plan: the freeze schedule and how it is computed; the state of every epoch follows from
            the plan and the epoch alone.
        items: the checked items of each split that is evaluated ("val", "test").
        meta: stored in checkpoints: all that is needed to rebuild the detector.
        remembered: bytes that may be kept of the frozen blocks' outputs on "val".
    """

    def __init__(
        self,
        detector: SSD,
        plan: EnginePlan,
        trainer_cfg: TrainerConfig,
        detector_cfg: DetectorConfig,
        classes: list[str],
        items: dict[str, list[Item]],
        meta: dict[str, Any],
        remembered: int = 0,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.plan, self.classes, self.items, self.meta = plan, classes, items, meta
        self.trainer_cfg, self.detector_cfg = trainer_cfg, detector_cfg
        self.evaluator = Evaluator(classes)
        self.memory = PrefixMemory(remembered)
        self.figures: Figures = {}

    def forward(self, images: Tensor) -> list[Detections]:
        """RGB (N, 3, S, S) in 0..255 -> detections per image."""
        return self.detector.detect(images, **self._selection())

    def _selection(self) -> dict[str, Any]:
        keys = ("score_threshold", "nms_iou", "max_detections")
        return {key: getattr(self.detector_cfg, key) for key in keys}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The multibox loss of a batch."""
        cache = self.plan.caches.at(self.current_epoch)
        if cache is not None:
            outputs = cache.outputs(batch, self.detector)
        else:
            outputs = self.detector.prefix(self.detector.normalize(batch.images))
        logits, offsets = self.detector.heads(self.detector.tail(outputs))
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
        if self.device.type == "cpu":
            keep_strided_depthwise_in_float32(self.detector)
        self.plan.apply(self.detector, self.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Assert the freeze anew: validation and other callbacks have had the network since."""
        self.plan.apply(self.detector, self.current_epoch)

    def on_train_end(self) -> None:
        """Nothing of the cache is left unwritten."""
        self.plan.caches.flush()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """A new phase starts with a fresh optimizer: old momentum belongs to another problem."""
        starts = {phase.first_epoch for phase in self.plan.phases[1:]}
        if batch_idx == 0 and self.current_epoch in starts:
            optimizer = self.optimizers(use_pl_optimizer=False)
            assert isinstance(optimizer, torch.optim.Optimizer)
            optimizer.state.clear()

    def configure_optimizers(self) -> Any:
        """SGD with two groups that never change, under the pure schedule of `lr_factor`."""
        cfg, phases = self.trainer_cfg, self.plan.phases
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
        if split == "val":  # it comes again
            outputs = self.memory.outputs(self.detector, batch)
            found = self.detector.detect_from(outputs, **self._selection())
        else:
            found = self(batch.images)
        self.evaluator.update(found, items)

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
