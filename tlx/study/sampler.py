"""Which rates to try next: Optuna's tree-structured Parzen estimator, asked and told.

Nothing of Optuna's is kept. A sampler is made anew for each question, from the trials so far and a
seed of its own, so that a study which was killed asks the same questions again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlx.common.errors import ToolError
from tlx.common.packages import pip_install

_AT_RANDOM = 4
"""Trials before the estimator has something to go by; Optuna's 10 are most of a budget here."""


@dataclass(frozen=True)
class Range:
    """Where a rate is sought, on a logarithmic scale."""

    low: float
    high: float

    @classmethod
    def around(cls, rate: float, factor: float) -> Range:
        """From the rate / factor to the rate x factor."""
        return cls(min(rate, rounded(rate / factor)), max(rate, rounded(rate * factor)))


@dataclass(frozen=True)
class Tried:
    """A trial that has ended: its rates, and its figure on val in 0..1; None: it diverged."""

    rates: Mapping[str, float]
    value: float | None


def rounded(rate: float) -> float:
    """Three digits: no run tells more of a rate, and people can type it."""
    return float(f"{rate:.3g}")


def method() -> str:
    """What chooses the trials, for the record.

    Raises:
        ToolError: there is no Optuna.
    """
    return f"TPE of Optuna {_optuna().__version__}"


def ask(tried: Sequence[Tried], ranges: Mapping[str, Range], seed: int) -> dict[str, float]:
    """The rates of the next trial: at random for the first few, then where good ones lie.

    Watanabe 2023, arXiv:2304.11127, says how the estimator works. A trial that diverged is told as
    the worst there is, so that its neighbourhood is left alone.

    Args:
        tried: the trials so far, in their order; their rates lie in `ranges`.
        seed: of the whole tuning.
    """
    optuna = _optuna()
    wanted = {
        key: optuna.distributions.FloatDistribution(each.low, each.high, log=True)
        for key, each in ranges.items()
    }
    sampler = optuna.samplers.TPESampler(seed=seed + len(tried), n_startup_trials=_AT_RANDOM)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in tried:
        study.add_trial(
            optuna.trial.create_trial(
                params={key: trial.rates[key] for key in wanted},
                distributions=wanted,
                value=trial.value or 0.0,
            )
        )
    return {key: rounded(value) for key, value in study.ask(wanted).params.items()}


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ToolError(
            f"tune.trials and tune.minutes need Optuna: {pip_install('tuning')}"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
