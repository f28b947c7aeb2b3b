"""Which run is which: the fingerprint of a configuration, and the folder that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from tlx.common.cli import refuse_empty
from tlx.config.typed import schema_of
from tlx.freeze.depth import freeze_label
from tlx.freeze.policies.base import POLICIES

# What may differ between two runs of the same experiment without changing a number of it.
_NOT_IDENTITY = {
    "runs_dir",
    "cache_dir",
    "resume",
    "name",
    "logger",
    "hydra",
    "task",
    "plugins",
    "weights",  # what comes of it is backbone.weights
    "data.source",  # a run knows its pictures by their digests, wherever they came from
} | {f"trainer.{key}" for key in ("workers", "progress", "checkpoint_minutes", "timer_warmup")}
# The keys that were in the schema when fingerprints were first taken: they always count. A key that
# came later says nothing while it has its default, so that earlier runs stay what they are. Add
# nothing here.
_FIRST_GROUPS = {
    "backbone": ("name", "weights"),
    "policy": ("name", "unfreeze_at", "then", "lr_scale", "bn", "depths", "seeds", "epochs"),
    "data": (
        "name", "format", "root", "classes", "val_fraction", "test_fraction", "split_seed",
        "group_near_duplicates", "strict", "zoom_out", "least_area", "max_side", "input_size",
        "epochs", "batch_size",
    ),
    "detector": (
        "input_size", "min_negatives", "score_threshold", "nms_iou", "max_detections",
    ),
    "classifier": ("input_size", "dropout", "label_smoothing"),
    "trainer": (
        "epochs", "batch_size", "base_lr", "head_lr", "momentum", "weight_decay", "warmup_steps",
        "clip_norm", "precision", "freeze_bn", "ema_decay", "threads", "accelerator", "select_by",
        "val_every",
    ),
    "cache": ("mode", "views", "dtype", "max_gb"),
}  # fmt: skip
_FIRST_KEYS = {"freeze", "seed"} | {
    f"{group}.{key}" for group, keys in _FIRST_GROUPS.items() for key in keys
}
WHOLE = ("ssd_tf", "ssdlite", "ssd_vgg", "mb2_ssd_lite")
"""Detectors that are not put together of a neck and heads, and read no key of these."""
_LATER_FOR_CLASSIFIERS = ("cache.",)  # a group that they had not
_FIRST_POLICIES = ("fixed", "two_phase", "auto")  # of any other policy all keys always count


def fingerprint(cfg: Mapping[Any, Any]) -> str:
    """sha256 (12 digits) of all that decides a run's numbers; equal runs share their folder."""
    plain = identity(cfg)
    policy = plain.get("policy")
    pinned = isinstance(policy, dict) and policy.get("name") in _FIRST_POLICIES
    first = _FIRST_KEYS
    if "classifier" in plain:
        first = {key for key in first if not key.startswith(_LATER_FOR_CLASSIFIERS)}
    later = {
        key: value
        for key, value in default_settings(plain).items()
        if key not in first and (pinned or not key.startswith("policy."))
    }
    text = json.dumps(_without(plain, later), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def identity(cfg: Mapping[Any, Any]) -> dict[str, Any]:
    """The part of a configuration that decides a run's numbers, resolved, as plain containers."""
    plain = {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in ((str(k), cfg[k]) for k in cfg if k not in _NOT_IDENTITY)
    }
    if "freeze" in plain:
        plain["freeze"] = freeze_label(plain["freeze"])
    detector = plain.get("detector")
    if isinstance(detector, dict) and detector.get("name") in WHOLE:
        # It came along from conf/detector/ssd.yaml, from which only the name was changed.
        plain["detector"] = {k: v for k, v in detector.items() if (k, v) != ("head", "hidden")}
    return _pruned(plain)


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The identity by full key (`trainer.head_lr`); one that is left out has the schema's value."""
    plain = identity(config)
    return default_settings(plain) | flat(plain)


def as_written(cfg: DictConfig) -> dict[str, Any]:
    """The values of a composed configuration by full key, interpolations as they are; none of
    Hydra's own."""
    kept = {str(key): cfg._get_node(key) for key in cfg if key != "hydra"}
    plain = OmegaConf.to_container(OmegaConf.create(kept))
    assert isinstance(plain, dict)
    return flat({str(key): value for key, value in plain.items()})


def flat(nested: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values by full key; an empty mapping is a value."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def default_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the schema and the policy of a configuration say where it says nothing, by full key.

    What runs of before did who could not say it; the defaults of today are in `conf/`.
    """
    found = _defaults(schema_of(config))  # type: ignore[arg-type]
    policy = config.get("policy")
    known = POLICIES.get(str(policy.get("name"))) if isinstance(policy, Mapping) else None
    if known is None:
        return dict(found)
    own = {f"policy.{f.name}": f for f in fields(known)}  # type: ignore[arg-type]
    return found | {
        key: f.default if f.default_factory is NO_DEFAULT else f.default_factory()
        for key, f in own.items()
    }


@cache
def _defaults(schema: type) -> dict[str, Any]:
    plain = OmegaConf.to_container(OmegaConf.structured(schema))
    assert isinstance(plain, dict)
    values = flat(_pruned({str(key): value for key, value in plain.items()}))
    # In the order of the groups above: labels of arms name what varies in it.
    order = {group: place for place, group in enumerate(_FIRST_GROUPS)}
    keys = sorted(values, key=lambda key: order.get(key.partition(".")[0], -1))
    return {key: values[key] for key in keys if values[key] not in (MISSING, {})}


def _pruned(nested: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Without what is no identity."""
    return {
        key: _pruned(value, f"{above}{key}.") if isinstance(value, Mapping) else value
        for key, value in nested.items()
        if f"{above}{key}" not in _NOT_IDENTITY
    }


def _without(
    nested: dict[str, Any], defaults: Mapping[str, Any], above: str = ""
) -> dict[str, Any]:
    """Without the keys that have these defaults, and the groups that hold nothing else."""
    kept: dict[str, Any] = {}
    for key, value in nested.items():
        full = f"{above}{key}"
        if isinstance(value, dict) and value:
            if inner := _without(value, defaults, f"{full}."):
                kept[key] = inner
        elif full not in defaults or value != defaults[full]:
            kept[key] = value
    return kept


def run_label(cfg: Mapping[Any, Any]) -> str:
    """The name of a run's folder: what a person wants to read, and digits that keep it unique."""
    policy = cfg["policy"].get("name")
    depth = "auto" if policy == "auto" else freeze_label(cfg["freeze"])
    # A colon is no part of a folder's name on Windows, and means a machine to scp.
    parts = [f"freeze={depth.replace(':', '')}", f"seed={cfg['seed']}"]
    if (fold := cfg["data"].get("fold")) is not None:
        parts.append(f"fold={fold}")
    if policy not in ("fixed", "auto"):
        parts.append(str(policy))
    if cfg["backbone"]["weights"] == "scratch":
        parts.append("scratch")
    return "-".join([*parts, fingerprint(cfg)[:6]])


def run_dir(_root_: DictConfig) -> str:
    """Folder of a single run, or the one that `resume=` names (Hydra asks through a resolver).

    Hydra makes the folder before a job begins, and so empty values are refused here.
    """
    refuse_empty(as_written(_root_))
    if _root_.resume is not None:
        return str(_root_.resume)
    return str(Path(_root_.runs_dir) / _root_.name / run_label(_root_))


def run_subdir(_root_: DictConfig) -> str:
    """Folder of one job of a sweep, below the sweep's."""
    refuse_empty(as_written(_root_))
    return run_label(_root_)
