"""Classification as a task: its network, the Lightning module that trains and evaluates it."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tlx.classify.checkpoint import classifier_meta, fill
from tlx.classify.data import build_folders
from tlx.classify.figures import Figures, Tally
from tlx.classify.network import Classifier
from tlx.common.drawing import evenly_spaced
from tlx.common.files import path_below, write_text
from tlx.config.schema import ClassifierConfig, ClassifyConfig, TrainerConfig
from tlx.config.typed import plain
from tlx.data.dataset import Batch
from tlx.data.membership import Membership
from tlx.data.module import DetectionData
from tlx.evaluation.prefix_memory import PrefixMemory, memory_budget
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.backbones.weights import read_torch
from tlx.records.predictions.classified import COLUMNS, classified_path, read_classified
from tlx.training.closing import shortages
from tlx.training.freeze_task import FreezeTask
from tlx.training.kinds import TaskKind, register
from tlx.training.plan import EnginePlan
from tlx.wandb.media import captioned

log = logging.getLogger(__name__)


class ClassificationTask(FreezeTask):
    """Train and evaluate `classifier`.

    Args:
        plan, meta: see `FreezeTask`. seed: of dropout.
        remembered: bytes that may be kept of the frozen blocks' outputs on "val".
    """

    def __init__(
        self, classifier: Classifier, plan: EnginePlan, trainer_cfg: TrainerConfig,
        classifier_cfg: ClassifierConfig, classes: list[str], meta: dict[str, Any], seed: int = 0,
        remembered: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(plan, trainer_cfg, meta)
        self.classifier, self.classifier_cfg, self.classes = classifier, classifier_cfg, classes
        self.seed = seed
        self.tally = Tally(classes)
        self.memory = PrefixMemory(remembered)
        self.figures: Figures = {}

    @property
    def network(self) -> Classifier:
        """The classifier."""
        return self.classifier

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The cross entropy of a batch."""
        maps = self.maps(batch)
        # What is dropped follows from seed and batch, so that a resumed run drops the same.
        batches = self.trainer_cfg.accumulate
        number = self.global_step * batches + batch_idx % batches
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed((self.seed << 32) + number)
            logits = self.classifier.heads(maps)
        smoothing = self.classifier_cfg.label_smoothing
        loss = F.cross_entropy(logits.float(), targets_of(batch), label_smoothing=smoothing)
        if self.trainer.progress_bar_callback is not None:
            self.log("loss", loss, prog_bar=True, logger=False)
        return {"loss": loss}

    def on_validation_epoch_start(self) -> None:
        """Forget the previous validation."""
        self.tally = Tally(self.classes)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect probabilities on `val`, which comes again."""
        outputs = self.memory.outputs(self.classifier, batch)
        self.tally.update(self.classifier.probabilities_from(outputs), targets_of(batch))

    def on_validation_epoch_end(self) -> None:
        """The figures that select a checkpoint."""
        self.figures = self.tally.brief()

    def on_test_epoch_start(self) -> None:
        """Forget the previous evaluation."""
        self.tally = Tally(self.classes)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect probabilities on the split under test."""
        self.tally.update(self.classifier.probabilities(batch.images), targets_of(batch))

    def on_test_epoch_end(self) -> None:
        """All figures of the whole split at once."""
        self.figures = self.tally.full()


def targets_of(batch: Batch) -> Tensor:
    """Class numbers (N,), 0-based: a picture carries its class as its one label."""
    return batch.targets.labels[:, 0] - 1


@register
class Classify(TaskKind[ClassifyConfig, Classifier]):
    """`task=classify`."""

    name = "classify"
    program = "tlx.classify"
    usual_views = "crop"

    def input_size(self, cfg: ClassifyConfig) -> int:
        """`classifier.input_size`."""
        return cfg.classifier.input_size

    def read_data(self, cfg: ClassifyConfig) -> DetectionData:
        """Pictures in class folders."""
        return build_folders(cfg.data, Path(cfg.cache_dir).expanduser(), seed=cfg.seed)

    def build(
        self, cfg: ClassifyConfig, spec: BackboneSpec, conventions: Conventions, classes: list[str]
    ) -> Classifier:
        """The backbone with a new head."""
        settings = cfg.classifier
        return Classifier(
            spec, conventions, len(classes), settings.input_size, settings.dropout, settings.head
        )

    def loss(self, network: Classifier, maps: list[Tensor]) -> Tensor:
        """Every picture is of the first class."""
        logits = network.heads(maps).float()
        return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.int64))

    def drawn_from(self, cfg: ClassifyConfig) -> dict[str, Any]:
        """The least size of a crop."""
        return {"least_area": cfg.data.least_area}

    def module(
        self, cfg: ClassifyConfig, network: Classifier, plan: EnginePlan, data: DetectionData,
        members: Membership, device: torch.device,
    ) -> ClassificationTask:  # fmt: skip
        """See `ClassificationTask`."""
        return ClassificationTask(
            network, plan, cfg.trainer, cfg.classifier, data.classes,
            classifier_meta(network, members, plain(cfg)), cfg.seed,
            memory_budget(cfg.cache, device),
        )  # fmt: skip

    def fill(self, network: Classifier, path: Path) -> None:
        """As `tlx.classify.checkpoint` reads them."""
        fill(network, read_torch(path), path)

    def keep(
        self, cfg: ClassifyConfig, module: FreezeTask, data: DetectionData, run_dir: Path
    ) -> None:
        """`predictions.csv`."""
        assert isinstance(module, ClassificationTask)
        write_text(classified_path(run_dir), predictions_csv(module, data))
        log.info(
            "test: accuracy %.3f, mean over classes %.3f, %d pictures",
            *(module.figures[key] for key in ("accuracy", "macro_accuracy", "pictures")),
        )

    def pictures(self, data: DetectionData, run_dir: Path, count: int) -> Sequence[Any]:
        """With the true and the found class."""
        items, found = data.splits["test"], read_classified(run_dir)
        return captioned(
            [
                (data.cache[items[i].digest], found.caption(i))
                for i in evenly_spaced(len(items), count)
            ]
        )

    def shortages(self, steps: int, data: DetectionData) -> list[str]:
        """Too few steps."""
        return shortages(steps, None)


def predictions_csv(task: ClassificationTask, data: DetectionData) -> str:
    """A line for each test picture: file below the root, true class, found class, probability."""
    best, found = task.tally.probabilities.max(1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    root = Path(data.report["root"])
    for row, item in enumerate(data.splits["test"]):
        names = data.classes[int(item.labels[0]) - 1], data.classes[int(found[row])]
        writer.writerow([path_below(item.image, root), *names, f"{float(best[row]):.4f}"])
    return text.getvalue()
