"""The configuration's schema: names, types, defaults and ranges, checked before anything loads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import tlx.backbones
import tlx.policies  # noqa: F401  registers the policies
from tlx.backbones.base import backbone_spec
from tlx.errors import ConfigError
from tlx.freeze.depth import freeze_label, frozen_blocks
from tlx.policies.base import Phase, Policy, policy_class


def conf_dir() -> Path:
    """The YAML files: inside the package (a wheel), else at the top of the repository."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "conf"


@dataclass
class BackboneConfig:
    name: str = MISSING
    weights: str = "auto"  # auto, scratch, or a path


@dataclass
class DataConfig:
    name: str = MISSING
    format: str = MISSING  # sample, txt, voc, coco
    root: str | None = None
    classes: list[str] | None = None  # default: the sorted names found in the set
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    split_seed: int = 0
    group_near_duplicates: bool = True  # frames of one series stay in one split
    strict: bool = False  # every fault is an error
    zoom_out: float = 4.0  # largest zoom-out of the augmentation; 1 turns it off
    max_side: int = 640  # longest side kept in the decoded-image cache, pixels
    input_size: int = 300  # the square input that suits these objects, pixels
    epochs: int = 40  # the budget that suits this amount of data
    batch_size: int = 24  # small sets need small batches, or an epoch is too few steps


@dataclass
class DetectorConfig:
    input_size: int = MISSING
    min_negatives: int = 3
    score_threshold: float = 0.01
    nms_iou: float = 0.45
    max_detections: int = 100


@dataclass
class TrainerConfig:
    epochs: int = MISSING
    batch_size: int = MISSING
    base_lr: float = 0.02  # backbone
    head_lr: float = 0.02  # extras and heads
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_steps: int = 20
    clip_norm: float = 10.0  # 0 turns it off
    precision: str = "32-true"  # any of Lightning's
    ema_decay: float = 0.0  # 0 turns the weight average off
    workers: int = 1
    threads: int = 0  # compute threads; 0 takes torch's default
    accelerator: str = "auto"
    select_by: str = "map_50"  # the val figure that picks the best checkpoint
    val_every: int = 1  # epochs
    checkpoint_minutes: float = 1.0  # what a kill may cost
    timer_warmup: int = 5  # steps that the step timer leaves out
    progress: bool = True


@dataclass
class LoggerConfig:
    name: str = "wandb"  # wandb or none
    project: str = "tlx"
    mode: str = "auto"  # auto, online, offline
    predictions: int = 8  # pictures with boxes kept per run


@dataclass
class Config:
    freeze: Any = "none"
    seed: int = 0
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    policy: dict[str, Any] = field(default_factory=dict)
    data: DataConfig = field(default_factory=DataConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    name: str = "${data.name}-${backbone.name}"
    runs_dir: str = "runs"
    cache_dir: str = "${oc.env:TLX_CACHE,'~/.cache/tlx'}"
    resume: str | None = None


_CHOICES = {
    "trainer.select_by": ("map", "map_50", "map_75"),
    "logger.name": ("wandb", "none"),
    "logger.mode": ("auto", "online", "offline"),
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed"),
}
# key -> (lowest, highest) legal value, both included; None is open
_RANGES: dict[str, tuple[float | None, float | None]] = {
    "seed": (0, 2**32 - 1),
    "trainer.epochs": (1, None),
    "trainer.batch_size": (1, None),
    "trainer.base_lr": (0, None),
    "trainer.head_lr": (1e-12, None),
    "trainer.momentum": (0, 1),
    "trainer.weight_decay": (0, None),
    "trainer.warmup_steps": (0, None),
    "trainer.clip_norm": (0, None),
    "trainer.ema_decay": (0, 0.999999),
    "trainer.workers": (0, None),
    "trainer.threads": (0, None),
    "trainer.val_every": (1, None),
    "trainer.checkpoint_minutes": (0, None),
    "trainer.timer_warmup": (0, None),
    "detector.input_size": (96, None),  # below it the smallest maps vanish
    "detector.min_negatives": (0, None),
    "detector.score_threshold": (0, 1),
    "detector.nms_iou": (0, 1),
    "detector.max_detections": (1, None),
    "data.val_fraction": (0.001, 0.9),
    "data.test_fraction": (0.001, 0.9),
    "data.max_side": (96, None),
    "data.zoom_out": (1, 10),
    "logger.predictions": (0, None),
}


def check_config(cfg: DictConfig) -> tuple[Phase, ...]:
    """Refuse what cannot mean anything, before data or weights load; return the freeze schedule.

    Raises `ConfigError` naming the key, its value and what it may be.
    """
    for key, choices in _CHOICES.items():
        if (value := OmegaConf.select(cfg, key)) not in choices:
            raise ConfigError(f"{key}={value} is none of {', '.join(choices)}")
    for key, (low, high) in _RANGES.items():
        value = OmegaConf.select(cfg, key)
        if not ((low is None or value >= low) and (high is None or value <= high)):
            limits = f"at least {low}" if high is None else f"between {low} and {high}"
            raise ConfigError(f"{key}={value} must be {limits}")
    if cfg.data.val_fraction + cfg.data.test_fraction >= 1:
        raise ConfigError("data.val_fraction + data.test_fraction must leave something to train on")
    spec = backbone_spec(cfg.backbone.name)
    frozen = frozen_blocks(cfg.freeze, spec)
    if cfg.backbone.weights == "scratch" and frozen:
        raise ConfigError(
            f"freeze={freeze_label(cfg.freeze)} with backbone.weights=scratch would freeze random "
            "weights; a baseline from scratch is freeze=none"
        )
    if cfg.data.format != "sample" and cfg.data.root is None:
        raise ConfigError(
            f"data={cfg.data.name} needs the folder that holds it: data.root=/path/to/it "
            "(docs/data.md says which layouts are read)"
        )
    policy = make_policy(cfg)
    return policy.phases(frozen, cfg.trainer.epochs, lambda value: frozen_blocks(value, spec))


def make_policy(cfg: DictConfig) -> Policy:
    """The policy object; its dataclass is the schema of the `policy` group."""
    cls = policy_class(str(cfg.policy.get("name", "")))
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), cfg.policy)
    except OmegaConfBaseException as error:
        where = f"policy.{error.full_key}" if error.full_key else f"policy={cls.name}"
        raise ConfigError(f"{where}: {str(error).splitlines()[0]}") from error
    return cls(**OmegaConf.to_container(merged, resolve=True))  # type: ignore[arg-type]


# What may differ between two runs of the same experiment without changing a number of it.
_NOT_IDENTITY = {"runs_dir", "cache_dir", "resume", "name", "logger", "hydra"}
_NOT_IDENTITY_TRAINER = {"workers", "progress", "checkpoint_minutes", "timer_warmup"}


def fingerprint(cfg: DictConfig) -> str:
    """sha256 (12 digits) of all that decides a run's numbers; equal runs share their folder."""
    plain: dict[str, Any] = {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in ((str(k), cfg[k]) for k in cfg if k not in _NOT_IDENTITY)
    }
    plain["freeze"] = freeze_label(plain["freeze"])
    plain["trainer"] = {k: v for k, v in plain["trainer"].items() if k not in _NOT_IDENTITY_TRAINER}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def run_label(cfg: DictConfig) -> str:
    """The name of a run's folder: what a person wants to read, and digits that keep it unique."""
    parts = [f"freeze={freeze_label(cfg.freeze)}", f"seed={cfg.seed}"]
    if cfg.policy.get("name") != "fixed":
        parts.append(str(cfg.policy.get("name")))
    if cfg.backbone.weights == "scratch":
        parts.append("scratch")
    return "-".join([*parts, fingerprint(cfg)[:6]])


def run_dir(_root_: DictConfig) -> str:
    """Folder of a single run, or the one that `resume=` names (Hydra asks through a resolver)."""
    if _root_.resume is not None:
        return str(_root_.resume)
    return str(Path(_root_.runs_dir) / _root_.name / run_label(_root_))


def run_subdir(_root_: DictConfig) -> str:
    """Folder of one job of a sweep, below the sweep's."""
    return run_label(_root_)
