"""`python -m tlx.classify`: one run, several (`-m`), or the continuation of a run (`resume=`)."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from tlx.classify.run import run
from tlx.classify.schema import ClassifyConfig, set_name
from tlx.config.composition import run_composed
from tlx.config.identity import run_dir, run_subdir
from tlx.train import finish, resumed_config

ConfigStore.instance().store(name="classify_schema", node=ClassifyConfig)
OmegaConf.register_new_resolver("tlx.set_name", set_name, replace=True)
OmegaConf.register_new_resolver("tlx.run_dir", run_dir, replace=True)
OmegaConf.register_new_resolver("tlx.run_subdir", run_subdir, replace=True)


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
