"""The tuning of one arm's learning rates: short runs, judged on val, within a budget.

An arm that trains more of the network wants other rates than one that trains little, so that arms
which share their rates are not compared at their best (Choi et al. 2019, arXiv:1910.05446; Dodge et
al. 2019, arXiv:1909.03004). The first trial has the configured rates.
"""

from __future__ import annotations

import copy
import csv
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlx.common.errors import DivergenceError
from tlx.common.files import write_json
from tlx.config.identity import fingerprint, run_label
from tlx.config.schema import DESIGNS, RunConfig, TuneConfig
from tlx.config.typed import plain
from tlx.records.learned import learned
from tlx.records.quality import Figure, quality_of
from tlx.records.record import Record, new_record
from tlx.records.tuning import DIVERGED, FINISHED, RATES, RUNNING, TUNING, read_tuning
from tlx.study import sampler
from tlx.study.short_run import diverged, fit_seconds, shared_dataset, short_run, shortened
from tlx.study.wall_clock import parts_of_an_epoch

log = logging.getLogger(__name__)

_SHARE = 4  # a trial's epochs: this part of the run's
_EDGE = 0.05  # of a range: a rate as near to its end may be better beyond it
Trial = dict[str, Any]


class Tuning:
    """The trials of an arm, in a folder of the study; its file says all that is known of them.

    Attributes:
        label: what the arm is called. cfg: that of its runs, with the seed of the trials.
        state: what `tuning.json` holds (docs/record.md).
    """

    def __init__(self, cfg: RunConfig, root: Path, label: str) -> None:
        """Take up what there is of the trials.

        Args:
            cfg: of any run of the arm.
            root: the study's folder of tunings.
        """
        self.label = label
        self.cfg = copy.deepcopy(cfg)
        self.cfg.seed = cfg.tune.seed
        self.cfg.tune.design = DESIGNS[0]  # whose trials are the same
        self.folder = root / run_label(plain(self.cfg))
        self.figure: Figure = quality_of(new_record(plain(self.cfg))).main
        self.reload()

    def reload(self) -> None:
        """Take up what the file says; where it says nothing of this arm, begin anew."""
        mark = fingerprint(plain(self.cfg))
        known = read_tuning(self.folder)
        fresh = known is None or known.get("fingerprint") != mark
        self.state: dict[str, Any] = self._new(mark) if fresh or known is None else known

    def _new(self, mark: str) -> dict[str, Any]:
        tune = self.cfg.tune
        return {
            "version": 1,
            "arm": self.label,
            "fingerprint": mark,
            "status": RUNNING,
            "trials_asked": tune.trials,
            "minutes_asked": tune.minutes,
            "epochs": self.epochs,
            "seed": tune.seed,
            "figure": self.figure.key,
            "method": sampler.method(),
            "tuned": list(self._ranges()),
            "ranges": {rate: [each.low, each.high] for rate, each in self._ranges().items()},
            "trials": [],
            "best": None,
            "rates": None,
            "seconds": 0.0,
            "learned": None,
            "at_the_edge": [],
            "dataset": None,
        }

    @property
    def epochs(self) -> int:
        """Of a trial."""
        return self.cfg.tune.epochs or math.ceil(self.cfg.trainer.epochs / _SHARE)

    @property
    def finished(self) -> bool:
        """Whether the rates are chosen; they stand."""
        return bool(self.state["status"] == FINISHED)

    def trial(self, rates: dict[str, float]) -> RunConfig:
        """The configuration of a trial: an ordinary short run."""
        job = shortened(self.cfg, self.cfg.tune.seed, self.epochs)
        for rate, value in rates.items():
            setattr(job.trainer, rate, value)
        job.tune = TuneConfig()
        return job

    def step(self) -> None:
        """Make the next trial, or go on with the one that was stopped; choose behind the last.

        Raises:
            DataError: val holds no object, or the data changed between trials.
            DivergenceError: every trial diverged.
            Interrupted: a stop was asked for.
            TlxError: a trial failed.
        """
        trials: list[Trial] = self.state["trials"]
        if not trials or trials[-1]["state"] != RUNNING:
            if not self._room():
                self._choose()
                return
            trials.append({"number": len(trials), "state": RUNNING, **self._next_rates()})
            self._save()
        trial = trials[-1]
        job = self.trial({rate: trial[rate] for rate in RATES})
        log.info("tuning %s, trial %d%s: %s", self.label, trial["number"] + 1, self._of(),
                 spoken_rates(trial, self.state["tuned"]))  # fmt: skip
        folder = self.folder / f"trial-{trial['number']:02d}-{fingerprint(plain(job))[:6]}"
        trial["run"] = folder.name
        record = short_run(job, folder, self.figure, "trial")
        self._note(trial, record, folder)
        self._save()
        if not self._room():
            self._choose()

    def _of(self) -> str:
        tune = self.cfg.tune
        count = f" of {tune.trials}" if tune.trials is not None else ""
        spent = self.state["seconds"] / 60
        return count if tune.minutes is None else f"{count}, {spent:.1f} of {tune.minutes:g} min"

    def _room(self) -> bool:
        """Whether the budget has room for a trial as long as the longest so far.

        None is cut short: what it would have reached is not known. The first one always has room.
        """
        tune, trials = self.cfg.tune, self.state["trials"]
        if tune.trials is not None and len(trials) >= tune.trials:
            return False
        if tune.minutes is None or not trials:
            return True
        longest = max(float(trial["seconds"]) for trial in trials)
        return bool(self.state["seconds"] + longest <= 60 * tune.minutes)

    def _ranges(self) -> dict[str, sampler.Range]:
        """Of each rate above 0; one that is 0 is meant."""
        given = {rate: float(getattr(self.cfg.trainer, rate)) for rate in RATES}
        factor = self.cfg.tune.factor
        return {k: sampler.Range.around(rate, factor) for k, rate in given.items() if rate > 0}

    def _next_rates(self) -> dict[str, float]:
        given = {rate: float(getattr(self.cfg.trainer, rate)) for rate in RATES}
        trials = self.state["trials"]
        if not trials:
            return given
        tuned = self.state["tuned"]
        tried = [sampler.Tried({r: t[r] for r in tuned}, t["val"]) for t in trials]
        ranges = {rate: each for rate, each in self._ranges().items() if rate in tuned}
        return given | sampler.ask(tried, ranges, self.cfg.tune.seed)

    def _note(self, trial: Trial, record: Record, folder: Path) -> None:
        """Enter how a trial ended."""
        fell = diverged(record)
        trial["state"] = DIVERGED if fell else FINISHED
        trial["val"] = None if fell else float(record["best"][self.figure.key])
        trial["learned"] = False if fell else learned(record) is not False
        trial["seconds"] = fit_seconds(record)
        trial |= {} if fell else parts_of_an_epoch(record, self.figure.key)
        told = "diverged" if fell else f"val {self.figure.name} {trial['val']:.3f}"
        log.info("tuning %s: %s", self.label, told)
        trial["dataset"] = record.get("dataset")
        trials: list[Trial] = self.state["trials"]
        summaries = [each.get("dataset") for each in trials]
        self.state["dataset"] = shared_dataset(summaries, self.folder, "tuning")
        self.state["seconds"] = sum(each["seconds"] for each in trials)
        trained = _rates_with_parameters(folder / "metrics.csv")
        if trained:  # of a frozen backbone the base rate is of nothing
            self.state["tuned"] = [rate for rate in self._ranges() if rate in trained]

    def _choose(self) -> None:
        """The rates of the best trial on val, of equals the earlier; the first if none learned."""
        state = self.state
        ended = [trial for trial in state["trials"] if trial["val"] is not None]
        if not ended:
            raise DivergenceError(
                f"the loss diverged in every trial of {self.label}: lower trainer.base_lr and "
                "trainer.head_lr, or set trainer.clip_norm"
            )
        state["learned"] = any(trial["learned"] for trial in ended)
        best = max(ended, key=lambda trial: trial["val"]) if state["learned"] else ended[0]
        state["rates"] = {rate: best[rate] for rate in state["tuned"]}
        state["best"] = best["number"]
        state["ranges"] = {rate: state["ranges"][rate] for rate in state["tuned"]}
        state["at_the_edge"] = [
            rate
            for rate in state["tuned"]
            if state["learned"] and _at_the_edge(best[rate], *state["ranges"][rate])
        ]
        for trial in state["trials"]:
            trial.pop("dataset", None)  # they share that of the whole
        state["status"] = FINISHED
        self._save()
        log.info("tuned: %s: %s", self.label, spoken_rates(best, state["tuned"]))

    def _save(self) -> None:
        write_json(self.folder / TUNING, self.state)


def spoken_rates(trial: Trial, rates: Sequence[str]) -> str:
    """`base_lr=0.001 head_lr=0.003`."""
    return " ".join(f"{rate}={trial[rate]:g}" for rate in rates)


def _at_the_edge(rate: float, low: float, high: float) -> bool:
    place = math.log(rate / low) / math.log(high / low)
    return not _EDGE < place < 1 - _EDGE


def _rates_with_parameters(metrics: Path) -> set[str]:
    """The rates that had something to train, by a run's metrics; none where no step is noted."""
    try:
        with metrics.open(newline="", encoding="utf-8") as file:
            row = next((row for row in csv.DictReader(file) if row.get("loss")), {})
    except OSError:
        return set()
    columns = {"base_lr": "lr_base", "head_lr": "lr_head"}
    return {rate for rate, column in columns.items() if row.get(column)}
