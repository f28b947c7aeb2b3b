"""The program that trains: one run, a sweep (`-m`), or the continuation of a run (`resume=`)."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from tlx.common.cli import fail
from tlx.common.errors import ConfigError
from tlx.config.composition import run_composed
from tlx.config.typed import typed
from tlx.study.attempt import attempt
from tlx.study.pilot import start
from tlx.training.interrupt import Interrupted
from tlx.training.job import INTERRUPTED, finish, resumed_config
from tlx.training.kinds import kind_of

log = logging.getLogger(__name__)


def job(composed: DictConfig) -> bool | None:
    """One Hydra job. In a sweep a failure is recorded and reported at the end, not raised.

    Returns:
        In a sweep, what `attempt` does.
    """
    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    try:
        cfg = typed(composed)
        program = kind_of(cfg).program
    except ConfigError as error:
        fail(error)
    if hydra_cfg.mode == RunMode.MULTIRUN:
        try:
            return attempt(start, cfg, folder)
        except Interrupted:
            log.warning("sweep interrupted; start it again to continue where it stopped")
            sys.exit(INTERRUPTED)
    finish(lambda: start(resumed_config(cfg, folder), folder), program, cfg, folder)
    return None


def main() -> None:
    """Entry point of every task's program; a task is registered by whoever calls this."""
    run_composed(job)
