"""What a detector is to the rest of the program, and which ones there are.

A detector is a trunk of named blocks (backbone, then blocks of its own), heads on tapped maps, a
loss, and a way from what the heads give to scores and boxes. Freezing, caching, training,
evaluation, export and benchmarks know no more of it than this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from tlx.common.registry import Registry
from tlx.models.backbones.base import BackboneSpec, Conventions
from tlx.models.postprocess import Detections, select_all
from tlx.models.trunk import TrunkNetwork

Raw = tuple[Tensor, Tensor]
"""What heads give: logits (N, P, C) and box outputs (N, P, 4) of all priors."""


@dataclass(frozen=True)
class Targets:
    """Ground truth of a batch, padded to the largest number of objects M.

    Attributes:
        boxes: float32 (B, M, 4) corner form in 0..1; labels: int64 (B, M), 1-based, 0 in padding.
    """

    boxes: Tensor
    labels: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> Targets:
        """The same targets on another device (Lightning's batch transfer calls this)."""
        return Targets(
            self.boxes.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking=non_blocking),
        )


class Detector(TrunkNetwork, ABC):
    """A detector for `classes` (background not counted) on square inputs of `input_size` pixels.

    A subclass builds its blocks (`extras`), heads, taps and priors, and calls `_complete`.

    Attributes:
        name: of `detector.name=`.
        own_blocks: names of the trunk's blocks behind the backbone, in order.
        options: keys of the `detector` group that it is built with, as keyword arguments whose
            defaults are what a checkpoint means that says nothing of them.
        built_with: their values, for the checkpoint.
        priors: (P, 4) centre form, 0..1 of the input: where each output looks. It follows from the
            configuration, so checkpoints do not carry it.
    """

    name: ClassVar[str]
    own_blocks: ClassVar[tuple[str, ...]]
    options: ClassVar[tuple[str, ...]] = ()
    priors: Tensor

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        super().__init__(self.backbone_for(spec), conventions, input_size)
        self.classes = classes
        self.built_with: dict[str, Any] = {}

    @classmethod
    def backbone_for(cls, spec: BackboneSpec) -> BackboneSpec:
        """The backbone in the blocks that this detector needs; by default as it is.

        A tap is a block's output, so a detector that reads the inside of a block has it in two.
        Raises `ConfigError` for a backbone that the detector cannot stand on.
        """
        return spec

    @classmethod
    def blocks_behind(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """`own_blocks` of a detector with these `options`, where they depend on them."""
        return cls.own_blocks

    @classmethod
    def unread(cls, options: Mapping[str, Any]) -> set[str]:
        """Those of `options` that a detector with these values does not read."""
        return set()

    @abstractmethod
    def loss(
        self, maps: list[Tensor], targets: Targets, *, min_negatives: int = 0
    ) -> dict[str, Tensor]:
        """The loss of a batch, from the tapped maps of its pictures.

        Args:
            maps: what `features` or `tail` gives.
            min_negatives: of a picture without objects, where the loss mines negatives.

        Returns:
            ``{"loss", "classification", "localization"}``, finite scalars for any targets; the
            first is the one to train on.
        """

    @abstractmethod
    def decode(self, raw: Raw) -> tuple[Tensor, Tensor]:
        """What the heads gave -> scores (N, P, C) in 0..1, background first, and unclipped
        corner-form boxes (N, P, 4) in 0..1, both float32."""

    @abstractmethod
    def export_parts(self) -> tuple[nn.Module, nn.Module]:
        """Heads and decoding as plain feed-forward modules of a batch of one, batch norm folded.

        The first takes the list of tapped maps and gives `Raw`, also in float16; the second is
        `decode`, with constants for the priors, in float32.
        """

    def describe(self) -> dict[str, Any]:
        """What a program must know to decode by itself, for `model.json`; none by default.

        Scores that are no softmax say so in `score_form`.
        """
        return {}

    def forward(self, x: Tensor) -> Raw:
        """Normalised input (N, 3, S, S) -> what the heads give."""
        raw: Raw = self.heads(self.features(x))
        return raw

    @torch.no_grad()
    def raw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised input -> scores (N, P, C), unclipped corner-form boxes (N, P, 4).

        In full precision, also under autocast: figures belong to the weights, not to the run.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self.decode(self(x))

    def detect(self, images: Tensor, **options: Any) -> list[Detections]:
        """RGB images (N, 3, S, S) in 0..255 -> detections per image, after per-class NMS.

        Args:
            options: of `postprocess.select_all`.
        """
        return select_all(*self.raw(self.normalize(images)), **options)

    @torch.no_grad()
    def detect_from(self, outputs: list[Tensor], **options: Any) -> list[Detections]:
        """`detect`, from what `eval_outputs` returned for the normalised images."""
        with torch.autocast(outputs[-1].device.type, enabled=False):
            return select_all(*self.decode(self.heads(self.eval_maps(outputs))), **options)


DETECTORS: Registry[type[Detector]] = Registry("detector.name")
D = TypeVar("D", bound=type[Detector])


def register(detector: D) -> D:
    """Make a detector known under its name; a decorator."""
    DETECTORS.add(detector.name, detector, detector.__module__)
    return detector


def detector_class(name: str) -> type[Detector]:
    """Look a detector up; raises `ConfigError` with the nearest name for an unknown one."""
    return DETECTORS.find(name)


def build_detector(
    name: str, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int,
    options: Mapping[str, Any],
) -> Detector:  # fmt: skip
    """A detector by name, with those of the options that it knows.

    Raises `ConfigError` for an unknown name, `TypeError` or `ValueError` for an option that cannot
    be (a configuration is checked before, a checkpoint's may be anything).
    """
    kind = detector_class(name)
    known = {key: options[key] for key in kind.options if key in options}
    return kind(spec, conventions, classes, input_size, **known)
