"""`python -m tlx.train`: one run, a sweep (`-m`), or the continuation of a run (`resume=`)."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from tlx.config import conf_dir
from tlx.errors import ConfigError, TlxError
from tlx.identity import run_dir, run_subdir
from tlx.interrupt import Interrupted
from tlx.schema import Config
from tlx.study.attempt import attempt
from tlx.study.pilot import start

log = logging.getLogger(__name__)
INTERRUPTED = 130  # what a shell reports for Ctrl+C

ConfigStore.instance().store(name="schema", node=Config)
OmegaConf.register_new_resolver("tlx.run_dir", run_dir)
OmegaConf.register_new_resolver("tlx.run_subdir", run_subdir)


def job(cfg: DictConfig) -> None:
    """One Hydra job. In a sweep a failure is recorded and reported at the end, not raised."""
    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.runtime.output_dir)
    if hydra_cfg.mode == RunMode.MULTIRUN:
        try:
            attempt(start, cfg, folder)
        except Interrupted:
            log.warning("sweep interrupted; start it again to continue where it stopped")
            sys.exit(INTERRUPTED)
        return
    try:
        start(resumed_config(cfg, folder), folder)
    except TlxError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except (KeyboardInterrupt, Interrupted):
        log.warning("interrupted; continue with: python -m tlx.train resume=%s", folder)
        sys.exit(INTERRUPTED)


def resumed_config(cfg: DictConfig, folder: Path, schema: type = Config) -> DictConfig:
    """With `resume=RUN_DIR`, the configuration that run was started with; else `cfg` itself."""
    if cfg.resume is None:
        return cfg
    stored = folder / "config.yaml"
    if not stored.is_file():
        raise ConfigError(f"resume={cfg.resume}: there is no {stored.name} of a tlx run in it")
    given = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    if given:
        raise ConfigError(
            f"resume continues a run exactly as it was configured; leave out {', '.join(given)}, "
            "or start a new run"
        )
    return OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.load(stored))  # type: ignore[return-value]


def main() -> None:
    """Entry point."""
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()


if __name__ == "__main__":
    main()
