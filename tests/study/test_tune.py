"""The tuning of an arm's rates: its budget, its trials after a kill, and what it chooses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tlx.study.tune
from tests.conftest import Compose
from tests.study.helpers_tuning import BEST, ShortRuns
from tlx.common.errors import ConfigError, DivergenceError, ToolError
from tlx.study.fair import Arm, arms_of, found, tune
from tlx.study.tune import Tuning

pytest.importorskip("optuna", reason="needs the extra `tuning`")


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> ShortRuns:
    runs = ShortRuns()
    monkeypatch.setattr(tlx.study.tune, "short_run", runs)
    return runs


def jobs(make: Compose, folder: Path, *overrides: str, freeze: str = "4", seeds: int = 1) -> Any:
    return [
        (make(f"freeze={depth}", f"seed={seed}", *overrides), folder / f"{depth}-{seed}")
        for seed in range(seeds)
        for depth in freeze.split(",")
    ]


def tuned(make: Compose, folder: Path, *overrides: str, **more: Any) -> list[Arm]:
    arms = arms_of(jobs(make, folder, *overrides, **more))
    tune(arms)
    return arms


def test_every_arm_has_its_budget_and_what_trains_nothing_is_not_tuned(
    tiny_config: Compose, tmp_path: Path, short_runs: ShortRuns
) -> None:
    arms = tuned(tiny_config, tmp_path, "tune.trials=6", "trainer.epochs=8", freeze="4,all",
                 seeds=2)  # fmt: skip
    four, every = (arm.tuning.state for arm in arms)
    assert [arm.jobs for arm in arms] == [(0, 2), (1, 3)]
    assert len(four["trials"]) == len(every["trials"]) == 6
    # Side by side: all first trials, then the second ones the other way round.
    assert [str(job.freeze) for job in short_runs.made[:4]] == ["4", "all", "all", "4"]
    assert {(job.seed, job.trainer.epochs, job.tune.asked) for job in short_runs.made} == {
        (1000, 2, False)
    }
    first = four["trials"][0]
    assert (first["base_lr"], first["head_lr"]) == (0.001, 0.003), "the configured ones"
    assert (four["tuned"], every["tuned"]) == (["base_lr", "head_lr"], ["head_lr"])
    assert {trial["base_lr"] for trial in every["trials"]} == {0.001}
    best = max(four["trials"], key=lambda trial: trial["val"])
    assert four["rates"] == {rate: best[rate] for rate in ("base_lr", "head_lr")}
    assert four["best"] == best["number"]
    assert abs(best["head_lr"] - BEST) < abs(0.03 - BEST)
    told = found(arms)
    assert told[0] == told[2]
    assert told[1].overrides == [f"trainer.head_lr={every['rates']['head_lr']!r}"]
    assert (told[1].tuning["design"], told[1].tuning["length"]) == ("epochs", None)
    assert json.loads((arms[0].tuning.folder / "tuning.json").read_text()) == four


@pytest.mark.parametrize("stop_at", range(8))
def test_a_tuning_that_was_stopped_goes_on_with_the_same_trials(
    stop_at: int, tiny_config: Compose, tmp_path: Path, short_runs: ShortRuns
) -> None:
    more: Any = {"freeze": "4,all"}
    undisturbed = tuned(tiny_config, tmp_path / "one", "tune.trials=4", **more)
    rates = short_runs.rates
    short_runs.made.clear()
    short_runs.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        tuned(tiny_config, tmp_path / "two", "tune.trials=4", **more)
    assert len(short_runs.made) == stop_at
    again = tuned(tiny_config, tmp_path / "two", "tune.trials=4", **more)
    assert sorted(short_runs.rates) == sorted(rates), "no trial is made twice, and none is another"
    assert [a.tuning.state for a in again] == [a.tuning.state for a in undisturbed]
    short_runs.made.clear()
    stands = tuned(tiny_config, tmp_path / "two", "tune.trials=4", **more)
    assert not short_runs.made
    assert [arm.tuning.state for arm in stands] == [arm.tuning.state for arm in undisturbed]


@pytest.mark.parametrize(("minutes", "count"), [("0.1", 1), ("3", 3), ("3.9", 3), ("4", 4)])
def test_no_trial_begins_that_the_minutes_have_no_room_for(
    minutes: str, count: int, tiny_config: Compose, tmp_path: Path, short_runs: ShortRuns
) -> None:
    [arm] = tuned(tiny_config, tmp_path, f"tune.minutes={minutes}")
    assert len(short_runs.made) == count
    assert arm.tuning.state["seconds"] == 60 * count


def test_both_designs_share_their_trials(
    tiny_config: Compose, tmp_path: Path, short_runs: ShortRuns
) -> None:
    both = [
        (cfg, folder)
        for design in ("epochs", "wall_clock")
        for cfg, folder in jobs(tiny_config, tmp_path, "tune.trials=3", f"tune.design={design}")
    ]
    arms = arms_of(both)
    tune(arms)
    assert len(arms) == 2
    assert len(short_runs.made) == 3
    assert {tuple(arm.tuning.state["rates"].values()) for arm in arms} == {
        tuple(arms[0].tuning.state["rates"].values())
    }


def test_a_loss_that_diverges_is_no_rate_to_take(
    tiny_config: Compose, tmp_path: Path, short_runs: ShortRuns
) -> None:
    short_runs.figure = lambda job: None if job.trainer.head_lr >= 0.003 else 0.4
    [arm] = tuned(tiny_config, tmp_path, "tune.trials=8")
    states = {trial["state"] for trial in arm.tuning.state["trials"]}
    assert states == {"diverged", "finished"}
    assert arm.tuning.state["rates"]["head_lr"] < 0.003
    short_runs.figure = lambda job: None
    with pytest.raises(DivergenceError, match="every trial of freeze=8"):
        tuned(tiny_config, tmp_path / "other", "tune.trials=2", freeze="8")


def test_where_nothing_learned_the_configured_rates_stay(
    tiny_config: Compose, tmp_path: Path, short_runs: ShortRuns
) -> None:
    short_runs.figure = lambda job: 0.001 if job.trainer.head_lr == 0.003 else 0.002
    [arm] = tuned(tiny_config, tmp_path, "tune.trials=3")
    assert arm.tuning.state["learned"] is False
    assert arm.tuning.state["rates"] == {"base_lr": 0.001, "head_lr": 0.003}


def test_a_best_rate_at_the_end_of_the_range_is_noted(
    tiny_config: Compose, tmp_path: Path, short_runs: ShortRuns
) -> None:
    short_runs.figure = lambda job: min(0.9, 20 * job.trainer.head_lr)
    [arm] = tuned(tiny_config, tmp_path, "tune.trials=12", "tune.factor=1.5")
    assert "head_lr" in arm.tuning.state["at_the_edge"]


@pytest.mark.parametrize(
    ("key", "values", "told"),
    [
        ("trainer.head_lr", (0.01, 0.02), "trainer.head_lr=0.01,0.02.*finds it for each arm"),
        ("trainer.base_lr", (0.01, 0.02), "trainer.base_lr=0.01,0.02"),
        ("trainer.epochs", (4, 6), "trainer.epochs=4,6.*gives all arms one length"),
    ],
)
def test_what_the_study_finds_is_not_swept(
    key: str, values: Any, told: str, tiny_config: Compose, tmp_path: Path
) -> None:
    swept = [
        each
        for value in values
        for each in jobs(tiny_config, tmp_path, "tune.trials=2", f"{key}={value}")
    ]
    with pytest.raises(ConfigError, match=told):
        arms_of(swept)


def test_a_trial_that_could_not_begin_is_refused_at_once(
    tiny_config: Compose, tmp_path: Path
) -> None:
    short = jobs(tiny_config, tmp_path, "tune.trials=2", "tune.epochs=1", "trainer.epochs=9",
                 "policy=two_phase", "policy.unfreeze_at=3")  # fmt: skip
    with pytest.raises(ConfigError, match=r"1 epochs \(tune\.epochs\)"):
        arms_of(short)


def test_without_optuna_nothing_begins(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ToolError, match=r"tlx-detect\[tuning\]"):
        arms_of(jobs(tiny_config, tmp_path, "tune.trials=2"))
    assert not list(tmp_path.rglob("tuning.json"))


def test_other_data_between_trials_is_refused(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Changing(ShortRuns):
        def __call__(self, job: Any, folder: Path, *more: Any) -> Any:
            count = len(self.made)
            split = {"images": 5 + count, "pictures": "a", "boxes": "b"}
            return super().__call__(job, folder, *more) | {
                "dataset": {"classes": ["a"], "splits": {"val": split}}
            }

    monkeypatch.setattr("tlx.study.tune.short_run", Changing())
    tuning = Tuning(tiny_config("tune.trials=3"), tmp_path, "freeze=none")
    tuning.step()
    with pytest.raises(Exception, match="val had 5 pictures and has 6"):
        tuning.step()
