"""Which run is which: the fingerprint of a configuration, and the folder that follows from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tlx.freeze.depth import freeze_label

# What may differ between two runs of the same experiment without changing a number of it.
_NOT_IDENTITY = {"runs_dir", "cache_dir", "resume", "name", "logger", "hydra"}
_LATER_DATA = {"fixes": None, "splits": "named"}
_NOT_IDENTITY_TRAINER = {"workers", "progress", "checkpoint_minutes", "timer_warmup"}


def fingerprint(cfg: DictConfig) -> str:
    """sha256 (12 digits) of all that decides a run's numbers; equal runs share their folder."""
    plain: dict[str, Any] = {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in ((str(k), cfg[k]) for k in cfg if k not in _NOT_IDENTITY)
    }
    plain["freeze"] = freeze_label(plain["freeze"])
    # Keys that came later: with the default they say nothing, and earlier runs stay what they are.
    for key, default in _LATER_DATA.items():
        if plain["data"].get(key) == default:
            plain["data"].pop(key, None)
    plain["trainer"] = {k: v for k, v in plain["trainer"].items() if k not in _NOT_IDENTITY_TRAINER}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def run_label(cfg: DictConfig) -> str:
    """The name of a run's folder: what a person wants to read, and digits that keep it unique."""
    policy = cfg.policy.get("name")
    depth = "auto" if policy == "auto" else freeze_label(cfg.freeze)
    parts = [f"freeze={depth}", f"seed={cfg.seed}"]
    if policy not in ("fixed", "auto"):
        parts.append(str(policy))
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
