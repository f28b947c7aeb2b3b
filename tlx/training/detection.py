"""Detection as a task: its network, and the Lightning module that trains and evaluates it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import tlx.models.detectors  # noqa: F401  registers the detectors
from tlx.common.drawing import draw, evenly_spaced, save_picture
from tlx.common.files import output_names
from tlx.config.schema import Config, DetectorConfig, TrainerConfig
from tlx.config.typed import plain
from tlx.data.dataset import Batch
from tlx.data.formats.annotations import Item
from tlx.data.framing import WHOLE, Framing
from tlx.data.membership import Membership
from tlx.data.module import DetectionData, build_data
from tlx.data.prepare import prepared
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.evaluation.gather import Gather
from tlx.evaluation.predictions import collect
from tlx.evaluation.prefix_memory import PrefixMemory, memory_budget
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.backbones.weights import read_torch
from tlx.models.detector import Detector, Targets, build_detector, detector_class
from tlx.models.postprocess import Detections
from tlx.records.checkpoint import checkpoint_meta, load_weights
from tlx.records.predictions import read_predictions, write_predictions
from tlx.records.predictions.file import SCORE_FLOOR
from tlx.training.closing import shortages
from tlx.training.freeze_task import FreezeTask
from tlx.training.kinds import TaskKind, register
from tlx.training.plan import EnginePlan
from tlx.wandb.media import pictures


class DetectionTask(FreezeTask):
    """Train and evaluate `detector`.

    Args:
        plan, meta: see `FreezeTask`.
        items: the checked items of each split that is evaluated ("val", "test"). framing: how
            they are shown to the network.
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
        framing: Framing = WHOLE,
    ) -> None:
        super().__init__(plan, trainer_cfg, meta)
        self.detector = detector
        self.classes, self.items, self.detector_cfg = classes, items, detector_cfg
        self.framing = framing
        self.evaluator = Evaluator(classes)
        self.gather = self._gather([])
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
        losses = self.detector.loss(
            self.maps(batch), batch.targets, min_negatives=self.detector_cfg.min_negatives
        )
        if self.trainer.progress_bar_callback is not None:
            self.log("loss", losses["loss"], prog_bar=True, logger=False)
        return losses

    def _gather(self, items: list[Item]) -> Gather:
        cfg = self.detector_cfg
        side = self.detector.input_size
        return Gather(items, self.framing, side, cfg.nms_iou, cfg.max_detections)

    def _start_evaluation(self, split: str) -> None:
        self.evaluator = Evaluator(self.classes)
        self.gather = self._gather(self.items[split])

    def _evaluate(self, batch: Batch, split: str) -> None:
        if split == "val":  # it comes again
            outputs = self.memory.outputs(self.detector, batch)
            found = self.detector.detect_from(outputs, **self._selection())
        else:
            found = self(batch.images)
        self.evaluator.update(*self.gather.add(found))

    def on_validation_epoch_start(self) -> None:
        """Forget the previous validation."""
        self._start_evaluation("val")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect detections on `val`."""
        self._evaluate(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """COCO figures of the whole split at once."""
        assert self.gather.complete
        self.figures = self.evaluator.compute_coco()

    def on_test_epoch_start(self) -> None:
        """Forget the previous evaluation."""
        self._start_evaluation("test")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect detections on the split under test."""
        self._evaluate(batch, "test")

    def on_test_epoch_end(self) -> None:
        """All figures of the whole split at once."""
        assert self.gather.complete
        self.figures = self.evaluator.compute()


@register
class Detect(TaskKind[Config, Detector]):
    """`task=detect`."""

    name = "detect"
    program = "tlx.train"
    usual_views = "ssd"

    def prepare(self, cfg: Config) -> None:
        """That of `data.source`."""
        if cfg.data.source is not None:
            prepared(cfg.data, Path(cfg.cache_dir).expanduser())

    def input_size(self, cfg: Config) -> int:
        """`detector.input_size`."""
        return cfg.detector.input_size

    def read_data(self, cfg: Config) -> DetectionData:
        """Any set in one of the formats of `tlx.data.formats`."""
        return build_data(
            cfg.data, Path(cfg.cache_dir).expanduser(), cfg.detector.input_size, seed=cfg.seed
        )

    def backbone(self, cfg: Config) -> BackboneSpec:
        """In the blocks that the detector needs."""
        return detector_class(cfg.detector.name).backbone_for(super().backbone(cfg))

    def build(
        self, cfg: Config, spec: BackboneSpec, conventions: Conventions, classes: list[str]
    ) -> Detector:
        """That of `detector.name`."""
        settings = cfg.detector
        return build_detector(
            settings.name, spec, conventions, len(classes), settings.input_size, vars(settings)
        )

    def loss(self, network: Detector, maps: list[Tensor]) -> Tensor:
        """One box a picture, in its middle."""
        count, device = len(maps[0]), maps[0].device
        targets = Targets(
            torch.tensor([0.2, 0.2, 0.7, 0.7], device=device).repeat(count, 1, 1),
            torch.ones(count, 1, dtype=torch.int64, device=device),
        )
        return network.loss(maps, targets, min_negatives=3)["loss"]

    def drawn_from(self, cfg: Config) -> dict[str, Any]:
        """The crops follow from the boxes too, which the cache's key holds anyway."""
        bars = {"letterbox": True} if cfg.data.letterbox else {}
        return {"zoom_out": cfg.data.zoom_out, **bars}

    def module(
        self, cfg: Config, network: Detector, plan: EnginePlan, data: DetectionData,
        members: Membership, device: torch.device,
    ) -> DetectionTask:  # fmt: skip
        """See `DetectionTask`."""
        return DetectionTask(
            network, plan, cfg.trainer, cfg.detector, data.classes, data.splits,
            checkpoint_meta(network, members, plain(cfg)), memory_budget(cfg.cache, device),
            data.framing,
        )  # fmt: skip

    def fill(self, network: Detector, path: Path) -> None:
        """As `tlx.records.checkpoint` reads them."""
        load_weights(network, read_torch(path), path)

    def keep(self, cfg: Config, module: FreezeTask, data: DetectionData, run_dir: Path) -> None:
        """`predictions/`: all detections as data, and a few pictures with boxes."""
        assert isinstance(module, DetectionTask)
        keep_predictions(module, data, run_dir, cfg.detector.score_threshold)
        save_predictions(module, data, run_dir / "predictions", cfg.logger.predictions)

    def pictures(self, data: DetectionData, run_dir: Path, count: int) -> Sequence[Any]:
        """With boxes."""
        return pictures(read_predictions(run_dir), data.cache, count)

    def shortages(self, steps: int, data: DetectionData) -> list[str]:
        """Too few steps, or too few test boxes."""
        return shortages(steps, data.report["counts"]["test"]["boxes"])


def keep_predictions(
    task: DetectionTask, data: DetectionData, run_dir: Path, least_score: float
) -> None:
    """Ground truth and detections of every test picture, as data (`tlx.records.predictions`)."""
    predictions = collect(
        data.splits["test"],
        task.evaluator.pictures,
        data.classes,
        Path(data.report["root"]),
        score_floor=max(SCORE_FLOOR, least_score),
    )
    write_predictions(run_dir, predictions)


def save_predictions(task: DetectionTask, data: DetectionData, folder: Path, count: int) -> None:
    """Evenly spaced test pictures with ground truth (white) and detections of score >= 0.3."""
    items = data.splits["test"]
    shown = list(evenly_spaced(len(items), count))
    names = output_names([items[index].image for index in shown])
    for index, name in zip(shown, names, strict=True):
        item, picture = items[index], task.evaluator.pictures[index]
        scale = torch.tensor([item.size[0], item.size[1]] * 2)
        keep = picture.scores >= 0.3
        image = draw(
            data.cache[item.digest], picture.boxes[keep] / scale, picture.labels[keep],
            picture.scores[keep], data.classes, truth=picture.true_boxes / scale,
        )  # fmt: skip
        save_picture(image, folder / name)
