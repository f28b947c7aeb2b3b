"""Programs that Hydra composes: what is wrong with a command line or a YAML file, in words."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from tlx.common import plugins
from tlx.common.cli import FAILED, fail, hydra_word, refuse_empty
from tlx.common.errors import ConfigError, TlxError, first_line, remedy
from tlx.common.files import read_yaml
from tlx.common.typos import unknown_choice, unknown_key
from tlx.config.check import conf_dir
from tlx.config.identity import as_written, flat, run_dir, run_subdir
from tlx.config.schema import CLASSIFIER_DROPOUT, SCHEMAS, ClassifierConfig, RunConfig
from tlx.config.splits import splits_digest
from tlx.config.typed import schema_of, typed
from tlx.freeze.depth import TRAINS
from tlx.freeze.policies.base import POLICIES

SAMPLE_FOLDERS = "shapes"
_MAIN = "config"  # of `conf/`
# Hydra merges the files of a list of choices: only the logger of the last one would be used.
_LOGGERS = re.compile(r"^logger=(\[.*\])$")
# One module, or several with commas between, are a list as well.
_PLUGINS = re.compile(r"^plugins=([^\[\s][^\[\]]*)$")


def set_name(root: str | None) -> str:
    """What a set of class folders is called: its folder, or the embedded sample's name."""
    return SAMPLE_FOLDERS if root is None else Path(root).expanduser().absolute().name


def head_dropout(head: str) -> float:
    """The dropout that a classifier's head has unless it is said."""
    return CLASSIFIER_DROPOUT.get(head, ClassifierConfig.dropout)


for task, schema in SCHEMAS.items():
    ConfigStore.instance().store(name=f"{task}_schema", node=schema)
for name, resolver in (
    ("run_dir", run_dir), ("run_subdir", run_subdir), ("set_name", set_name),
    ("splits_digest", splits_digest), ("head_dropout", head_dropout),
):  # fmt: skip
    OmegaConf.register_new_resolver(f"tlx.{name}", resolver, replace=True)


def composed(overrides: Sequence[str], config_dir: str | Path | None = None) -> RunConfig:
    """The configuration that a command line with these arguments would run.

    Args:
        config_dir: a folder of YAML files beside `conf/`, as `--config-dir` names one.

    Raises:
        ConfigError: what is wrong with it, in one line.
    """
    beside = [] if config_dir is None else ["--config-dir", str(Path(config_dir).absolute())]
    given = _for_hydra([*beside, *overrides])[len(beside) :]
    plugins.load(plugins_asked(given))  # before what they add is composed
    if config_dir is not None:
        given.insert(0, f'hydra.searchpath=["file://{Path(config_dir).absolute()}"]')
    try:
        with _no_other_hydra(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose(_MAIN, overrides=given)
        plugins.load(cfg.plugins)  # a file of `conf/` may name some
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(in_words(error, overrides)) from error
    check_known(cfg)
    return typed(cfg)


@contextmanager
def _no_other_hydra() -> Iterator[None]:
    """Hydra refuses to compose inside a Hydra program, such as a sweep's report or one of yours."""
    outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = outer


def run_composed(job: Callable[[DictConfig], Any]) -> None:
    """Compose `conf/` with the command line, and do the job, or the sweep.

    An error before a job begins is the input's: it ends in one line and exit code 2, where Hydra
    would show its own stack for a YAML file that is damaged. `HYDRA_FULL_ERROR=1` shows it.
    """
    try:
        sys.argv[1:] = _for_hydra(sys.argv[1:])
        plugins.load(plugins_asked(sys.argv[1:]))
    except ConfigError as error:
        fail(error)
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        _main(job)
        return
    begun = False

    @functools.wraps(job)
    def noted(cfg: DictConfig) -> Any:
        nonlocal begun
        try:
            plugins.load(cfg.plugins)
            check_known(cfg)
        except ConfigError as error:
            fail(error)
        begun = True
        return job(cfg)

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would print otherwise
    try:
        _main(noted)
    except Exception as error:
        if begun:
            raise
        own = _of_a_resolver(error) or ConfigError()
        print(f"{type(own).__name__}: {in_words(error, sys.argv[1:])}", file=sys.stderr)
        sys.exit(FAILED)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def _for_hydra(arguments: Sequence[str]) -> list[str]:
    """What Hydra would read otherwise than it is meant."""
    lists = [_LOGGERS.sub(r"logger.name=\1", argument) for argument in arguments]
    given = _frozen([_PLUGINS.sub(r"plugins=[\1]", argument) for argument in lists])
    # Its parser refuses what stands behind `-m`, if anything stands before it.
    given.sort(key=lambda argument: argument not in ("-m", "--multirun"))
    return [*given, "data=auto"] if _folder_alone(given) else given


def _frozen(given: Sequence[str]) -> list[str]:
    """`train=first` as `freeze=3..`: what is frozen, named by what trains, in a sweep several."""
    asked = [value for argument in given if (value := argument.removeprefix("train=")) != argument]
    if not asked:
        return list(given)
    if len(asked) > 1 or any(argument.startswith("freeze=") for argument in given):
        raise ConfigError("train= and freeze= say what is frozen: give one of them, and once")
    asked = asked[0].split(",")
    if unknown := [value for value in asked if value not in TRAINS]:
        raise ConfigError(
            f"{unknown_choice('train', unknown[0], TRAINS)}; any other set is said by what is "
            "frozen: freeze=3.. trains the first three blocks and the heads"
        )
    freeze = f"freeze={','.join(TRAINS[value] for value in asked)}"
    return [freeze if argument.startswith("train=") else argument for argument in given]


def _folder_alone(given: Sequence[str]) -> bool:
    """Whether `data.root=FOLDER` is all that is said of the data: its files say the rest.

    The default, the embedded sample, has no folder. An experiment may choose the data.
    """
    values = {key.lstrip("+~"): value for key, _, value in (text.partition("=") for text in given)}
    if values.get("data.root", "null") in ("null", "") or values.keys() & {"data", "resume"}:
        return False
    if "classify" in values.get("task", ""):
        return False
    # A sweep over experiments names several: `experiment=a,b`.
    return not any(_chooses_data(name, given) for name in values.get("experiment", "").split(","))


def _chooses_data(experiment: str, given: Sequence[str]) -> bool:
    """Whether the file of an experiment overrides the group `data`, or the task, which says what
    data it has."""
    flags = [b for a, b in pairwise(given) if a == "--config-dir"]
    flags += [a.partition("=")[2] for a in given if a.startswith("--config-dir=")]
    searched = [text for text in given if text.startswith("hydra.searchpath=")]
    searched = [p for text in searched for p in re.findall(r"file://([^\s\"',\]]+)", text)]
    folders = [*map(Path, flags), *map(Path, searched), conf_dir()]
    for folder in folders:
        path = folder / "experiment" / f"{experiment.strip()}.yaml"
        if path.is_file():
            try:
                content = read_yaml(path)
                chosen = [d for d in content["defaults"] if isinstance(d, dict)]
            except (OSError, ValueError, KeyError, TypeError):  # Hydra says what is wrong with it
                return False
            return any(
                re.fullmatch(r"(override\s+)?/?(data|task)", str(key)) for d in chosen for key in d
            )
    return False


def plugins_asked(arguments: Sequence[str]) -> list[str]:
    """The modules that a command line names."""
    pairs = [argument.partition("=") for argument in arguments]
    return [name for key, _, text in pairs if key == "plugins" for name in plugins.named(text)]


def _main(job: Callable[[DictConfig], Any]) -> None:
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=_MAIN)(job)()


def check_known(cfg: DictConfig) -> None:
    """Refuse a key that was added to the configuration (`+trainer.epoch=3`): nothing would read it;
    and one that is empty.

    Raises:
        ConfigError: it names the key and the one that may have been meant.
    """
    values = as_written(cfg)
    known = _known_keys([schema_of(cfg)])
    refuse_empty(values)
    for key in values:
        if not key.startswith("policy") and key not in known:
            raise ConfigError(unknown_key(key, known))


def in_words(error: Exception, overrides: Sequence[str]) -> str:
    """What is wrong with a command line or a file of `conf/`, in one line.

    A key or choice that there is none of comes with the nearest one.
    """
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return unknown_choice(group, choice, error.options)
    if "Could not override 'data'" in str(error) and "task=classify" in overrides:
        return "a classification has no choice of data: its folder is data.root=/path/to/folders"
    if isinstance(error, OverrideParseException) and "=" not in error.override:
        return f"{error.override!r} is not KEY=VALUE"
    if isinstance(error, OverrideParseException):
        # A folder of a run contains `=`, which is a sign of Hydra's grammar.
        typed = hydra_word(error.override)
        return f"{error.override!r} cannot be read; if it is a plain value, quote it: {typed}"
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
        if key == "train":  # in a file; on the command line it is read
            meant = "freeze=3.. trains the first three blocks and the heads"
            return f"{where}train is not a key, say what is frozen: {meant}"
        return where + unknown_key(
            key, _known_keys(_schemas_asked(overrides)), given[-1] if given else None
        )
    told = " ".join(str(error).split()) or type(error).__name__
    whole = told if first_line(cause) in told else f"{told}: {first_line(cause)}"
    return whole.replace("is not a ListConfig, list or tuple.", "is no list: write [a,b,c]")


def _of_a_resolver(error: BaseException) -> TlxError | None:
    """The error of ours that OmegaConf wrapped."""
    below: BaseException | None = error
    while below is not None and not isinstance(below, TlxError):
        below = below.__cause__ or below.__context__
    return below


def _schemas_asked(overrides: Sequence[str]) -> list[type]:
    """Of the task that a command line asks for; without a word of it, of the default."""
    asked = [o.partition("=")[2] for o in overrides if o.partition("=")[0] == "task"]
    named = asked[-1].split(",") if asked else ["detect"]
    return [schema for task, schema in SCHEMAS.items() if task in named] or [*SCHEMAS.values()]


def _known_keys(schemas: Sequence[type]) -> list[str]:
    """Full keys, groups and keys of policies; of two with one end the more usual one comes last."""
    keys: list[str] = []
    shared = {f.name for f in fields(RunConfig)} - {"data"}  # which each task has of its own kind
    for schema in schemas:
        plain = OmegaConf.to_container(OmegaConf.structured(schema))
        assert isinstance(plain, dict)
        # A task's own groups come first: `epochs` is rather `trainer.epochs` than `data.epochs`, or
        # those of the short runs that tune.
        own = {f.name: f.name not in shared or f.name == "tune" for f in fields(schema)}
        groups = sorted(plain.items(), key=lambda pair: not own[str(pair[0])])
        keys += [str(key) for key in flat({str(key): value for key, value in groups})]
    policies = {f"policy.{f.name}" for policy in POLICIES.values() for f in fields(policy)}  # type: ignore[arg-type]
    # Groups of another task would be taken for the key that was meant.
    foreign = {f.name for s in SCHEMAS.values() for f in fields(s)} - {
        f.name for s in schemas for f in fields(s)
    }
    folders = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    choices = sorted(folders - foreign)
    return [*sorted(policies), *keys, *choices]
