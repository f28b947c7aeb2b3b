"""`python -m tlx.classify`: one run, several (`-m`), or the continuation of a run (`resume=`)."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from tlx.classify.run import run
from tlx.config.classify_schema import ClassifyConfig
from tlx.config.composition import run_composed
from tlx.training.job import finish, resumed_config


def job(cfg: DictConfig) -> None:
    """One Hydra job."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    finish(
        lambda: run(resumed_config(cfg, folder, ClassifyConfig), folder),
        "tlx.classify", cfg, folder,
    )  # fmt: skip


def main() -> None:
    """Entry point."""
    run_composed(job, "classify", ClassifyConfig)


if __name__ == "__main__":
    main()
