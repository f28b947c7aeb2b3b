"""How each arm brings a batch into its form and computes a loss; the rest of a step is common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from pytorch_lightning.callbacks import BaseFinetuning
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from tlx.activations.phase import PhaseCache
from tlx.data.dataset import Batch
from tlx.freeze.apply import apply_phase
from tlx.freeze.policies.base import Phase
from tlx.models.blocks import Blocks
from tlx.models.cpu_bfloat16 import keep_in_float32
from tlx.models.detector import Detector, Targets

STAGES = 6  # of torchvision's ssdlite backbone: the range of its `trainable_backbone_layers`


class Arm(ABC):
    """A network under one freeze.

    `prepare` is not timed: it brings a batch of the loader into the form in which this arm would
    get it from its own loader.
    """

    network: nn.Module

    def prepare(self, batch: Batch) -> Any:
        """The batch as it waits in host memory before a step."""
        return batch

    @abstractmethod
    def load(self, prepared: Any) -> Any:
        """What was prepared, in the form the network takes, on its device."""

    @abstractmethod
    def loss(self, inputs: Any) -> Tensor:
        """Forward pass and loss of what `load` gave."""


def detector_loss(detector: Detector, maps: list[Tensor], targets: Targets) -> Tensor:
    """The loss of the tapped maps, by the configuration of `tlx.train`."""
    return detector.loss(maps, targets, min_negatives=3)["loss"]


class PlainArm(Arm):
    """The same network without tlx's freeze: contiguous, in train mode, all under autograd.

    Frozen by `requires_grad` alone, or by Lightning's `BaseFinetuning.freeze(train_bn=False)`.
    """

    def __init__(self, detector: Detector, frozen: Blocks, *, by_lightning: bool) -> None:
        self.network = self.detector = detector.train()
        trunk = detector.trunk()
        blocks = [trunk[place][1] for place in sorted(frozen)]
        if by_lightning:
            BaseFinetuning.freeze(blocks, train_bn=False)
        else:
            for block in blocks:
                block.requires_grad_(False)

    def prepare(self, batch: Batch) -> Batch:
        """Pictures as a loader without channels-last gives them."""
        return replace(batch, images=batch.images.contiguous())

    def load(self, prepared: Batch) -> tuple[Tensor, Targets]:
        """Normalised, contiguous."""
        batch = prepared.to(self.detector.priors.device)
        x = batch.images.to(torch.float32, memory_format=torch.contiguous_format)
        return x.sub_(self.detector.mean).div_(self.detector.std), batch.targets

    def loss(self, inputs: tuple[Tensor, Targets]) -> Tensor:
        """The detector itself knows of no frozen block, so it runs all of them under autograd."""
        x, targets = inputs
        return detector_loss(self.detector, self.detector.features(x), targets)


class TlxArm(Arm):
    """The training step of `tlx.train`, the prefix and autocast of the tail in `dtype`."""

    def __init__(self, detector: Detector, frozen: Blocks, dtype: torch.dtype) -> None:
        self.network = self.detector = detector.train()
        self.dtype = dtype
        if detector.priors.device.type == "cpu":
            keep_in_float32(detector)
        apply_phase(detector, Phase(0, frozen, frozen), dtype)

    def load(self, prepared: Batch) -> tuple[Any, Targets]:
        """Normalised, channels last."""
        batch = prepared.to(self.detector.priors.device)
        return self.detector.normalize(batch.images), batch.targets

    def outputs(self, inputs: Any) -> list[Tensor]:
        """What the tail starts from."""
        return self.detector.prefix(inputs)

    def loss(self, inputs: tuple[Any, Targets]) -> Tensor:
        """The prefix without autograd, the tail and the loss under autocast where that is asked."""
        x, targets = inputs
        device = self.detector.priors.device.type
        with torch.autocast(device, self.dtype, enabled=self.dtype != torch.float32):
            return detector_loss(self.detector, self.detector.tail(self.outputs(x)), targets)


class CachedArm(TlxArm):
    """As `TlxArm`, but the prefix's outputs are read from a filled cache."""

    def __init__(
        self, detector: Detector, frozen: Blocks, dtype: torch.dtype, cache: PhaseCache
    ) -> None:
        super().__init__(detector, frozen, dtype)
        self.cache = cache

    def prepare(self, batch: Batch) -> Batch:
        """No pictures: a loader that finds all of them cached renders none."""
        return replace(batch, images=torch.zeros(0, 3, 1, 1, dtype=torch.uint8))

    def load(self, prepared: Batch) -> tuple[Any, Targets]:
        """Activations copied out of the store and decoded."""
        batch = prepared.to(self.detector.priors.device)
        return self.cache.outputs(batch, self.detector), batch.targets

    def outputs(self, inputs: Any) -> list[Tensor]:
        """They were read already."""
        return inputs


class TorchvisionArm(Arm):
    """Torchvision's ssdlite with its own transform, matching and loss: another, lighter network."""

    def __init__(
        self, classes: int, input_size: int, frozen_share: float, device: torch.device
    ) -> None:
        self.model = ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=classes + 1
        )
        self.network = self.model.to(device).train()
        self.device = device
        # Its own 320 px would give it more pixels than the other arms have.
        self.model.transform.fixed_size = (input_size, input_size)
        freeze_stages(self.model, trainable_layers(frozen_share))

    def prepare(self, batch: Batch) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Pictures, and the boxes in pixels picture by picture."""
        side = batch.images.shape[-1]
        targets = [
            {"boxes": boxes[labels > 0] * side, "labels": labels[labels > 0]}
            for boxes, labels in zip(batch.targets.boxes, batch.targets.labels, strict=True)
        ]
        return batch.images.contiguous(), targets

    def load(
        self, prepared: tuple[Tensor, list[dict[str, Tensor]]]
    ) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """Pictures in 0..1; the network normalises them itself."""
        images, targets = prepared
        pictures = images.to(self.device).float().div_(255)
        return list(pictures), [{k: v.to(self.device) for k, v in t.items()} for t in targets]

    def loss(self, inputs: tuple[list[Tensor], list[dict[str, Tensor]]]) -> Tensor:
        """The sum of its losses."""
        return sum(self.model(*inputs).values(), torch.zeros((), device=self.device))


def trainable_layers(frozen_share: float) -> int:
    """`trainable_backbone_layers` that freezes about the same share of the backbone's blocks."""
    return round(STAGES * (1 - frozen_share))


def freeze_stages(model: nn.Module, trainable: int) -> None:
    """Freeze what `trainable_backbone_layers` would, which is ignored for random weights."""
    blocks = mobilenet_v3_large(weights=None, reduced_tail=True).features
    strided = [i for i, block in enumerate(blocks) if getattr(block, "_is_cn", False)]
    starts = [0, *strided, len(blocks) - 1]
    end = len(blocks) if trainable == 0 else starts[len(starts) - trainable]
    # The detector splits the blocks anew, but keeps their parameters in order.
    count = sum(1 for block in blocks[:end] for _ in block.parameters())
    for parameter in islice(model.backbone.features.parameters(), count):  # type: ignore[union-attr]
        parameter.requires_grad_(False)
