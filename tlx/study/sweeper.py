"""Hydra's sweep as a study: a from-scratch arm, a balanced order, and a line on where it stands."""

from __future__ import annotations

import functools
import itertools
import logging
import sys
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
    from tlx.study.fair import Arm, Found

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
        asked: the overrides of each job, in the same order.
        found: by the overrides of a job what the study has found for it (`tlx.study.fair`).
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None = None) -> None:
        super().__init__(max_batch_size, params)
        self.jobs: list[tuple[RunConfig, Path]] = []
        self.plan: list[Planned] = []
        self.asked: list[list[str]] = []
        self.found: dict[tuple[str, ...], Found] = {}

    def sweep(self, arguments: list[str]) -> Any:
        """Compose and check all jobs, then run them.

        Raises:
            ConfigError: of the first job that could not begin.
            DataError: a set that prepares itself could not be fetched.
            TlxError: what the tuning of rates raises, with `tune.trials` or `tune.minutes`.
        """
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        given = [*self._parse_config(), *arguments]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides(given)
        self.asked += itertools.chain(*self.split_arguments(overrides, self.max_batch_size))
        for job in self.asked:
            self.jobs.append(self._checked(job))
        if len(self.jobs) > 1 and any(job.trainer.batch_size == "auto" for job, _ in self.jobs):
            raise ConfigError(
                "trainer.batch_size=auto chooses for one run, and arms are compared at one batch "
                "size: run the arm that freezes the least with it, and give its number to the sweep"
            )
        arms = self._arms()
        self._prepare()
        if arms:
            self._tune(arms)
        self.plan = planned(self.jobs)
        for warning in repeats(self.plan):
            log.warning("%s", warning)
        return super().sweep(arguments)

    def _arms(self) -> list[Arm]:
        """The arms whose rates are to be tuned; mostly there are none."""
        if not any(job.tune.asked for job, _ in self.jobs):
            return []
        from tlx.study.fair import arms_of

        return arms_of(self.jobs)

    def _tune(self, arms: list[Arm]) -> None:
        """Tune the rates of all arms, and let the jobs have what was found."""
        from tlx.study.fair import found, tune
        from tlx.training.interrupt import Interrupted
        from tlx.training.job import INTERRUPTED

        for handler in logging.getLogger().handlers:  # as jobs speak, and not as Hydra does
            handler.setFormatter(logging.Formatter("%(message)s"))
        try:
            tune(arms)
        except Interrupted:
            log.warning("tuning interrupted; start the study again to continue where it stopped")
            sys.exit(INTERRUPTED)
        self.found = {tuple(self.asked[place]): told for place, told in found(arms).items()}
        self.jobs = []
        for job in self.asked:
            self.jobs.append(self._checked(self._with_found(job)))

    def _with_found(self, job: Sequence[str]) -> list[str]:
        told = self.found.get(tuple(job))
        return [*job, *(told.overrides if told else ())]

    def get_job_batch(self) -> Sequence[Sequence[str]]:
        """The next jobs, each with what the study has found for it."""
        return [self._with_found(job) for job in super().get_job_batch()]

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
            number = HydraConfig.get().job.num
            if line := progress_line(self.plan, number):
                log.info(line)
            self._tell(number)
            return task_function(cfg)

        super().setup(hydra_context=hydra_context, task_function=announced, config=config)

    def _tell(self, number: int) -> None:
        """Put what was found for a run into its folder, from where its record takes it."""
        from tlx.common.files import write_json
        from tlx.records.tuning import TUNING

        if (told := self.found.get(tuple(self.asked[number]))) is not None:
            write_json(self.jobs[number][1] / TUNING, told.tuning)

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
