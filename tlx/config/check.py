"""Checks before anything loads: ranges, choices, and what cannot go together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import tlx.freeze.policies
import tlx.models.backbones
import tlx.models.detectors  # noqa: F401  registers the detectors
from tlx.common.errors import ConfigError, first_line
from tlx.common.typos import unknown_choice
from tlx.config.conventions import check_conventions
from tlx.config.schema import (
    CACHE_DTYPES,
    CLASSIFIER_DROPOUT,
    DATA_SOURCES,
    DESIGNS,
    LEAST_TILE,
    MOST_OVERLAP,
    TRAIN_DRAWS,
    ClassifyConfig,
    Config,
    DataConfig,
    DetectorConfig,
    RunConfig,
)
from tlx.config.splits import Fold
from tlx.freeze.depth import freeze_label, frozen_blocks
from tlx.freeze.policies.base import Phase, Policy, policy_class
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import AUTO, SCRATCH
from tlx.models.blocks import Blocks
from tlx.models.detector import Detector, detector_class
from tlx.starts import published
from tlx.starts.fetch import refuse_other_backbone


def conf_dir() -> Path:
    """The YAML files: inside the package (a wheel), else at the top of the repository."""
    inside = Path(__file__).parent.parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent.parent / "conf"


PUT_TOGETHER = ("neck", "head", "width", "depth", "norm")
"""Keys of the detector that says what it is put together of."""

_Choices = Mapping[str, Sequence[str]]
_Ranges = Mapping[str, tuple[float | None, float | None]]
_CHOICES = {
    "logger.mode": ("auto", "online", "offline"),
    "trainer.optimizer": ("sgd", "adamw"),
    "trainer.decay": ("all", "weights"),
    "trainer.precision": ("auto", "32-true", "bf16-mixed", "16-mixed"),
    "cache.mode": ("auto", "off", "memory", "disk"),
    "cache.dtype": CACHE_DTYPES,
    "data.train_draw": TRAIN_DRAWS,
    "tune.design": DESIGNS,
}
# key -> (lowest, highest) legal value, both included; None is open
_RANGES: _Ranges = {
    "seed": (0, 2**32 - 1),
    "trainer.epochs": (1, None),
    "trainer.accumulate": (1, None),
    "trainer.base_lr": (0, None),
    "trainer.head_lr": (1e-12, None),
    "trainer.neck_lr": (0, None),
    "trainer.layer_decay": (0.01, 1),
    "trainer.momentum": (0, 0.9999),
    "trainer.weight_decay": (0, None),
    "trainer.warmup_steps": (0, None),
    "trainer.clip_norm": (0, None),
    "trainer.ema_decay": (0, 0.999999),
    "trainer.workers": (0, None),
    "trainer.threads": (0, None),
    "trainer.val_every": (1, None),
    "trainer.patience": (0, None),
    "trainer.checkpoint_minutes": (0, None),
    "trainer.timer_warmup": (0, None),
    "data.val_fraction": (0.001, 0.9),
    "data.test_fraction": (0.001, 0.9),
    "data.train_fraction": (0.001, 1),
    "data.augment_strength": (0, 1),
    "logger.predictions": (0, None),
    "logger.upload_s": (1, None),
    "cache.views": (0, None),
    "cache.max_gb": (0, None),
    "tune.trials": (1, None),
    "tune.minutes": (1e-6, None),
    "tune.epochs": (1, None),
    "tune.factor": (1.1, 1e6),
    "tune.seed": (0, 2**32 - 1),
}
_DETECT_CHOICES = {
    "trainer.select_by": ("map", "map_50", "map_75"),
    "detector.neck": ("none", "extras", "fpn", "fpnlite"),
    "detector.head": ("ssd", "ssd_1x1", "ssdlite", "hidden", "shared"),
    "detector.norm": ("auto", "batch", "none"),
    "data.sampling": ("uniform", "balanced"),
}
_DETECT_RANGES: _Ranges = {
    "detector.input_size": (96, None),  # below it the smallest maps vanish
    "detector.width": (8, 1024),
    "detector.depth": (1, 8),
    "detector.min_negatives": (0, None),
    "detector.score_threshold": (0, 1),
    "detector.nms_iou": (0, 1),
    "detector.max_detections": (1, None),
    "data.max_side": (96, None),
    "data.zoom_out": (1, 10),
    "data.repeat_threshold": (1e-6, 1),
    "data.tile": (LEAST_TILE, None),
    "data.tile_overlap": (0, MOST_OVERLAP),
    "data.tile_visible": (0, 1),
    "data.tile_empty": (0, 1),
    "data.max_images": (1, None),
}
_CLASSIFY_CHOICES = {
    "trainer.select_by": ("accuracy", "macro_accuracy", "macro_f1"),
    "classifier.head": tuple(CLASSIFIER_DROPOUT),
}
_CLASSIFY_RANGES: _Ranges = {
    "classifier.input_size": (32, None),  # below it the last map vanishes
    "classifier.dropout": (0, 0.9),
    "classifier.label_smoothing": (0, 0.9),
    "data.max_side": (32, None),
    "data.least_area": (0.05, 1),
}


def check_config(cfg: RunConfig) -> tuple[Phase, ...]:
    """Refuse what cannot mean anything, before data or weights load; return the freeze schedule.

    Raises `ConfigError` naming the key, its value and what it may be.
    """
    _check_finite(vars(cfg))
    _check_values(cfg, _CHOICES, _RANGES)
    _check_batch_size(cfg)
    _check_tune(cfg)
    blocks_of = _check_detect(cfg) if isinstance(cfg, Config) else _check_classify(cfg)
    phases = _schedule(cfg, blocks_of)
    if cfg.cache.mode in ("memory", "disk") and not cfg.cache.views:
        raise ConfigError(
            f"cache={cfg.cache.mode} needs a fixed number of views of each picture: cache.views=8"
        )
    return phases


def _check_detect(cfg: Config) -> Callable[[Any], Blocks]:
    """Check what only a detection has; what turns a freeze value into blocks."""
    _check_values(cfg, _DETECT_CHOICES, _DETECT_RANGES)
    _check_fractions(cfg.data.val_fraction + cfg.data.test_fraction)
    _check_folds(cfg.data)
    detector = detector_class(cfg.detector.name)
    spec = detector.backbone_for(backbone_spec(cfg.backbone.name))
    check_conventions(cfg.backbone, spec)
    own = detector.blocks_behind(vars(cfg.detector))
    _refuse_unread(cfg.detector, detector)
    if cfg.trainer.neck_lr is not None and not own:
        raise ConfigError(
            f"trainer.neck_lr: detector={detector.name} has no blocks between backbone and heads"
        )
    _check_source(cfg.data)
    return lambda value: frozen_blocks(value, spec, own)


def _check_source(data: DataConfig) -> None:
    """Refuse a set that is nowhere, and keys of the fetching that would do nothing."""
    if data.source is not None and data.source not in DATA_SOURCES:
        raise ConfigError(unknown_choice("data.source", data.source, DATA_SOURCES))
    if data.format != "sample" and data.root is None and data.source is None:
        raise ConfigError(
            f"data={data.name} needs the folder that holds it: data.root=/path/to/it "
            "(docs/data.md says which layouts are read)"
        )
    if data.source == "openimages" and data.root is None and not data.classes:
        raise ConfigError("data.source=openimages needs the names to fetch: data.classes=[Apple]")
    if data.max_images is not None and (data.source != "openimages" or data.root is not None):
        raise ConfigError(
            "data.max_images is of a set that data.source=openimages fetches: leave it out"
        )


def _refuse_unread(cfg: DetectorConfig, detector: type[Detector]) -> None:
    """Refuse keys of necks and heads that would do nothing: their arms would be the same run."""
    options, usual = vars(cfg), vars(DetectorConfig())
    along = {"head": "hidden"}  # in conf/detector/ssd.yaml, from which only the name was changed
    unread = {key for key in PUT_TOGETHER if key not in detector.options}
    known = unread or detector.unread(options)
    for key in sorted(known):
        if options[key] not in (usual[key], along.get(key)):
            with_these = f"detector.name={detector.name}"
            if not unread:
                with_these = f"detector.neck={cfg.neck} detector.head={cfg.head}"
            raise ConfigError(
                f"detector.{key}={options[key]} does nothing with {with_these}: leave it at "
                f"{usual[key]} (docs/detectors.md says what reads it)"
            )


def _check_classify(cfg: RunConfig) -> Callable[[Any], Blocks]:
    """The same of a classification."""
    assert isinstance(cfg, ClassifyConfig)
    _check_values(cfg, _CLASSIFY_CHOICES, _CLASSIFY_RANGES)
    _check_fractions(cfg.data.val_fraction + cfg.data.test_fraction)
    if cfg.trainer.neck_lr is not None:
        raise ConfigError(
            "trainer.neck_lr is for detectors: a classifier has no blocks between backbone and head"
        )
    spec = backbone_spec(cfg.backbone.name)
    check_conventions(cfg.backbone, spec)

    def blocks_of(value: Any) -> Blocks:
        if freeze_label(value) == "heads":
            raise ConfigError(
                "freeze=neck is for detectors; freeze=all leaves a classifier its head"
            )
        return frozen_blocks(value, spec)

    return blocks_of


def _check_batch_size(cfg: RunConfig) -> None:
    size = cfg.trainer.batch_size
    if size == AUTO:
        if cfg.policy.get("name") == AUTO:
            raise ConfigError(
                "trainer.batch_size=auto: policy=auto compares depths at one batch size: name it"
            )
    elif not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ConfigError(
            f"trainer.batch_size={size} must be a whole number of at least 1, or auto"
        )


def _check_tune(cfg: RunConfig) -> None:
    """Refuse what the tuning of rates cannot go with."""
    if not cfg.tune.asked:
        if cfg.tune.design != DESIGNS[0]:
            raise ConfigError(
                f"tune.design={cfg.tune.design} needs the step times of trials: tune.trials=8, or "
                "tune.minutes="
            )
        return
    if cfg.policy.get("name") == AUTO:
        raise ConfigError("tune.trials and tune.minutes are of known depths: leave policy=auto out")
    if cfg.trainer.batch_size == AUTO:
        raise ConfigError("tune.trials and tune.minutes need a trainer.batch_size that is a number")
    if cfg.trainer.patience:
        raise ConfigError(
            f"tune.design={cfg.tune.design} says how long a run is, and "
            f"trainer.patience={cfg.trainer.patience} would end it earlier: leave it at 0"
        )
    if cfg.tune.epochs is not None and cfg.tune.epochs > cfg.trainer.epochs:
        raise ConfigError(
            f"tune.epochs={cfg.tune.epochs} must be at most trainer.epochs={cfg.trainer.epochs}"
        )


def _check_folds(cfg: DataConfig) -> None:
    if (fold := Fold.of(cfg.folds, cfg.fold)) is not None:
        fold.val_share(cfg.val_fraction)


def _check_fractions(held_out: float) -> None:
    if held_out >= 1:
        raise ConfigError("data.val_fraction + data.test_fraction must leave something to train on")


def _check_values(cfg: RunConfig, choices_of: _Choices, ranges: _Ranges) -> None:
    """Refuse a value that is none of its choices or out of its range."""
    for key, choices in choices_of.items():
        if (chosen := _value(cfg, key)) not in choices:
            raise ConfigError(unknown_choice(key, str(chosen), choices))
    for key, (low, high) in ranges.items():
        if (value := _value(cfg, key)) is None:
            continue  # the schema says where there may be none
        if not ((low is None or value >= low) and (high is None or value <= high)):
            limits = f"at least {low}" if high is None else f"between {low} and {high}"
            raise ConfigError(f"{key}={value} must be {limits}")


def _check_finite(values: Mapping[str, Any], under: str = "") -> None:
    """Refuse infinity and NaN under any key: no comparison catches both, and no record holds them.

    Args:
        values: of a configuration's part. under: its name, with a dot behind it.
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            _check_finite(value, f"{under}{key}.")
        elif is_dataclass(value):
            _check_finite(vars(value), f"{under}{key}.")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{under}{key}={value} must be a finite number")


def _value(cfg: RunConfig, key: str) -> Any:
    return reduce(getattr, key.split("."), cfg)


def _schedule(cfg: RunConfig, blocks_of: Callable[[Any], Blocks]) -> tuple[Phase, ...]:
    """The phases of `freeze` and `policy`; `blocks_of` turns a freeze value into blocks."""
    # The from-scratch arm of a sweep is spelled `backbone.weights=scratch`, whatever its files say.
    if cfg.weights not in (AUTO, cfg.backbone.weights) and cfg.backbone.weights != SCRATCH:
        raise ConfigError(
            f"weights={cfg.weights} and backbone.weights={cfg.backbone.weights} say two things: "
            "leave one out (a file of conf/backbone of your own takes the first over with "
            "`weights: ${weights}`)"
        )
    if published.is_name(cfg.backbone.weights):
        refuse_other_backbone(published.find(cfg.backbone.weights), cfg.backbone.name)
    policy = make_policy(cfg)

    def blocks_of_key(value: Any) -> Blocks:
        try:
            return blocks_of(value)
        except ConfigError as error:  # which takes it for the value of `freeze`
            raise ConfigError(f"{_key_of(policy, value)}: {error}") from error

    phases = policy.phases(blocks_of(cfg.freeze), cfg.trainer.epochs, blocks_of_key)
    if cfg.backbone.weights == SCRATCH and phases[0].frozen:
        raise ConfigError(
            f"freeze={freeze_label(cfg.freeze)} with backbone.weights=scratch would freeze random "
            "weights; a baseline from scratch is freeze=none"
        )
    if cfg.backbone.weights == SCRATCH and cfg.trainer.freeze_bn:
        raise ConfigError(
            "trainer.freeze_bn=true keeps the pretraining's statistics: it needs pretrained weights"
        )
    if policy.freezes_trained and cfg.trainer.ema_decay:
        raise ConfigError(
            f"policy={policy.name} freezes what has trained, and the average of weights "
            "(trainer.ema_decay) goes on moving behind a freeze: take one of the two"
        )
    return phases


def _key_of(policy: Policy, value: Any) -> str:
    """The key of a policy under which a freeze value stands; these are written in any type."""
    for key in (f.name for f in fields(policy) if "Any" in str(f.type)):  # type: ignore[arg-type]
        own = getattr(policy, key)
        if value in (own if isinstance(own, list) else [own]):
            return f"policy.{key}"
    return f"policy={policy.name}"


def make_policy(cfg: RunConfig) -> Policy:
    """The policy object; its dataclass is the schema of the `policy` group."""
    cls = policy_class(str(cfg.policy.get("name", "")))
    try:
        merged = OmegaConf.merge(OmegaConf.structured(cls), cfg.policy)
    except OmegaConfBaseException as error:
        where = f"policy.{error.full_key}" if error.full_key else f"policy={cls.name}"
        raise ConfigError(f"{where}: {first_line(error)}") from error
    return cls(**OmegaConf.to_container(merged, resolve=True))  # type: ignore[arg-type]
