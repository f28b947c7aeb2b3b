"""What all detectors of SSD's family share: heads on maps, priors, one coding of boxes, a loss."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from torch import Tensor, nn

from tlx.models.detector import Detector, Raw, Targets
from tlx.models.detectors.ssd.boxes import CENTER_VARIANCE, SIZE_VARIANCE, decode
from tlx.models.detectors.ssd.export_parts import ExportDecoder
from tlx.models.detectors.ssd.loss import multibox_loss
from tlx.models.detectors.ssd.scores import SOFTMAX, Scores


class MultiBox(Detector):
    """A detector whose heads give logits and box offsets of the priors of each map.

    A subclass builds extras, taps and heads and calls `_assemble`.

    Attributes:
        scores: what the logits mean, and the classification loss that goes with it.
    """

    scores: ClassVar[Scores] = SOFTMAX

    def _assemble(self, heads: nn.Module, priors: Tensor) -> None:
        self.heads = heads
        # Priors follow from configuration, so checkpoints do not carry them.
        self.register_buffer("priors", priors, persistent=False)
        self._complete()

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
