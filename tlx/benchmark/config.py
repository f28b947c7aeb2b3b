"""What `python -m tlx.benchmark train` may be asked, and which answers to that are refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

import tlx.models.detectors  # noqa: F401  registers the detectors
from tlx.common.errors import ConfigError
from tlx.config.schema import DataConfig
from tlx.freeze.depth import frozen_blocks
from tlx.models.backbones.base import backbone_spec
from tlx.models.blocks import Blocks
from tlx.models.detector import detector_class

LEAST_SIDE = 96  # px, as for training: below it the smallest maps vanish


DETECTOR_KEYS = ("neck", "head", "width", "depth", "norm")
"""Keys of the `detector` group that are keys here too."""


@dataclass
class TrainBenchmark:
    policies: str = "none,4,8,all"
    backbone: str = "mobilenet_v1"
    input_size: int = 300
    batch_size: int = 24
    rounds: int = 10
    warmup: int = 2
    batches: int = 4
    data: str = "sample"
    root: str | None = None
    format: str | None = None
    classes: str | None = None
    threads: int = 0
    device: str = ""
    memory: bool = True
    runs: bool = True
    loader_pictures: int = 16
    detector: str = "ssd"
    neck: str = "extras"
    head: str = "hidden"
    width: int = 128
    depth: int = 4
    norm: str = "auto"
    seed: int = 0
    cache_dir: str = os.environ.get("TLX_CACHE", "~/.cache/tlx")
    output: str = "benchmark"


def checked_policies(cfg: TrainBenchmark) -> dict[str, Blocks]:
    """Every policy with the trunk blocks that it freezes, in the order asked for.

    Raises `ConfigError` for whatever in `cfg` cannot be measured.
    """
    # Batch norm cannot train on a single value a channel, which the deepest maps would give.
    least = {"input_size": LEAST_SIDE, "batch_size": 2, "rounds": 1, "warmup": 0, "batches": 1,
             "threads": 0, "loader_pictures": 0}  # fmt: skip
    for key, lowest in least.items():
        if getattr(cfg, key) < lowest:
            raise ConfigError(f"{key}={getattr(cfg, key)} must be {lowest} or more")
    labels = [label.strip() for label in cfg.policies.split(",")]
    if len(set(labels)) != len(labels):
        raise ConfigError(f"policies={cfg.policies} names one policy twice")
    if "none" not in labels:
        raise ConfigError(f"policies={cfg.policies} lacks none, which the others are compared with")
    detector = detector_class(cfg.detector)
    spec = detector.backbone_for(backbone_spec(cfg.backbone))
    own = detector.blocks_behind(vars(cfg))
    return {label: frozen_blocks(label, spec, own) for label in labels}


def chosen_device(cfg: TrainBenchmark) -> torch.device:
    """The named device, or the GPU where there is one; `ConfigError` for one that is not there."""
    try:
        device = torch.device(cfg.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ConfigError(f"device={cfg.device} is none that torch knows") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device={cfg.device}: this benchmark times cpu and cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={cfg.device}: torch finds no GPU here")
    return device


def data_config(cfg: TrainBenchmark) -> DataConfig:
    """The data set as `build_data` takes it; the sample needs no root, anything else does."""
    if cfg.root is None:
        if cfg.data != "sample" or cfg.format not in (None, "sample"):
            raise ConfigError("a data set other than the sample needs root=… and format=…")
        # Which pictures lie in which split says nothing about time.
        return DataConfig(name="sample", format="sample", group_near_duplicates=False)
    if cfg.format not in ("txt", "voc", "coco"):
        raise ConfigError(f"format={cfg.format} is none of txt, voc, coco")
    return DataConfig(
        name=cfg.data if cfg.data != "sample" else Path(cfg.root).name,
        format=cfg.format,
        root=cfg.root,
        classes=[name.strip() for name in cfg.classes.split(",")] if cfg.classes else None,
        group_near_duplicates=False,
    )
