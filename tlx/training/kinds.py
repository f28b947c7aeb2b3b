"""What a task (`task=detect`, `task=classify`) is to a run; all else about a run is the same.

Freezing, the schedule, caches, precision, resuming, the record, the mirror, the pilot and studies
know no more of a task than this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from tlx.activations.phase import PhaseCaches
from tlx.common.errors import ConfigError
from tlx.common.registry import Registry
from tlx.config.conventions import stated
from tlx.config.schema import RunConfig
from tlx.data.augment import AUGMENTATIONS, Augmentation
from tlx.data.membership import Membership
from tlx.data.module import DetectionData, Loaders
from tlx.models.backbones.base import BackboneSpec, Conventions, backbone_spec
from tlx.models.backbones.weights import resolve
from tlx.models.trunk import TrunkNetwork
from tlx.records.record import Record
from tlx.training.freeze_task import FreezeTask
from tlx.training.plan import EnginePlan

C = TypeVar("C", bound=RunConfig)
N = TypeVar("N", bound=TrunkNetwork)


class TaskKind(ABC, Generic[C, N]):
    """One task, for configurations `C` and networks `N`.

    Attributes:
        name: of `task=`. program: that a user starts it by.
        usual_views: the `data.augment` that caches of activations take for granted.
    """

    name: ClassVar[str]
    program: ClassVar[str]
    usual_views: ClassVar[str]

    def check(self, cfg: C) -> None:
        """Refuse what `tlx.config.check` cannot know of, before data or weights load."""
        self.views(cfg)

    def prepare(self, cfg: C) -> None:
        """Fetch a set that prepares itself, before anything of a run or a sweep is written."""

    @abstractmethod
    def input_size(self, cfg: C) -> int:
        """The side of the square that the network sees, px."""

    @abstractmethod
    def read_data(self, cfg: C) -> DetectionData:
        """Read, check, cache and split the set."""

    def views(self, cfg: C) -> Augmentation:
        """What makes training views of pictures: that of `data.augment`."""
        made = AUGMENTATIONS.find(cfg.data.augment)(self.input_size(cfg), cfg.data)
        asked = cfg.data.augment_strength
        if asked != 1 and getattr(made, "strength", None) != asked:
            raise ConfigError(
                f"data.augment_strength={asked}: data.augment={cfg.data.augment} has one strength, "
                "so leave it at 1"
            )
        if getattr(cfg.data, "letterbox", False) and not getattr(made, "letterbox", False):
            raise ConfigError(
                f"data.letterbox=true: data.augment={cfg.data.augment} does not say that it keeps "
                "the aspect ratio (docs/extending.md), and training would see other pictures than "
                "evaluation"
            )
        return made

    @abstractmethod
    def drawn_from(self, cfg: C) -> dict[str, Any]:
        """The settings, beside the input size, that the usual views of a picture follow from."""

    def augmentation(self, cfg: C) -> Mapping[str, Any]:
        """What of the configuration decides the views of a picture, for the activation cache."""
        named: dict[str, Any] = {}
        if cfg.data.augment != self.usual_views:
            version = str(self.views(cfg).version)
            named = {"augment": cfg.data.augment, "augment_version": version}
        if cfg.data.augment_strength != 1:
            named["augment_strength"] = cfg.data.augment_strength
        return {**self.drawn_from(cfg), **named}

    def network(self, cfg: C, classes: list[str], record: Record) -> N:
        """The configured network with its pretrained weights, which the record then names.

        Random parts follow from the seed alone, so that they start the same whatever is frozen:
        arms are paired.
        """
        spec = self.backbone(cfg)
        pretrained = resolve(spec, cfg.backbone.weights)
        conventions = stated(cfg.backbone, pretrained.conventions)
        record["weights"] = {
            "source": pretrained.source,
            "sha256": pretrained.sha256,
            "name": pretrained.name,
            "holds": pretrained.holds,
            "conventions": {  # as JSON has them
                key: list(value) if isinstance(value, tuple) else value
                for key, value in asdict(conventions).items()
            },
        }
        torch.manual_seed(cfg.seed)
        network = self.build(cfg, spec, conventions, classes)
        refuse_other_eps(network, cfg.backbone.bn_eps)
        network.load_pretrained(pretrained, classes)
        # What convolutions prefer, on a CPU and on a GPU; the numbers are the same.
        return network.to(memory_format=torch.channels_last)

    def backbone(self, cfg: C) -> BackboneSpec:
        """That of `backbone.name`."""
        return backbone_spec(cfg.backbone.name)

    @abstractmethod
    def build(self, cfg: C, spec: BackboneSpec, conventions: Conventions, classes: list[str]) -> N:
        """The configured network, untrained."""

    @abstractmethod
    def loss(self, network: N, maps: list[Tensor]) -> Tensor:
        """A loss of a batch whose ground truth does not matter, to time steps with."""

    def loaders(self, cfg: C, data: DetectionData, caches: PhaseCaches) -> Loaders:
        """The loaders of a run, with `views`."""
        return Loaders(
            data, self.input_size(cfg), cfg.trainer.batch_size, cfg.trainer.workers,
            seed=cfg.seed, views=cfg.cache.views, cached=caches, augment=self.views(cfg),
            accumulate=cfg.trainer.accumulate,
        )  # fmt: skip

    @abstractmethod
    def module(
        self, cfg: C, network: N, plan: EnginePlan, data: DetectionData, members: Membership,
        device: torch.device,
    ) -> FreezeTask:  # fmt: skip
        """The Lightning module that trains and evaluates the network."""

    @abstractmethod
    def fill(self, network: N, path: Path) -> None:
        """Fill the network with the tensors of a checkpoint of this run."""

    @abstractmethod
    def keep(self, cfg: C, module: FreezeTask, data: DetectionData, run_dir: Path) -> None:
        """Keep what the test found on every picture, in the run's folder."""

    @abstractmethod
    def pictures(self, data: DetectionData, run_dir: Path, count: int) -> Sequence[Any]:
        """Evenly spaced test pictures for W&B (`wandb.Image`), from what `keep` has kept."""

    def shortages(self, steps: int, data: DetectionData) -> list[str]:
        """Warnings, before training, of what is too little to compare runs by."""
        return []


def refuse_other_eps(network: TrunkNetwork, eps: float | None) -> None:
    """Raise `ConfigError` where a backbone of one's own was built with another eps than stated."""
    norms = [m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    if eps is not None and any(norm.eps != eps for norm in norms):
        raise ConfigError(
            f"backbone.bn_eps={eps}: {network.spec.name} is built with an epsilon of its own; its "
            "`build` has to follow the conventions (tlx.models.backbones.base.set_bn_eps)"
        )


KINDS: Registry[TaskKind[Any, Any]] = Registry("task")
K = TypeVar("K", bound=type[TaskKind[Any, Any]])


def register(kind: K) -> K:
    """Make a task known under its name; a decorator."""
    KINDS.add(kind.name, kind(), kind.__module__)
    return kind


def kind_of(cfg: RunConfig) -> TaskKind[Any, Any]:
    """The task of a configuration; `ConfigError` with the nearest name for an unknown one."""
    return KINDS.find(cfg.task)
