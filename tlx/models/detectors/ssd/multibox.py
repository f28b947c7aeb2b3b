"""What all detectors of SSD's family share: heads on maps, priors, one coding of boxes, a loss."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from tlx.models.backbones.weights import Pretrained
from tlx.models.class_rows import by_name
from tlx.models.detector import Detector, Raw, Targets
from tlx.models.detectors.ssd.boxes import CENTER_VARIANCE, SIZE_VARIANCE, decode
from tlx.models.detectors.ssd.export_parts import ExportDecoder
from tlx.models.detectors.ssd.loss import multibox_loss
from tlx.models.detectors.ssd.priors import cells_of_maps
from tlx.models.detectors.ssd.scores import SOFTMAX, Scores


class MultiBox(Detector):
    """A detector whose heads give logits and box offsets of the priors of each map.

    A subclass puts its blocks behind the backbone (`_stack`, or taps of its own), builds heads and
    calls `_assemble`.

    Attributes:
        scores: what the logits mean, and the classification loss that goes with it.
    """

    scores: ClassVar[Scores] = SOFTMAX

    def _stack(self, blocks: nn.ModuleDict, channels: Iterable[int]) -> list[int]:
        """Put extra blocks behind the backbone and tap each; the channels of all tapped maps."""
        backbone, first = self.backbone, len(self.backbone.blocks)
        self.extras = blocks
        self.taps = {*backbone.taps, *range(first, first + len(blocks))}
        return [*(backbone.channels[t] for t in backbone.taps), *channels]

    def _cells(self) -> list[int]:
        """Cells per side of the tapped maps, of extra blocks that halve."""
        strides = (self.backbone.strides[t] for t in self.backbone.taps)
        return cells_of_maps(self.input_size, strides, len(self.extras))

    def _assemble(self, heads: nn.Module, priors: Tensor) -> None:
        self.heads = heads
        # Priors follow from configuration, so checkpoints do not carry them.
        self.register_buffer("priors", priors, persistent=False)
        self._complete()

    def load_pretrained(self, pretrained: Pretrained, classes: Sequence[str] = ()) -> None:
        """See `TrunkNetwork.load_pretrained`; class predictors are taken class by class."""
        if classes:
            own, background = self.state_dict(), self.scores.background
            pretrained = by_name(pretrained, classes, own, self._class_layers(), background)
        super().load_pretrained(pretrained, classes)

    def _class_layers(self) -> list[str]:
        """Names of the convolutions that give the logits: the last of every predictor."""
        heads: Any = self.heads
        predictors = {"heads.classify": heads.classify}
        if isinstance(heads.classify, nn.ModuleList):
            predictors = {f"heads.classify.{i}": layer for i, layer in enumerate(heads.classify)}
        found = []
        for name, predictor in predictors.items():
            *_, last = (n for n, m in predictor.named_modules() if isinstance(m, nn.Conv2d))
            found.append(f"{name}.{last}".rstrip("."))
        return found

    def loss(
        self, maps: list[Tensor], targets: Targets, *, min_negatives: int = 0
    ) -> dict[str, Tensor]:
        """The multibox loss with this detector's classification loss."""
        logits, offsets = self.heads(maps)
        return multibox_loss(
            logits, offsets, targets, self.priors,
            min_negatives=min_negatives, scores=self.scores,
        )  # fmt: skip

    def decode(self, raw: Raw) -> tuple[Tensor, Tensor]:
        """Scores of the logits, and offsets from the priors."""
        logits, offsets = raw
        return self.scores.of(logits.float()), decode(offsets.float(), self.priors)

    def export_parts(self) -> tuple[nn.Module, nn.Module]:
        """Convolutions row by row; the arithmetic of scores and box decoding."""
        heads: Any = self.heads
        return heads.exported(), ExportDecoder(self.priors, self.scores)

    def describe(self) -> dict[str, Any]:
        """Priors by digest, the variances of the box coding, and what the scores are."""
        return describe_boxes(self.priors) | self.scores.described()


def describe_boxes(priors: Tensor) -> dict[str, Any]:
    """Priors by digest, and the variances of the box coding."""
    values = priors.cpu().numpy()
    digest = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
    return {
        "priors": {"count": len(values), "sha256": digest},
        "variances": [CENTER_VARIANCE, SIZE_VARIANCE],
    }
