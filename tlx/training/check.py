"""All that can be known to be wrong with a run before data or weights load."""

from __future__ import annotations

import tlx.loggers.lightning
import tlx.training.detection
import tlx.wandb.logger  # noqa: F401  these three register themselves
from tlx.common.threads import one_thread
from tlx.config.check import check_config
from tlx.config.schema import RunConfig
from tlx.freeze.policies.base import Phase
from tlx.loggers.base import names_of
from tlx.training.kinds import kind_of


def check_run(cfg: RunConfig) -> tuple[Phase, ...]:
    """Refuse what cannot mean anything; return the freeze schedule.

    Raises:
        ConfigError: it names the key, its value and what it may be.
    """
    with one_thread():  # a part of somebody's may compute here, where a sweep forks its runs
        kind = kind_of(cfg)
        phases = check_config(cfg)
        names_of(cfg)
        kind.check(cfg)
    return phases
