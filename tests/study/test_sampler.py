"""Which rates are tried next: the same questions from the same trials, and towards what is good."""

from __future__ import annotations

import importlib.util
import math
import sys

import pytest

from tlx.common.errors import ToolError
from tlx.study.sampler import Range, Tried, ask, method

needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="needs the extra `tuning`"
)
RANGES = {"base_lr": Range(1e-4, 1e-2), "head_lr": Range(3e-4, 3e-2)}


def height(rates: dict[str, float]) -> float:
    """A hill at .0004 and .008, as wide as a decade."""
    miss = math.log10(rates["base_lr"] / 4e-4) ** 2 + math.log10(rates["head_lr"] / 8e-3) ** 2
    return math.exp(-miss)


def tuned(count: int, seed: int) -> list[Tried]:
    trials: list[Tried] = [Tried({"base_lr": 1e-3, "head_lr": 3e-3}, 0.0)]
    while len(trials) < count:
        rates = ask(trials, RANGES, seed)
        trials.append(Tried(rates, height(rates)))
    return trials


@needs_optuna
def test_the_same_trials_ask_the_same_question() -> None:
    trials = tuned(8, 1000)
    again = [ask(trials[:count], RANGES, 1000) for count in range(1, 8)]
    assert again == [dict(trial.rates) for trial in trials[1:]]
    assert len({tuple(trial.rates.values()) for trial in trials}) == 8
    assert ask(trials, RANGES, 1) != ask(trials, RANGES, 1000)


@needs_optuna
def test_rates_lie_in_their_range_and_come_near_the_best() -> None:
    trials = tuned(25, 1000)
    for trial in trials:
        for key, rate in trial.rates.items():
            assert RANGES[key].low <= rate <= RANGES[key].high
            assert rate == float(f"{rate:.3g}")
    late = [height(dict(trial.rates)) for trial in trials[15:]]
    assert sum(late) / len(late) > 0.75, "what lies about is far higher than that of random rates"


@needs_optuna
def test_a_trial_that_diverged_counts_as_the_worst() -> None:
    trials = tuned(9, 3)
    fell = [*trials, Tried({"base_lr": 9e-3, "head_lr": 2e-2}, None)]
    worst = [*trials, Tried({"base_lr": 9e-3, "head_lr": 2e-2}, 0.0)]
    assert ask(fell, RANGES, 3) == ask(worst, RANGES, 3)


def test_ranges_hold_the_configured_rate_however_it_is_rounded() -> None:
    found = Range.around(0.00123456, 1.1)
    assert found.low < 0.00123456 < found.high
    assert Range.around(0.001, 10) == Range(0.0001, 0.01)


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ToolError, match=r"pip install 'tlx-detect\[tuning\]'"):
        method()
