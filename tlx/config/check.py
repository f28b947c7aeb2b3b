"""Checks before anything loads: ranges, choices, and what cannot go together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import tlx.freeze.policies
import tlx.models.backbones
import tlx.models.detectors  # noqa: F401  registers the detectors
from tlx.common.cli import hydra_word
from tlx.common.errors import ConfigError, first_line
from tlx.common.files import read_yaml
from tlx.common.typos import unknown_choice
from tlx.config.schema import CACHE_DTYPES
from tlx.freeze.depth import freeze_label, frozen_blocks
from tlx.freeze.policies.base import Phase, Policy, policy_class
from tlx.models.backbones.base import backbone_spec
from tlx.models.detector import detector_class


def conf_dir() -> Path:
    """The YAML files: inside the package (a wheel), else at the top of the repository."""
    inside = Path(__file__).parent.parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent.parent / "conf"


_CHOICES = {
    "trainer.select_by": ("map", "map_50", "map_75"),
    "logger.name": ("wandb", "none"),
    "logger.mode": ("auto", "online", "offline"),
    "trainer.precision": ("auto", "32-true", "bf16-mixed", "16-mixed"),
    "cache.mode": ("auto", "off", "memory", "disk"),
    "cache.dtype": CACHE_DTYPES,
}
# key -> (lowest, highest) legal value, both included; None is open
RANGES: dict[str, tuple[float | None, float | None]] = {
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
    "logger.upload_s": (1, None),
    "cache.views": (0, None),
    "cache.max_gb": (0, None),
}


def check_config(cfg: DictConfig) -> tuple[Phase, ...]:
    """Refuse what cannot mean anything, before data or weights load; return the freeze schedule.

    Raises `ConfigError` naming the key, its value and what it may be.
    """
    check_values(cfg, _CHOICES, RANGES)
    if cfg.data.val_fraction + cfg.data.test_fraction >= 1:
        raise ConfigError("data.val_fraction + data.test_fraction must leave something to train on")
    spec = backbone_spec(cfg.backbone.name)
    own = detector_class(cfg.detector.name).own_blocks
    phases = schedule(cfg, lambda value: frozen_blocks(value, spec, own))
    if cfg.data.format != "sample" and cfg.data.root is None:
        raise ConfigError(
            f"data={cfg.data.name} needs the folder that holds it: data.root=/path/to/it "
            "(docs/data.md says which layouts are read)"
        )
    if cfg.cache.mode in ("memory", "disk") and not cfg.cache.views:
        raise ConfigError(
            f"cache={cfg.cache.mode} needs a fixed number of views of each picture: cache.views=8"
        )
    return phases


def stored_config(path: Path, schema: type, cache_dir: str) -> DictConfig:
    """The configuration that a run's folder holds, read as a stranger's file.

    Args:
        path: a run's config.yaml. schema: `Config`, or that of another task.
        cache_dir: today's; a file does not choose where decoded pictures are written and deleted.

    Raises:
        ConfigError: it cannot be read, does not fit the schema, holds an interpolation (which could
            read the environment), or another `cache_dir`.
    """
    try:
        # Parsed as plain YAML: OmegaConf would take an interpolation for one.
        plain = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    cfg = plain_config(plain, schema, str(path))
    if cfg.cache_dir != cache_dir:
        raise ConfigError(
            f"{path} names the cache_dir {cfg.cache_dir}, and today's is {cache_dir}: add "
            f"{hydra_word(f'cache_dir={cfg.cache_dir}')} if that folder is yours"
        )
    return cfg


def plain_config(plain: Any, schema: type, where: str) -> DictConfig:
    """A stranger's plain values as a configuration, its types checked.

    Raises:
        ConfigError: they do not fit the schema, or hold an interpolation.
    """
    if not isinstance(plain, dict) or not plain:
        raise ConfigError(f"{where} holds no configuration of a run")
    if (found := interpolation(plain)) is not None:
        raise ConfigError(f"{where}: {found!r} is an interpolation, which a finished file has not")
    try:
        cfg = OmegaConf.merge(OmegaConf.structured(schema), plain)
        OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except (OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{where} does not fit: {first_line(error)}") from error
    assert isinstance(cfg, DictConfig)
    return cfg


def interpolation(value: Any) -> str | None:
    """The first text below `value` with an interpolation in it."""
    if isinstance(value, str):
        return value if "${" in value else None
    children = value.values() if isinstance(value, dict) else value
    texts = (interpolation(child) for child in children) if isinstance(value, (dict, list)) else ()
    return next((text for text in texts if text is not None), None)


def check_values(
    cfg: DictConfig,
    choices_of: Mapping[str, Sequence[str]],
    ranges: Mapping[str, tuple[float | None, float | None]],
) -> None:
    """Refuse a value that is none of its choices or out of its range."""
    for key, choices in choices_of.items():
        if (value := OmegaConf.select(cfg, key)) not in choices:
            raise ConfigError(unknown_choice(key, str(value), choices))
    for key, (low, high) in ranges.items():
        value = OmegaConf.select(cfg, key)
        if not ((low is None or value >= low) and (high is None or value <= high)):
            limits = f"at least {low}" if high is None else f"between {low} and {high}"
            raise ConfigError(f"{key}={value} must be {limits}")


def schedule(cfg: DictConfig, blocks_of: Callable[[Any], int]) -> tuple[Phase, ...]:
    """The phases of `freeze` and `policy`; `blocks_of` turns a freeze value into blocks."""
    frozen = blocks_of(cfg.freeze)
    if cfg.backbone.weights == "scratch" and frozen:
        raise ConfigError(
            f"freeze={freeze_label(cfg.freeze)} with backbone.weights=scratch would freeze random "
            "weights; a baseline from scratch is freeze=none"
        )
    if cfg.backbone.weights == "scratch" and cfg.trainer.freeze_bn:
        raise ConfigError(
            "trainer.freeze_bn=true keeps the pretraining's statistics: it needs pretrained weights"
        )
    return make_policy(cfg).phases(frozen, cfg.trainer.epochs, blocks_of)


def make_policy(cfg: DictConfig) -> Policy:
    """The policy object; its dataclass is the schema of the `policy` group."""
    cls = policy_class(str(cfg.policy.get("name", "")))
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), cfg.policy)
    except OmegaConfBaseException as error:
        where = f"policy.{error.full_key}" if error.full_key else f"policy={cls.name}"
        raise ConfigError(f"{where}: {first_line(error)}") from error
    return cls(**OmegaConf.to_container(merged, resolve=True))  # type: ignore[arg-type]
