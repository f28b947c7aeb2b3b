"""A single job of a program that trains: where it goes on, and how its end is told."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from tlx.common.cli import fail, hydra_command
from tlx.common.errors import ConfigError, TlxError
from tlx.config.schema import RunConfig
from tlx.config.typed import stored_config
from tlx.records.record import Record
from tlx.training.closing import closing
from tlx.training.interrupt import Interrupted

log = logging.getLogger(__name__)
INTERRUPTED = 130  # what a shell reports for Ctrl+C


def finish(work: Callable[[], Record], program: str, cfg: RunConfig, folder: Path) -> None:
    """Do the work of a single job and say how it ended; an error or a stop is one readable line."""
    try:
        record = work()
    except (TlxError, OSError) as error:
        fail(error)
    except (KeyboardInterrupt, Interrupted):
        given = [f"cache_dir={cfg.cache_dir}"] if _given("cache_dir") else []
        given += [f"plugins=[{','.join(cfg.plugins)}]"] if cfg.plugins else []
        log.warning(
            "interrupted; continue with: %s",
            hydra_command(program, f"resume={_as_typed(folder)}", *given),
        )
        sys.exit(INTERRUPTED)
    print(closing(record, _as_typed(folder)), flush=True)


def _as_typed(folder: Path) -> Path:
    """Relative where it lies below the current folder: shorter, and it moves with the project."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def resumed_config(cfg: RunConfig, folder: Path) -> RunConfig:
    """With `resume=RUN_DIR`, the configuration that run was started with; else `cfg` itself."""
    if cfg.resume is None:
        return cfg
    stored = folder / "config.yaml"
    if not stored.is_file():
        raise ConfigError(f"resume={cfg.resume}: there is no {stored.name} of a tlx run in it")
    if given := _given("", but=("resume", "cache_dir", "task", "plugins")):
        raise ConfigError(
            f"resume continues a run exactly as it was configured; leave out {', '.join(given)}, "
            "or start a new run"
        )
    found = stored_config(stored, cfg.cache_dir)
    if missing := [module for module in found.plugins if module not in cfg.plugins]:
        raise ConfigError(
            f"{stored} names the plug-ins {', '.join(found.plugins)}, which a file alone does not "
            f"start: add plugins=[{','.join(missing)}] if they are yours"
        )
    return found


def _given(key: str, but: tuple[str, ...] = ()) -> list[str]:
    """What the command line sets: this key, or (with "") all but some."""
    found = HydraConfig.get().overrides.task
    return [o for o in found if (name := o.split("=")[0]) not in but and key in ("", name)]
