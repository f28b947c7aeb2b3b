"""Fair arms in a report: the design, what the trials of each arm's rates found, and doubts.

Rates that differ because each arm has its own best are the design and no second question; they are
no part of what makes an arm (`tlx.records.arms`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from tlx.records.quality import Quality, finite
from tlx.records.tuning import DIVERGED, RATES, WALL_CLOCK
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.figures import significant
from tlx.report.comparison.records import Record

NEAR = 0.02
"""Of a figure in 0..1: a trial this near to the best lost little."""
_APART = 0.1
"""Of the time that all arms were to have: by so much their fits may miss it without a word."""


@dataclass(frozen=True)
class Trial:
    """A trial: rates by name, figure on val (None: it diverged), whether it was chosen."""

    rates: Mapping[str, float]
    value: float | None
    chosen: bool


@dataclass(frozen=True)
class Tuned:
    """What an arm's tuning found; an arm of several folds has one of each.

    Attributes:
        label: of the arm, with its fold. place: of the arm in the comparison.
        state: `record["tuning"]`.
    """

    label: str
    place: int
    state: Mapping[str, Any]

    @property
    def tuned(self) -> list[str]:
        """The rates that were tuned."""
        found = self.state.get("tuned")
        return [rate for rate in RATES if isinstance(found, list) and rate in found]

    @property
    def rates(self) -> dict[str, float]:
        """The rates that were chosen."""
        found = self.state.get("rates")
        known = found if isinstance(found, Mapping) else {}
        return {r: value for r in self.tuned if (value := finite(known.get(r))) is not None}

    def sought(self, rate: str) -> tuple[float, ...]:
        """The lowest and the highest value that a rate could have; empty where it is not known."""
        ranges = self.state.get("ranges")
        ends = ranges.get(rate) if isinstance(ranges, Mapping) else None
        known = tuple(finite(end) for end in ends) if isinstance(ends, list) else ()
        ends = tuple(end for end in known if end is not None and end > 0)
        return ends if len(ends) == 2 else ()

    @property
    def trials(self) -> list[Trial]:
        """Those that ended, in their order."""
        found = self.state.get("trials")
        trials = []
        for each in found if isinstance(found, list) else ():
            if not isinstance(each, Mapping):
                continue
            rates = {r: v for r in RATES if (v := finite(each.get(r))) is not None}
            value = None if each.get("state") == DIVERGED else finite(each.get("val"))
            best = each.get("number") == self.state.get("best")
            if value is not None or each.get("state") == DIVERGED:
                trials.append(Trial(rates, value, best))
        return trials

    @property
    def values(self) -> list[float]:
        """Figures of the trials that did not diverge."""
        return [trial.value for trial in self.trials if trial.value is not None]


def tunings(arms: Sequence[Arm]) -> list[Tuned]:
    """What was tuned, each once, in the order of the arms."""
    found = []
    for place, arm in enumerate(arms):
        seen = []
        for record in arm.records:
            state = record.get("tuning")
            if (
                isinstance(state, Mapping)
                and (state.get("fingerprint"), rates_of(record)) not in seen
            ):
                seen.append((state.get("fingerprint"), rates_of(record)))
                fold = "" if record.fold is None else f" fold={record.fold}"
                found.append(Tuned(f"{arm.label}{fold}", place, state))
    return found


def rates_of(record: Record) -> tuple[str, ...]:
    """The rates that a run had, as text."""
    return tuple(str(record.number("config", "trainer", rate)) for rate in RATES)


def found_for(record: Record) -> dict[str, str]:
    """What a study found for a run instead of being told, by full key: rates, and its epochs where
    arms have the same wall-clock. Empty where nothing was tuned."""
    tuned = record.items("tuning", "tuned")
    keys = [rate for rate in RATES if rate in tuned]
    keys += ["epochs"] if record.get("tuning", "design") == WALL_CLOCK else []
    found = {key: record.text("config", "trainer", key) for key in keys}
    return {f"trainer.{key}": value for key, value in found.items() if value is not None}


def design_words(arms: Sequence[Arm]) -> list[str]:
    """How arms were made alike, and how their rates were found; empty where none was tuned."""
    found = tunings(arms)
    if not found:
        return []
    lines = []
    of_time = [(arm, length) for arm in arms if (length := _length(arm)) is not None]
    if of_time:
        lines += _same_time(of_time)
    if any(tuned.state.get("design") != WALL_CLOCK for tuned in found):
        counts = {
            text
            for arm in arms
            for record in arm.records
            if record.get("tuning") and _length(arm) is None and (text := record.text("epochs"))
        }
        lines.append(
            f"Design: the same number of epochs for every arm ({', '.join(sorted(counts))})."
        )
    budgets = dict.fromkeys(_budget(tuned.state) for tuned in found)
    chosen = "; ".join(f"{tuned.label} {_spoken(tuned.rates)}" for tuned in found)
    lines.append(
        f"Rates were tuned for each arm on val, with one budget ({' and '.join(budgets)}); test "
        "had no part in it. That arms have unlike rates is no second question: each is compared "
        f"at the best that its budget found ({chosen})."
    )
    return lines


def _same_time(arms: Sequence[tuple[Arm, Mapping[str, Any]]]) -> list[str]:
    told = "; ".join(
        f"{arm.label} {_epochs(length.get('epochs'))}"
        + (f", {spent}" if (spent := _spent(arm)) else "")
        for arm, length in arms
    )
    aims = dict.fromkeys(
        f"{_epochs(length.get('reference_epochs'))} of {length.get('reference')}, about "
        f"{significant((finite(length.get('reference_seconds')) or 0.0) / 60)} min"
        for _, length in arms
    )
    ways = {str(length.get("timed_by")) for _, length in arms}
    how = "step and validation times" if ways == {"steps"} else "times of an epoch"
    return [
        f"Design: the same wall-clock for every arm, that of {' and '.join(aims)}. Epochs follow "
        f"from the {how} measured in the trials: {told}."
    ]


def _spent(arm: Arm) -> str | None:
    seconds = _fits(arm)
    return f"training {significant(fmean(seconds) / 60)} min" if seconds else None


def _fits(arm: Arm) -> list[float]:
    """Seconds of fit of the runs that were alone on the machine."""
    known = [r.number("time", "fit_s") for r in arm.records if not r.beside]
    return [seconds for seconds in known if seconds is not None]


def _length(arm: Arm) -> Mapping[str, Any] | None:
    """How long the arm's runs were made, where they have the time of a reference."""
    found = arm.first.get("tuning", "length")
    return found if isinstance(found, Mapping) else None


def _budget(state: Mapping[str, Any]) -> str:
    trials, minutes = state.get("trials_asked"), finite(state.get("minutes_asked"))
    parts = [f"{trials} trial{'' if trials == 1 else 's'}"] if trials is not None else []
    parts += [f"{minutes:g} min of training"] if minutes is not None else []
    most = "at most " if len(parts) == 2 else ""
    return f"{most}{' and '.join(parts)}, trials of {_epochs(state.get('epochs'))}"


def _epochs(count: object) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _spoken(rates: Mapping[str, float]) -> str:
    return " ".join(f"{rate}={value:g}" for rate, value in rates.items())


def tuning_warnings(arms: Sequence[Arm]) -> list[str]:
    """What to know before a tuned arm is believed to be at its best."""
    found = tunings(arms)
    lines = []
    untuned = [arm.label for arm in arms if not any(r.get("tuning") for r in arm.records)]
    if found and untuned:
        lines.append(
            f"The rates of {', '.join(untuned)} were not tuned, and those of the other arms were: "
            "a difference may come from that."
        )
    for tuned in found:
        lines += _doubts(tuned)
    for arm in arms:
        lines += _unlike_rates(arm)
    return lines + _missed_time(arms)


def _doubts(tuned: Tuned) -> list[str]:
    state, label = tuned.state, tuned.label
    if state.get("learned") is False:
        return [
            f"{label}: none of its {len(tuned.trials)} trials learned anything, so its rates are "
            "the configured ones; give the trials more epochs (tune.epochs)."
        ]
    lines = []
    if len(tuned.trials) == 1:
        lines.append(
            f"{label}: its budget had room for one trial, so its rates are the configured ones; "
            "raise tune.minutes or tune.trials, or lower tune.epochs."
        )
    edge = state.get("at_the_edge")
    for rate in edge if isinstance(edge, list) else ():
        if rate in RATES and rate in tuned.rates and (sought := tuned.sought(rate)):
            low, high = sought
            lines.append(
                f"{label}: the best {rate} found, {tuned.rates[rate]:g}, lies at the edge of what "
                f"was tried ({low:g} to {high:g}); a better one may lie beyond: raise tune.factor."
            )
    return lines


def _unlike_rates(arm: Arm) -> list[str]:
    """Seeds of one arm whose rates come from two tunings."""
    by_fold: dict[int | None, set[tuple[str, ...]]] = {}
    for record in arm.records:
        if record.get("tuning"):
            by_fold.setdefault(record.fold, set()).add(rates_of(record))
    if all(len(rates) == 1 for rates in by_fold.values()):
        return []
    return [
        f"{arm.label}: its runs have the rates of several tunings, so what its seeds differ by is "
        "not luck alone; delete the older runs and start the study again."
    ]


def _missed_time(arms: Sequence[Arm]) -> list[str]:
    """Arms whose fits are not of the length of the reference's, though the design says so."""
    times = {arm.label: fmean(fits) for arm in arms if _length(arm) and (fits := _fits(arm))}
    told = []
    for arm in arms:
        if arm.label not in times:
            continue
        # Beside other studies the reference may be called otherwise: then what is usual counts.
        reference = (_length(arm) or {}).get("reference")
        usual = times.get(str(reference), median(times.values()))
        miss = times[arm.label] / usual - 1 if usual > 0 else 0.0
        if abs(miss) > _APART:
            told.append(f"{arm.label} {'+' if miss > 0 else '−'}{abs(miss):.0%}")
    if not told:
        return []
    return [
        "The arms were to have the same wall-clock, and their fits missed that of the reference: "
        f"{', '.join(told)}. Either the machine was not as fast as in the trials, or an epoch was "
        "not what they timed."
    ]


def sensitivity_lines(arms: Sequence[Arm], quality: Quality) -> list[list[str]]:
    """Headings, then a line an arm: its trials, its rates, and what other rates would have cost."""
    name = f"val {quality.main.name}"
    lines = [
        ["arm", "trials", "min", *RATES, f"best {name}", "median", "lowest",
         "at the configured rates", f"within {NEAR:g} of the best"]
    ]  # fmt: skip
    for tuned in tunings(arms):
        values, trials = tuned.values, tuned.trials
        if not values:
            continue
        fell = len(trials) - len(values)
        near = sum(value >= max(values) - NEAR for value in values)
        first = trials[0].value
        minutes = (finite(tuned.state.get("seconds")) or 0.0) / 60
        lines.append(
            [
                tuned.label,
                f"{len(trials)}" + (f" ({fell} diverged)" if fell else ""),
                significant(minutes),
                *(_tried(tuned, rate) for rate in RATES),
                f"{max(values):.3f}",
                f"{median(values):.3f}",
                f"{min(values):.3f}",
                "diverged" if first is None else f"{first:.3f}",
                f"{near} of {len(trials)}",
            ]
        )
    return lines if len(lines) > 1 else []


def _tried(tuned: Tuned, rate: str) -> str:
    """The rate that was chosen, and below it those that were tried."""
    if rate not in tuned.rates:
        return "trains nothing"
    tried = [trial.rates[rate] for trial in tuned.trials if rate in trial.rates]
    between = f"\n{min(tried):g} to {max(tried):g}" if tried else ""
    return f"{tuned.rates[rate]:g}{between}"
