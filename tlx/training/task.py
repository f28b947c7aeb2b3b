"""The Lightning module of detection: a detector under a freeze schedule, and its evaluation."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from tlx.config.schema import DetectorConfig, TrainerConfig
from tlx.data.dataset import Batch
from tlx.data.formats.annotations import Item
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.evaluation.prefix_memory import PrefixMemory
from tlx.models.detector import Detector
from tlx.models.postprocess import Detections
from tlx.training.freeze_task import FreezeTask
from tlx.training.plan import EnginePlan


class DetectionTask(FreezeTask):
    """Train and evaluate `detector`.

    Args:
        plan, meta: see `FreezeTask`.
        items: the checked items of each split that is evaluated ("val", "test").
        remembered: bytes that may be kept of the frozen blocks' outputs on "val".
    """

    def __init__(
        self,
        detector: Detector,
        plan: EnginePlan,
        trainer_cfg: TrainerConfig,
        detector_cfg: DetectorConfig,
        classes: list[str],
        items: dict[str, list[Item]],
        meta: dict[str, Any],
        remembered: int = 0,
    ) -> None:
        super().__init__(plan, trainer_cfg, meta)
        self.detector = detector
        self.classes, self.items, self.detector_cfg = classes, items, detector_cfg
        self.evaluator = Evaluator(classes)
        self.memory = PrefixMemory(remembered)
        self.figures: Figures = {}

    @property
    def network(self) -> Detector:
        """The detector."""
        return self.detector

    def forward(self, images: Tensor) -> list[Detections]:
        """RGB (N, 3, S, S) in 0..255 -> detections per image."""
        return self.detector.detect(images, **self._selection())

    def _selection(self) -> dict[str, Any]:
        keys = ("score_threshold", "nms_iou", "max_detections")
        return {key: getattr(self.detector_cfg, key) for key in keys}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The detector's loss of a batch."""
        cache = self.plan.caches.at(self.current_epoch)
        if cache is not None:
            outputs = cache.outputs(batch, self.detector)
        else:
            outputs = self.detector.prefix(self.detector.normalize(batch.images))
        losses = self.detector.loss(
            self.detector.tail(outputs),
            batch.targets,
            min_negatives=self.detector_cfg.min_negatives,
        )
        if self.trainer.progress_bar_callback is not None:
            self.log("loss", losses["loss"], prog_bar=True, logger=False)
        return losses

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
