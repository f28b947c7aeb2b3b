"""The Lightning module of classification: a classifier under a freeze schedule."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tlx.classify.figures import Figures, Tally
from tlx.classify.network import Classifier
from tlx.config.classify_schema import ClassifierConfig
from tlx.config.schema import TrainerConfig
from tlx.data.dataset import Batch
from tlx.training.freeze_task import FreezeTask
from tlx.training.plan import EnginePlan
from tlx.training.recorder import Recorder


class ClassificationTask(FreezeTask):
    """Train and evaluate `classifier`; plan and meta: see `FreezeTask`; `seed`: of dropout."""

    def __init__(
        self, classifier: Classifier, plan: EnginePlan, trainer_cfg: TrainerConfig,
        classifier_cfg: ClassifierConfig, classes: list[str], meta: dict[str, Any], seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(plan, trainer_cfg, meta)
        self.classifier, self.classifier_cfg, self.classes = classifier, classifier_cfg, classes
        self.seed = seed
        self.tally = Tally(classes)
        self.figures: Figures = {}

    @property
    def network(self) -> Classifier:
        """The classifier."""
        return self.classifier

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The cross entropy of a batch."""
        outputs = self.classifier.prefix(self.classifier.normalize(batch.images))
        maps = self.classifier.tail(outputs)
        # What is dropped follows from seed and step, so that a resumed run drops the same.
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed((self.seed << 32) + self.global_step)
            logits = self.classifier.heads(maps)
        smoothing = self.classifier_cfg.label_smoothing
        loss = F.cross_entropy(logits.float(), targets_of(batch), label_smoothing=smoothing)
        if self.trainer.progress_bar_callback is not None:
            self.log("loss", loss, prog_bar=True, logger=False)
        return {"loss": loss}

    def _update(self, batch: Batch) -> None:
        self.tally.update(self.classifier.probabilities(batch.images), targets_of(batch))

    def on_validation_epoch_start(self) -> None:
        """Forget the previous validation."""
        self.tally = Tally(self.classes)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect probabilities on `val`."""
        self._update(batch)

    def on_validation_epoch_end(self) -> None:
        """The figures that select a checkpoint."""
        self.figures = self.tally.brief()

    def on_test_epoch_start(self) -> None:
        """Forget the previous evaluation."""
        self.tally = Tally(self.classes)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect probabilities on the split under test."""
        self._update(batch)

    def on_test_epoch_end(self) -> None:
        """All figures of the whole split at once."""
        self.figures = self.tally.full()


def targets_of(batch: Batch) -> Tensor:
    """Class numbers (N,), 0-based: a picture carries its class as its one label."""
    return batch.targets.labels[:, 0] - 1


class Course(Recorder):
    """The columns of a classification's course."""

    losses = ("loss",)
    val = ("accuracy", "macro_accuracy", "cross_entropy")
    curves = ("accuracy", "macro_accuracy")
    shown = {"accuracy": "accuracy", "cross entropy": "cross_entropy"}  # noqa: RUF012  constant
