"""Hydra takes sweepers from this namespace only; the class itself is in `tlx.study.sweeper`.

No `from __future__ import annotations` here: Hydra runs the module before it is in `sys.modules`,
where a dataclass looks its annotations up.
"""

from dataclasses import dataclass

from hydra._internal.core_plugins.basic_sweeper import BasicSweeperConf
from hydra.core.config_store import ConfigStore

from tlx.study import sweeper


class StudySweeper(sweeper.StudySweeper):
    """`hydra/sweeper=tlx_study`, the default of `conf/config.yaml`."""


@dataclass
class StudySweeperConf(BasicSweeperConf):
    """The keys of Hydra's basic sweeper."""

    _target_: str = f"{__name__}.StudySweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="tlx_study", node=StudySweeperConf, provider="tlx"
)
