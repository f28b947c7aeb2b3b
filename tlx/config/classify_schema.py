"""The schema of `python -m tlx.classify`; `conf/classify.yaml` fills it in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from tlx.config.schema import BackboneConfig, TrainerConfig

SAMPLE = "shapes"


@dataclass
class FoldersConfig:
    name: str = MISSING
    root: str | None = None  # None: the embedded sample
    classes: list[str] | None = None  # default: the sorted names of the folders
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    split_seed: int = 0
    group_near_duplicates: bool = True  # frames of one series stay in one split
    strict: bool = False  # every fault is an error
    least_area: float = 0.35  # of a training crop, relative to the picture
    max_side: int = 320  # longest side kept in the decoded-image cache, pixels
    input_size: int = 224  # pixels
    epochs: int = 12
    batch_size: int = 24


@dataclass
class ClassifierConfig:
    input_size: int = MISSING
    dropout: float = 0.2  # before the linear layer
    label_smoothing: float = 0.0


@dataclass
class ClassifyConfig:
    freeze: Any = "none"
    seed: int = 0
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    policy: dict[str, Any] = field(default_factory=dict)
    data: FoldersConfig = field(default_factory=FoldersConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    name: str = "classify-${data.name}-${backbone.name}"
    runs_dir: str = "runs"
    cache_dir: str = "${oc.env:TLX_CACHE,'~/.cache/tlx'}"
    resume: str | None = None


def set_name(root: str | None) -> str:
    """What a set is called: its folder, or the sample's name."""
    return SAMPLE if root is None else Path(root).expanduser().absolute().name
