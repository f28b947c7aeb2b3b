"""Values as Hydra composed them, or as a file holds them, become the dataclasses of the schema.

Above this line a configuration is Hydra's; below it no function takes anything but dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tlx.common.cli import hydra_word
from tlx.common.errors import ConfigError, first_line
from tlx.common.files import read_yaml
from tlx.config.schema import SCHEMAS, RunConfig

T = TypeVar("T")


def typed(cfg: DictConfig) -> RunConfig:
    """What Hydra composed, as `Config` or the schema of another task; Hydra's own node is left out.

    Raises:
        ConfigError: a value that is missing, or that cannot be computed.
    """
    names = [str(key) for key in cfg if key != "hydra"]
    try:
        # From the whole, where the interpolations lead.
        plain = {name: _resolved(cfg, name) for name in names}
        return _as_dataclass(plain, schema_of(plain))
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        raise ConfigError(first_line(error)) from error


def _resolved(cfg: DictConfig, name: str) -> Any:
    value = cfg[name]
    if not OmegaConf.is_config(value):
        return value
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)


def schema_of(config: Mapping[str, Any]) -> type[RunConfig]:
    """The schema of a run's plain values; those that name no task are older than that."""
    task = config.get("task")
    if isinstance(task, str) and task in SCHEMAS:
        return SCHEMAS[task]
    return SCHEMAS["classify" if "classifier" in config else "detect"]


def plain(cfg: RunConfig) -> dict[str, Any]:
    """The values as plain containers: for the record, a checkpoint, a YAML file."""
    return asdict(cfg)


def to_yaml(cfg: RunConfig) -> str:
    """The values as `stored_config` reads them back."""
    return yaml.safe_dump(plain(cfg), sort_keys=False, allow_unicode=True)


def stored_config(path: Path, cache_dir: str) -> RunConfig:
    """The configuration that a run's folder holds, read as a stranger's file.

    Args:
        path: a run's config.yaml.
        cache_dir: today's; a file does not choose where decoded pictures are written and deleted.

    Raises:
        ConfigError: it cannot be read, does not fit the schema, holds an interpolation (which could
            read the environment), or another `cache_dir`.
    """
    try:
        # Parsed as plain YAML: OmegaConf would take an interpolation for one.
        values = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    cfg = from_plain(values, schema_of(values if isinstance(values, dict) else {}), str(path))
    if cfg.cache_dir != cache_dir:
        raise ConfigError(
            f"{path} names the cache_dir {cfg.cache_dir}, and today's is {cache_dir}: add "
            f"{hydra_word(f'cache_dir={cfg.cache_dir}')} if that folder is yours"
        )
    return cfg


def from_plain(values: Any, schema: type[T], where: str) -> T:
    """A stranger's plain values as an instance of a dataclass, their types checked.

    Raises:
        ConfigError: they do not fit the schema, or hold an interpolation.
    """
    if not isinstance(values, dict) or not values:
        raise ConfigError(f"{where} holds no configuration of a run")
    if (found := interpolation(values)) is not None:
        raise ConfigError(f"{where}: {found!r} is an interpolation, which a finished file has not")
    try:
        return _as_dataclass(values, schema)
    except (OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{where} does not fit: {first_line(error)}") from error


def _as_dataclass(values: Mapping[str, Any], schema: type[T]) -> T:
    merged = OmegaConf.merge(OmegaConf.structured(schema), values)
    OmegaConf.to_container(merged, resolve=True, throw_on_missing=True)
    found = OmegaConf.to_object(merged)
    assert isinstance(found, schema)
    return found


def interpolation(value: Any) -> str | None:
    """The first text below `value` with an interpolation in it."""
    if isinstance(value, str):
        return value if "${" in value else None
    children = value.values() if isinstance(value, dict) else value
    texts = (interpolation(child) for child in children) if isinstance(value, (dict, list)) else ()
    return next((text for text in texts if text is not None), None)
