"""A classifier: a backbone, and a head behind its last map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tlx.classify.heads import HEADS, Head
from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.backbones.weights import Pretrained
from tlx.models.trunk import TrunkNetwork


class Classifier(TrunkNetwork):
    """A classifier of square pictures of `input_size` pixels; its trunk is the backbone.

    Attributes:
        head: the name of its head in `HEADS`.

    Raises `ConfigError` for a head that there is none of.
    """

    heads: Head

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int,
        dropout: float = 0.0, head: str = "linear",
    ) -> None:  # fmt: skip
        super().__init__(spec, conventions, input_size)
        if head not in HEADS:
            raise ConfigError(unknown_choice("classifier.head", head, HEADS))
        self.head = head
        channels, linear = self.backbone.channels[-1], self.backbone.linear_taps
        self.taps = {len(self.backbone.blocks) - 1}
        self.heads = HEADS[head](channels, classes, dropout, linear)
        self._complete()

    def load_pretrained(self, pretrained: Pretrained, classes: Sequence[str] = ()) -> None:
        """Take over the backbone's blocks, also those of a detector; the head where it fits."""
        state = {k: v for k, v in pretrained.state.items() if not k.startswith("extras.")}
        super().load_pretrained(replace(pretrained, state=state))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised input (N, 3, S, S) -> logits (N, classes)."""
        return self.heads(self.features(x))

    @torch.no_grad()
    def probabilities_from(self, outputs: list[Tensor]) -> Tensor:
        """`probabilities`, from what `eval_outputs` returned for the normalised images."""
        with torch.autocast(outputs[-1].device.type, enabled=False):
            return self.heads(self.eval_maps(outputs)).float().softmax(1)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """RGB (N, 3, S, S) in 0..255 -> softmax (N, classes).

        In full precision, also under autocast: figures belong to the weights, not to the run.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self(self.normalize(images)).float().softmax(1)
