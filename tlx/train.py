"""`python -m tlx.train`: one run, a sweep (`-m`), or the continuation of a run (`resume=`)."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from tlx.config.composition import run_composed
from tlx.study.attempt import attempt
from tlx.study.pilot import start
from tlx.training.interrupt import Interrupted
from tlx.training.job import INTERRUPTED, finish, resumed_config

log = logging.getLogger(__name__)


def job(cfg: DictConfig) -> bool | None:
    """One Hydra job. In a sweep a failure is recorded and reported at the end, not raised.

    Returns:
        In a sweep, what `attempt` does.
    """
    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    if hydra_cfg.mode == RunMode.MULTIRUN:
        try:
            return attempt(start, cfg, folder)
        except Interrupted:
            log.warning("sweep interrupted; start it again to continue where it stopped")
            sys.exit(INTERRUPTED)
    finish(lambda: start(resumed_config(cfg, folder), folder), "tlx.train", cfg, folder)
    return None


def main() -> None:
    """Entry point."""
    run_composed(job, "config")


if __name__ == "__main__":
    main()
