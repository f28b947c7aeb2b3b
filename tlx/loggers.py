"""Weights & Biases as a mirror of the record: whatever happens to it, the run goes on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import WandbLogger

from tlx.identity import run_label

log = logging.getLogger(__name__)


class Mirror(WandbLogger):
    """A W&B logger that turns itself off at its first failure instead of ending the run."""

    broken = False

    def _try(self, action: Callable[[], Any]) -> None:
        if self.broken:
            return
        try:
            action()
        except Exception as error:  # whatever W&B may raise: the record does not depend on it
            self.broken = True
            log.warning("Weights & Biases is off for this run (%s); record.json goes on", error)

    def start(self, config: dict[str, Any]) -> None:
        """Open the run (here, and not at the first metric, so that a failure shows early)."""
        self._try(lambda: self.experiment.config.update(config, allow_val_change=True))

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Mirror a row of the record."""
        self._try(lambda: self.experiment.log(dict(metrics), step=step))

    def summarize(self, figures: dict[str, Any]) -> None:
        """The final figures, as the run's summary."""
        self._try(lambda: self.experiment.summary.update(figures))

    def close(self, exit_code: int) -> None:
        """End the run; a code other than 0 marks it as failed."""
        self._try(lambda: self.experiment.finish(exit_code=exit_code))


def make_logger(cfg: DictConfig, run_dir: Path) -> Mirror | None:
    """The configured logger: W&B online when logged in, offline otherwise; or none."""
    if cfg.logger.name == "none":
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    mode = cfg.logger.mode
    if mode == "auto":
        mode = "online" if _logged_in() else "offline"
    try:
        logger = Mirror(
            name=run_label(cfg),
            project=cfg.logger.project,
            group=cfg.name,
            job_type="train",
            tags=[cfg.backbone.name, cfg.data.name, f"freeze={cfg.freeze}", cfg.policy.name],
            save_dir=str(run_dir),
            offline=mode == "offline",
            mode=mode,  # asking for the login has fixed W&B's settings: `offline` alone is too late
        )
    except Exception as error:  # not installed, or a broken installation
        log.warning("Weights & Biases is off for this run (%s); record.json goes on", error)
        return None
    logger.start(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    return None if logger.broken else logger


def _logged_in() -> bool:
    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return False
    try:
        import wandb

        return bool(wandb.login(prompt=False))
    except Exception:
        return False
