"""The order of a study: every arm in every seed, drift cancelled, scratch as an arm."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from tests.conftest import Compose
from tlx.common.errors import ConfigError
from tlx.config.check import check_config, conf_dir
from tlx.study.order import arrange, balanced_orders
from tlx.study.progress import Planned, planned, progress_line, seconds_left, spoken
from tlx.study.sweeper import StudySweeper


def jobs(*arguments: str, batch: int | None = None) -> list[list[str]]:
    """The jobs of a command line, in order."""
    parsed = OverridesParser.create().parse_overrides(list(arguments))
    return list(itertools.chain(*StudySweeper.split_arguments(parsed, batch)))


@pytest.mark.parametrize(
    ("arms", "blocks"), itertools.product(range(1, 9), range(2, 8)), ids=lambda n: str(n)
)
def test_linear_drift_cancels(arms: int, blocks: int) -> None:
    """Runs of equal length on a machine that slows down steadily: arms' mean times are equal."""
    orders = balanced_orders(arms, blocks)
    assert all(sorted(order) == list(range(arms)) for order in orders)
    assert len(orders) == blocks
    sequence = [arm for order in orders for arm in order]
    sums = [sum(when for when, who in enumerate(sequence) if who == arm) for arm in range(arms)]
    # Whole numbers of places: no order is exact where the total cannot be shared out evenly.
    exact = blocks * (arms - 1) % 2 == 0
    assert max(sums) - min(sums) == (0 if exact else 1)


def test_more_seeds_keep_the_order_of_those_before() -> None:
    assert balanced_orders(5, 7)[:5] == balanced_orders(5, 5)
    assert balanced_orders(4, 6)[:4] == balanced_orders(4, 4)


def test_arms_run_side_by_side_within_each_seed() -> None:
    found = jobs("seed=0,1,2", "freeze=none,4,8,all,scratch", "trainer.epochs=3")
    seeds = [next(o for o in job if o.startswith("seed=")) for job in found]
    assert seeds == ["seed=0"] * 5 + ["seed=1"] * 5 + ["seed=2"] * 5
    blocks = [{tuple(sorted(set(job) - {seed})) for job, seed in zip(found, seeds, strict=True)
               if seed == f"seed={i}"} for i in range(3)]  # fmt: skip
    assert len(blocks[0]) == 5
    assert blocks[0] == blocks[1] == blocks[2]


def test_ranges_choices_and_policies_are_arms_too() -> None:
    found = jobs("freeze=range(0,9,4)", "policy=choice(fixed,two_phase)", "seed=range(2)")
    assert len(found) == 3 * 2 * 2
    first, second = found[:6], found[6:]
    assert all("seed=0" in job for job in first)
    assert [job[:2] for job in second] == [job[:2] for job in reversed(first)]


def test_what_cannot_be_compared_is_balanced_apart() -> None:
    found = jobs("freeze=4,8", "seed=0,1", "data=guns,ppe")
    assert [job[2] for job in found] == ["data=guns"] * 4 + ["data=ppe"] * 4
    assert [job[0] for job in found[:4]] == ["freeze=4", "freeze=8", "freeze=8", "freeze=4"]
    assert [job[:2] for job in found[4:]] == [job[:2] for job in found[:4]]


def test_batches_and_single_jobs() -> None:
    assert jobs("freeze=4,8", "seed=0,1", batch=3) == jobs("freeze=4,8", "seed=0,1")
    assert jobs("trainer.epochs=2") == [["trainer.epochs=2"]]
    assert arrange([[]]) == [[]]


def test_scratch_is_spelled_out_once() -> None:
    assert jobs("freeze=scratch", "seed=3") == [
        ["seed=3", "freeze=none", "backbone.weights=scratch"]
    ]
    for key in ("backbone.weights", "weights"):
        found = jobs("freeze=none,'scratch'", f"{key}=a.pth,b.pth")
        assert set(map(frozenset, found)) == {
            frozenset((f"{key}=a.pth", "freeze=none")),
            frozenset((f"{key}=b.pth", "freeze=none")),
            frozenset(("backbone.weights=scratch", "freeze=none")),
        }
        assert len(found) == 3


def test_scratch_outside_a_sweep_says_what_to_write(compose_config: Compose) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.weights=scratch"):
        check_config(compose_config("freeze=scratch"))


def test_the_study_experiment_is_four_policies_and_scratch_by_three_seeds() -> None:
    file = OmegaConf.load(conf_dir() / "experiment" / "freeze_study.yaml")
    found = jobs(*(f"{key}={value}" for key, value in file.hydra.sweeper.params.items()))
    assert len(found) == len({tuple(sorted(job)) for job in found}) == 15
    assert sum("backbone.weights=scratch" in job for job in found) == 3


def run_of(folder: Path, arm: str, seed: int, **record: Any) -> Planned:
    """A planned run, with a record where there is something to record."""
    target = folder / f"{arm}-{seed}"
    target.mkdir()
    if record:
        (target / "record.json").write_text(json.dumps(record))
    return Planned(f"freeze={arm}", seed, target)


def test_progress_counts_and_forecasts_from_finished_runs(tmp_path: Path) -> None:
    plan = [
        run_of(tmp_path, "4", 0, status="finished", time={"fit_s": 1200.0, "test_s": 0.0}),
        run_of(tmp_path, "8", 0, status="finished", time={"fit_s": 500.0, "test_s": 100.0}),
        run_of(tmp_path, "8", 1, status="interrupted", time={"fit_s": 240.0}),
        run_of(tmp_path, "4", 1),
        run_of(tmp_path, "none", 1),
    ]
    # 8: 600 - 240 s; 4: 1200 s; none is unknown: the mean of all finished, 900 s
    assert progress_line(plan, 2) == ("run 3 of 5, freeze=8 seed=1, 2 finished, about 41 min left")
    assert progress_line(plan, 0) is None
    records = [{"status": "running", "time": None}] * 5
    assert seconds_left(plan, records) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "under a minute left"), (150, "about 2 min left"), (4 * 3600, "about 4.0 h left")],
)
def test_forecasts_are_coarse(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


@pytest.mark.parametrize(
    ("override", "arm"),
    [
        ("freeze=4", "freeze=4"),
        ("backbone.weights=scratch", "scratch"),
        ("policy=two_phase freeze=8", "freeze=8 two_phase"),
        ("policy=auto", "freeze=auto"),
    ],
)
def test_runs_are_named_as_a_reader_knows_them(
    override: str, arm: str, compose_config: Compose
) -> None:
    (run,) = planned([(compose_config(*override.split()), Path())])
    assert run.arm == arm


def test_folds_are_blocks_as_seeds_are() -> None:
    found = jobs("freeze=none,8", "data.folds=3", "data.fold=0,1,2", "seed=0,1", "data=guns")
    blocks = [
        tuple(sorted(o for o in job if o.startswith(("seed=", "data.fold=")))) for job in found
    ]
    assert blocks == [block for block in dict.fromkeys(blocks) for _ in range(2)]
    assert len(set(blocks)) == 6
    first = [next(o for o in job if o.startswith("freeze=")) for job in found[::2]]
    assert first.count("freeze=none") == first.count("freeze=8") == 3
