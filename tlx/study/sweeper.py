"""Hydra's sweep as a study: a from-scratch arm, a balanced order, and a line on where it stands."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from tlx.study.order import Job, arrange, key_of
from tlx.study.progress import Planned, planned, progress_line, repeats

log = logging.getLogger(__name__)

SCRATCH = "scratch"


def from_scratch(job: Job) -> Job:
    """`freeze=scratch` spelled out: nothing is frozen and the weights are random."""
    values = [o.partition("=")[2].strip("'\"") for o in job if key_of(o) == "freeze"]
    if SCRATCH not in values:
        return job
    kept = [o for o in job if key_of(o) not in ("freeze", "backbone.weights")]
    return [*kept, "freeze=none", f"backbone.weights={SCRATCH}"]


class StudySweeper(BasicSweeper):
    """Every combination of the sweep values, as Hydra's basic sweeper, in a study's order."""

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None = None) -> None:
        super().__init__(max_batch_size, params)
        self.jobs: list[tuple[DictConfig, Path]] = []
        self.plan: list[Planned] = []

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Let every job say first where the study stands."""

        @functools.wraps(task_function)
        def announced(cfg: DictConfig) -> Any:
            if line := progress_line(self.plan, HydraConfig.get().job.num):
                log.info(line)
            return task_function(cfg)

        super().setup(hydra_context=hydra_context, task_function=announced, config=config)

    @staticmethod
    def split_arguments(
        overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """The jobs in the order in which they run, in batches if Hydra is asked for these."""
        every = BasicSweeper.split_arguments(overrides, None)[0]
        # Two values of backbone.weights have one from-scratch arm.
        unique = dict.fromkeys(tuple(from_scratch(job)) for job in every)
        jobs = arrange([list(job) for job in unique])
        return list(BasicSweeper.split_overrides_to_chunks(jobs, max_batch_size))

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Compose every job before the first one runs, and note what it will be."""
        from tlx.composition import check_known  # here: Hydra loads this module in every program

        assert self.hydra_context is not None
        assert self.config is not None
        for overrides in batch:
            cfg = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            check_known(cfg)
            with open_dict(cfg):  # as the launcher does, for folders that are named by number
                cfg.hydra.job.id = cfg.hydra.job.num = len(self.jobs)
            self.jobs.append((cfg, Path(cfg.hydra.sweep.dir, cfg.hydra.sweep.subdir)))
        self.plan = planned(self.jobs)
        for warning in repeats(self.plan):
            log.warning("%s", warning)
