"""What mirrors a run, and several of them at once: whatever happens to one, the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tlx.common.errors import first_line
from tlx.common.registry import Registry
from tlx.config.schema import RunConfig

log = logging.getLogger(__name__)
NONE = "none"
Pictures = Callable[[], Sequence[Any]]


class RunLogger:
    """A mirror of one run.

    A run that is resumed in a new process gives all its rows again, those of its checkpoint first:
    what an earlier process mirrored is to be replaced.

    Attributes:
        about: for the record: where the mirror is, and `fault`, why it is off, else None.
    """

    about: dict[str, Any]

    def log_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Mirror rows of `metrics.csv`: each has a step, and some of its other columns."""

    def summarize(self, record: Mapping[str, Any]) -> None:
        """Mirror what the record knows so far."""

    def show(self, pictures: Pictures) -> None:
        """Mirror test pictures; what the call gives are `wandb.Image`."""

    def close(self, record: Mapping[str, Any], run_dir: Path, *, checkpoint: bool) -> None:
        """Mirror the final record, and (if asked) its checkpoint; end the run."""


Make = Callable[[RunConfig, Path, "Mapping[str, Any] | None"], "RunLogger | None"]
LOGGERS: Registry[Make] = Registry("logger.name")


def register(name: str) -> Callable[[Make], Make]:
    """Make a logger known as `logger.name=NAME`; a decorator of what makes one for a run.

    It takes the configuration, the run's folder, and `about` of an earlier process of the run;
    None is returned where the logger cannot be had, which is said in the log.
    """

    def add(make: Make) -> Make:
        return LOGGERS.add(name, make, make.__module__)

    return add


def names_of(cfg: RunConfig) -> list[str]:
    """The loggers that a configuration asks for.

    Raises:
        ConfigError: one that there is none of.
    """
    asked = cfg.logger.name
    names = [str(name) for name in asked] if isinstance(asked, list) else [str(asked)]
    names = [name for name in dict.fromkeys(names) if name != NONE]
    for name in names:
        LOGGERS.find(name, beside=(NONE,))
    return names


class Loggers:
    """The mirrors of a run. One that fails is turned off, and says so in its `about`."""

    def __init__(self, loggers: Mapping[str, RunLogger]) -> None:
        self._loggers = dict(loggers)

    @property
    def about(self) -> dict[str, dict[str, Any]]:
        """By logger, for the record."""
        return {name: logger.about for name, logger in self._loggers.items()}

    def log_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """See `RunLogger`."""
        self._each(lambda logger: logger.log_rows(rows))

    def summarize(self, record: Mapping[str, Any]) -> None:
        """See `RunLogger`."""
        self._each(lambda logger: logger.summarize(record))

    def show(self, pictures: Pictures) -> None:
        """See `RunLogger`."""
        self._each(lambda logger: logger.show(pictures))

    def close(self, record: Mapping[str, Any], run_dir: Path, *, checkpoint: bool) -> None:
        """See `RunLogger`; one that is off is closed too, since its service may be waiting."""
        self._each(
            lambda logger: logger.close(record, run_dir, checkpoint=checkpoint), also_off=True
        )

    def _each(self, action: Callable[[RunLogger], None], also_off: bool = False) -> None:
        for name, logger in self._loggers.items():
            if logger.about.get("fault") and not also_off:
                continue
            try:
                action(logger)
            except Exception as error:  # of a service, or of somebody's plug-in
                told = f"{type(error).__name__}: {first_line(error)}"
                logger.about["fault"] = logger.about.get("fault") or told
                log.warning("%s is off for this run (%s); record.json goes on", name, told)


def make_loggers(
    cfg: RunConfig, run_dir: Path, earlier: Mapping[str, Mapping[str, Any]]
) -> Loggers:
    """The configured loggers, but for those that cannot be had, which a warning says.

    Args:
        earlier: `Loggers.about` of the process before, of a run that goes on.
    """
    made = {name: LOGGERS.find(name)(cfg, run_dir, earlier.get(name)) for name in names_of(cfg)}
    return Loggers({name: logger for name, logger in made.items() if logger is not None})
