"""Programs that Hydra composes: what is wrong with a command line or a YAML file, in words."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import hydra
from omegaconf import DictConfig

from tlx.cli import FAILED
from tlx.config import conf_dir
from tlx.errors import first_line


def run_composed(job: Callable[[DictConfig], Any], config_name: str) -> None:
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
        begun = True
        return job(cfg)

    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises what it would print otherwise
    try:
        _main(noted, config_name)
    except Exception as error:
        if begun:
            raise
        print(f"ConfigError: {_one_line(error)}", file=sys.stderr)
        sys.exit(FAILED)
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def _main(job: Callable[[DictConfig], Any], config_name: str) -> None:
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(job)()


def _one_line(error: Exception) -> str:
    """What Hydra, OmegaConf or YAML say, and what was behind it where that is another thing."""
    told = " ".join(str(error).split()) or type(error).__name__
    cause = error.__cause__
    return told if cause is None or first_line(cause) in told else f"{told}: {first_line(cause)}"
