"""Hydra's sweep as a study: a from-scratch arm, a balanced order, and a line on where it stands."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from tlx.common.errors import ConfigError
from tlx.study.order import Job, arrange, key_of
from tlx.study.progress import Planned, planned, progress_line, repeats

if TYPE_CHECKING:
    from tlx.config.schema import RunConfig

log = logging.getLogger(__name__)

SCRATCH = "scratch"


def from_scratch(job: Job) -> Job:
    """`freeze=scratch` spelled out: nothing is frozen and the weights are random."""
    values = [o.partition("=")[2].strip("'\"") for o in job if key_of(o) == "freeze"]
    if SCRATCH not in values:
        return job
    kept = [o for o in job if key_of(o) not in ("freeze", "weights", "backbone.weights")]
    return [*kept, "freeze=none", f"backbone.weights={SCRATCH}"]


class StudySweeper(BasicSweeper):
    """Every combination of the sweep values, in a study's order.

    Nothing runs, and nothing is written, before every job is checked.

    Attributes:
        jobs: the configuration of each job and its folder, in the order in which they run.
        plan: the same as a study's runs.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None = None) -> None:
        super().__init__(max_batch_size, params)
        self.jobs: list[tuple[RunConfig, Path]] = []
        self.plan: list[Planned] = []

    def sweep(self, arguments: list[str]) -> Any:
        """Compose and check all jobs, then run them.

        Raises:
            ConfigError: of the first job that could not begin.
            DataError: a set that prepares itself could not be fetched.
        """
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        given = [*self._parse_config(), *arguments]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(given)
        for job in itertools.chain(*self.split_arguments(overrides, self.max_batch_size)):
            self.jobs.append(self._checked(job))
        if len(self.jobs) > 1 and any(job.trainer.batch_size == "auto" for job, _ in self.jobs):
            raise ConfigError(
                "trainer.batch_size=auto chooses for one run, and arms are compared at one batch "
                "size: run the arm that freezes the least with it, and give its number to the sweep"
            )
        self._prepare()
        self.plan = planned(self.jobs)
        for warning in repeats(self.plan):
            log.warning("%s", warning)
        return super().sweep(arguments)

    def _prepare(self) -> None:
        """Fetch each set once, before the first run: a sweep without its data is one error."""
        from tlx.records.record import read_record
        from tlx.training.kinds import kind_of

        seen: list[Any] = []
        for job, folder in self.jobs:
            done = (read_record(folder) or {}).get("status") == "finished"
            if not done and job.resume is None and job.data not in seen:
                seen.append(job.data)
                kind_of(job).prepare(job)

    def _checked(self, overrides: list[str]) -> tuple[RunConfig, Path]:
        # Here: Hydra loads this module in every program.
        from tlx.config.composition import check_known
        from tlx.config.typed import typed
        from tlx.training.check import check_run

        assert self.hydra_context is not None
        assert self.config is not None
        cfg = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        check_known(cfg)
        job = typed(cfg)
        if job.resume is None:  # the folder's configuration takes the place of this one
            check_run(job)
        with open_dict(cfg):  # as the launcher does, for folders that are named by number
            cfg.hydra.job.id = cfg.hydra.job.num = len(self.jobs)
        return job, Path(cfg.hydra.sweep.dir, cfg.hydra.sweep.subdir)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing: every job was composed before the first one."""

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
