"""Programs that Hydra composes: what is wrong with a command line or a YAML file, in words."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from tlx.common.cli import FAILED, fail, refuse_empty
from tlx.common.errors import ConfigError, TlxError, first_line, remedy
from tlx.common.typos import unknown_choice, unknown_key
from tlx.config.check import check_config, conf_dir
from tlx.config.classify_check import check_classify
from tlx.config.classify_schema import ClassifyConfig, set_name
from tlx.config.identity import as_written, flat, run_dir, run_subdir
from tlx.config.schema import Config
from tlx.freeze.policies.base import POLICIES

ConfigStore.instance().store(name="schema", node=Config)
ConfigStore.instance().store(name="classify_schema", node=ClassifyConfig)
for name, resolver in (("run_dir", run_dir), ("run_subdir", run_subdir), ("set_name", set_name)):
    OmegaConf.register_new_resolver(f"tlx.{name}", resolver, replace=True)


def run_composed(job: Callable[[DictConfig], Any], config_name: str, schema: type = Config) -> None:
    """Compose `config_name` of `conf/` with the command line, and do the job, or the sweep.

    An error before a job begins is the input's: it ends in one line and exit code 2, where Hydra
    would show its own stack for a YAML file that is damaged. `HYDRA_FULL_ERROR=1` shows it.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        _main(job, config_name)
        return
    begun = False

    @functools.wraps(job)
    def noted(cfg: DictConfig) -> Any:
        nonlocal begun
        try:
            check_known(cfg, schema)
        except ConfigError as error:
            fail(error)
        begun = True
        return job(cfg)

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would print otherwise
    try:
        _main(noted, config_name)
    except Exception as error:
        if begun:
            raise
        print(f"ConfigError: {in_words(error, sys.argv[1:], schema)}", file=sys.stderr)
        sys.exit(FAILED)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def _main(job: Callable[[DictConfig], Any], config_name: str) -> None:
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()


def check_known(cfg: DictConfig, schema: type = Config) -> None:
    """Refuse a key that was added to the configuration (`+trainer.epoch=3`): nothing would read it;
    and one that is empty.

    Raises:
        ConfigError: it names the key and the one that may have been meant.
    """
    known, values = _known_keys(schema), as_written(cfg)
    refuse_empty(values)
    for key in values:
        if not key.startswith("policy") and key not in known:
            raise ConfigError(unknown_key(key, known))


def check_job(cfg: DictConfig) -> None:
    """What a program checks of a configuration before it reads data, for any program of ours.

    Raises:
        ConfigError: as `check_known`, and as the program's own check.
    """
    classifies = "classifier" in cfg
    check_known(cfg, ClassifyConfig if classifies else Config)
    if cfg.resume is None:  # the folder's configuration takes the place of this one
        (check_classify if classifies else check_config)(cfg)


def in_words(error: Exception, overrides: Sequence[str], schema: type = Config) -> str:
    """What is wrong with a command line or a file of `conf/`, in one line.

    A key or choice that there is none of comes with the nearest one.
    """
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return unknown_choice(group, choice, error.options)
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"{error.override!r} is not KEY=VALUE"
    cause = error.__cause__ or error.__context__ or error
    if own := _of_a_resolver(error):
        return str(own)
    if isinstance(error, OSError):  # Hydra makes the run's folder
        told = f"{error.filename}: {error.strerror}"
        return f"the folder of the run cannot be made: {told}: {remedy(error)} with runs_dir="
    key = getattr(cause, "full_key", None)
    if isinstance(cause, (ConfigKeyError, ConfigAttributeError)) and isinstance(key, str) and key:
        given = [o.partition("=")[2] for o in overrides if o.partition("=")[0].lstrip("+~") == key]
        file = first_line(error).partition(":")[0]
        where = f"{file}: " if file.startswith("In '") else ""
        return where + unknown_key(key, _known_keys(schema), given[-1] if given else None)
    told = " ".join(str(error).split()) or type(error).__name__
    return told if first_line(cause) in told else f"{told}: {first_line(cause)}"


def _of_a_resolver(error: BaseException) -> TlxError | None:
    """The error of ours that OmegaConf wrapped."""
    below: BaseException | None = error
    while below is not None and not isinstance(below, TlxError):
        below = below.__cause__ or below.__context__
    return below


def _known_keys(schema: type) -> list[str]:
    """Full keys, groups and keys of policies; of two with one end the more usual one comes last."""
    plain = OmegaConf.to_container(OmegaConf.structured(schema))
    assert isinstance(plain, dict)
    keys = [str(key) for key in flat({str(key): value for key, value in plain.items()})]
    policies = {f"policy.{f.name}" for policy in POLICIES.values() for f in fields(policy)}  # type: ignore[arg-type]
    groups = sorted(path.name for path in conf_dir().iterdir() if path.is_dir())
    return [*sorted(policies), *keys, *groups]
