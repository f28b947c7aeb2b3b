"""Checks of a classification's configuration, before anything loads."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from tlx.common.errors import ConfigError
from tlx.config.check import RANGES, check_values, schedule
from tlx.freeze.depth import freeze_label, frozen_blocks
from tlx.freeze.policies.base import Phase
from tlx.models.backbones.base import BackboneSpec, backbone_spec

_CHOICES = {
    "trainer.select_by": ("accuracy", "macro_accuracy"),
    # `auto` measures steps of a detector.
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed"),
    "policy.name": ("fixed", "two_phase"),  # `auto` runs its pilot with detectors
}
_RANGES: dict[str, tuple[float | None, float | None]] = {
    **{key: limits for key, limits in RANGES.items() if key.startswith(("seed", "trainer."))},
    "data.val_fraction": (0.001, 0.9),
    "data.test_fraction": (0.001, 0.9),
    "data.max_side": (32, None),
    "data.least_area": (0.05, 1),
    "classifier.input_size": (32, None),  # below it the last map vanishes
    "classifier.dropout": (0, 0.9),
    "classifier.label_smoothing": (0, 0.9),
}


def check_classify(cfg: DictConfig) -> tuple[Phase, ...]:
    """The freeze schedule; `ConfigError` naming a key, its value and what it may be."""
    check_values(cfg, _CHOICES, _RANGES)
    if cfg.data.val_fraction + cfg.data.test_fraction >= 1:
        raise ConfigError("data.val_fraction + data.test_fraction must leave something to train on")
    spec = backbone_spec(cfg.backbone.name)
    return schedule(cfg, lambda value: _blocks(value, spec))


def _blocks(value: Any, spec: BackboneSpec) -> int:
    if freeze_label(value) == "heads":
        raise ConfigError("freeze=heads is for detectors; freeze=all leaves a classifier its head")
    return frozen_blocks(value, spec)
