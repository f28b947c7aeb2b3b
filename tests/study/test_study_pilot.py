"""`policy=auto`: the pilot's runs, its resumption, and its choice where one depth is best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tlx.study.pilot
from tests.conftest import Compose
from tlx.common.errors import ConfigError, TlxError
from tlx.records.pilot import read_decision
from tlx.records.record import Record
from tlx.report import load_records
from tlx.study.pilot import start
from tlx.training.run import run


def scored(monkeypatch: pytest.MonkeyPatch, scores: dict[str, list[float | None]]) -> list[str]:
    """Let pilot runs end with these scores instead of training; returns the list of runs made."""
    made: list[str] = []

    def fake(job: Any, folder: Path, *_: Any) -> Record:
        made.append(f"{job.freeze} {job.seed} {job.trainer.epochs}")
        score = scores[str(job.freeze)][job.seed]
        error = {"type": "DivergenceError"} if score is None else None
        return {"error": error, "best": {"map": score}, "time": {"fit_s": 1.0}}

    monkeypatch.setattr(tlx.study.pilot, "short_run", fake)
    return made


def test_halving_doubles_the_epochs_of_the_better_half(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scored(monkeypatch, {"none": [0.1, 0.2], "4": [0.5, 0.6], "8": [0.4, 0.5],
                                "all": [None, 0.0]})  # fmt: skip
    cfg = tiny_config("policy=auto", "trainer.epochs=41")
    decision = tlx.study.pilot.pilot(cfg, tmp_path)
    # a twentieth of 41 epochs, rounded up, is 3; then twice as many
    assert made == [
        *(f"{depth} {seed} 3" for seed in (0, 1) for depth in ("none", "4", "8", "all")),
        *(f"{depth} {seed} 6" for seed in (0, 1) for depth in ("4", "8")),
    ]
    assert (decision["choice"], decision["told"]) == ("4", True)
    assert decision["rungs"][0]["scores"]["all"] is None
    assert json.loads((tmp_path / "pilot.json").read_text()) == decision
    made.clear()
    assert tlx.study.pilot.pilot(cfg, tmp_path) == decision
    assert not made, "a decision stands"


def test_no_depth_is_put_out_while_nothing_has_learned(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of zeros the deeper half would go on, and the best depth be out before it found anything."""
    made: list[int] = []

    def late(job: Any, folder: Path, *_: Any) -> Record:
        made.append(job.trainer.epochs)
        score = {"none": 0.5, "4": 0.4, "8": 0.2, "all": 0.1}[str(job.freeze)]
        found = score + 0.01 * job.seed if job.trainer.epochs > 1 else 0.0
        return {"error": None, "best": {"map": found}, "time": {"fit_s": 1.0}}

    monkeypatch.setattr(tlx.study.pilot, "short_run", late)
    decision = tlx.study.pilot.pilot(tiny_config("policy=auto", "trainer.epochs=10"), tmp_path)
    assert decision["choice"] == "none"
    assert made == [1] * 8 + [2] * 8 + [4] * 4


def test_a_pilot_that_never_learns_stops_at_a_quarter_of_the_run(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scored(monkeypatch, {depth: [0.0, 0.0] for depth in ("none", "4", "8", "all")})
    decision = tlx.study.pilot.pilot(tiny_config("policy=auto", "trainer.epochs=18"), tmp_path)
    assert decision["choice"] == "none"
    assert "nothing has learned" in decision["words"]
    assert {int(run.split()[-1]) for run in made} == {1, 2, 4}


def test_a_pilot_where_every_depth_diverges_says_so(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(monkeypatch, {depth: [None, None] for depth in ("none", "4", "8", "all")})
    with pytest.raises(TlxError, match="diverged at every depth"):
        tlx.study.pilot.pilot(tiny_config("policy=auto"), tmp_path)


def test_a_run_without_its_pilot_is_refused(tiny_config: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pilot"):
        run(tiny_config("policy=auto"), tmp_path)
    with pytest.raises(ConfigError, match="random weights"):
        start(tiny_config("policy=auto", "backbone.weights=scratch"), tmp_path)


def test_a_pilot_of_real_runs_leads_to_an_ordinary_run(
    tiny_config: Compose, tmp_path: Path
) -> None:
    cfg = tiny_config("policy=auto", "policy.depths=[4,8]", "trainer.epochs=1")
    record = start(cfg, tmp_path)
    decision = read_decision(tmp_path)
    assert record["pilot"] == decision is not None
    assert record["freeze"] == decision["choice"]
    assert (record["policy"], record["status"], record["test"]["images"]) == (
        "fixed",
        "finished",
        6,
    )
    pilots = [json.loads(p.read_text()) for p in (tmp_path / "pilot").glob("*/record.json")]
    assert sorted((p["freeze"], p["seed"]) for p in pilots) == [
        ("4", 0), ("4", 1), ("8", 0), ("8", 1),
    ]  # fmt: skip
    for pilot in pilots:
        assert (pilot["status"], pilot["test"], pilot["epochs"]) == ("finished", None, 1)
        assert pilot["best"]["map"] in decision["rungs"][0]["scores"][pilot["freeze"]]
    assert not list((tmp_path / "pilot").rglob("*.ckpt"))
    assert not list((tmp_path / "pilot").rglob("test.json")), "the test split was looked at"
    assert [r.name for r in load_records([tmp_path]).records] == [record["name"]]
    assert len(load_records([tmp_path / "pilot"]).records) == 4
