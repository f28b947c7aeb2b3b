"""The arm that is named for given limits, and the cases in which none is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import t

from tests.report.helpers_report import compared, make_record
from tlx.common.errors import ConfigError
from tlx.report.__main__ import main, parser
from tlx.report.comparison.candidates import Limits
from tlx.report.comparison.compare import Comparison
from tlx.report.comparison.recommend import recommend
from tlx.report.comparison.recommendation import Recommendation
from tlx.report.comparison.verdict import verdict
from tlx.report.factors import analyse
from tlx.report.page.first_screen import answer_of

SEEDS = (0.0, 0.03, 0.015)


def arm(freeze: str, minutes: float, level: float, *, noise: float = 0.002, **changes: Any) -> list:  # type: ignore[type-arg]
    """Three runs; the seed moves all arms alike, `noise` each a little on its own."""
    own = [noise, -noise, 0.0] if freeze == "none" else [-noise, 0.0, noise]
    return [
        make_record(
            freeze,
            seed,
            test_map_50=level + SEEDS[seed] + own[seed],
            time={"fit_s": 60 * minutes, "test_s": 1.0},
            **changes,
        )
        for seed in range(3)
    ]


@pytest.fixture
def study(tmp_path: Path) -> Comparison:
    """`none` is best by 0.005 over `4` and by 0.1 over `all`; each is cheaper than the last."""
    large = {"peak_rss_bytes": 4 * 10**9, "peak_device_bytes": None}
    return compared(
        tmp_path,
        *arm("none", 30, 0.705, memory=large),
        *arm("4", 20, 0.700),
        *arm("all", 10, 0.605),
    )


def said(advice: Recommendation) -> str:
    return " ".join(advice.words)


def test_the_cheapest_arm_with_a_small_loss_is_taken(study: Comparison) -> None:
    advice = recommend(study, Limits(accepted_loss=0.02))
    assert advice.arm == "freeze=4"
    assert "shortest training (20.0 min)" in advice.words[0]
    assert "differs from that of freeze=none, the best arm, by −0.005 (95 % interval" in said(
        advice
    )
    assert "over 3 seeds" in advice.words[1]
    assert advice.words[-1].startswith("Doubt: ")
    assert "which a loss above 0.02 is part of" in advice.refused["freeze=all"]
    assert "takes longer" in advice.refused["freeze=none"]
    assert json.dumps(advice.as_dict(), allow_nan=False)


def test_a_larger_accepted_loss_buys_a_cheaper_arm(study: Comparison) -> None:
    assert recommend(study, Limits(accepted_loss=0.15)).arm == "freeze=all"


def test_limits_exclude_before_the_loss_counts(study: Comparison) -> None:
    advice = recommend(study, Limits(train_minutes=15, accepted_loss=0.02))
    assert advice.arm is None
    assert advice.refused["freeze=4"] == "its training takes up to 20.0 min"
    assert advice.words[0].startswith("No arm can be recommended")
    assert recommend(study, Limits(train_minutes=15, accepted_loss=0.2)).arm == "freeze=all"
    tight = recommend(study, Limits(memory_gb=2, accepted_loss=0.0))
    assert "needs up to 4.00 GB (RSS)" in tight.refused["freeze=none"]
    nothing = recommend(study, Limits(train_minutes=1))
    assert nothing.words[0] == "No arm can be recommended: no arm keeps the limits."


def test_latency_counts_where_it_is_known(study: Comparison) -> None:
    limits = Limits(latency_ms=20, accepted_loss=0.02)
    unknown = recommend(study, limits)
    assert unknown.arm == "freeze=4"
    assert "its latency was not measured" in unknown.words[-1]
    known = recommend(study, limits, {"freeze=4": 25.0, "freeze=none": 15.0})
    assert known.refused["freeze=4"] == "a picture takes 25.0 ms"
    assert known.arm == "freeze=none"
    assert "latency" not in known.words[-1]


def test_one_seed_recommends_nothing(tmp_path: Path) -> None:
    study = compared(tmp_path, arm("none", 30, 0.7)[0], arm("4", 20, 0.7)[0])
    advice = recommend(study)
    assert advice.arm is None
    assert "one seed cannot bound its loss" in said(advice)
    assert "a lean from one seed" in said(advice), "of equal figures too"
    assert "with one seed an arm" in advice.words[0]
    assert "Next: 2 more seeds would give a first interval: about 100 min" in said(advice)
    assert "with seed=0,1,2" in said(advice)
    page = answer_of(study, advice, analyse(study))
    assert page.parts[-1].lines[0].startswith("Train every arm with about 2 more seeds: about 1")
    assert "would give a first interval" in page.parts[-1].lines[0]
    assert page.parts[-1].command == "seed=0,1,2"


def test_noise_recommends_nothing(tmp_path: Path) -> None:
    noisy = [*arm("none", 30, 0.71, noise=0.05), *arm("4", 20, 0.7, noise=0.05)]
    study = compared(tmp_path, *noisy, *arm("all", 10, 0.1, noise=0.01))  # cheap, and shown to lose
    advice = recommend(study)
    assert advice.arm is None
    assert "with 3 seeds an arm" in advice.words[0]
    assert "choose today, nothing speaks for an arm" in advice.words[1]
    assert advice.words[2].startswith("Next: ")


def test_what_settles_is_about_the_arm_that_leads(tmp_path: Path) -> None:
    """A distant arm with a narrow interval says nothing of how many seeds the leaders need."""
    noisy = [*arm("none", 30, 0.71, noise=0.02), *arm("4", 20, 0.7, noise=0.02)]
    words = recommend(compared(tmp_path, *noisy, *arm("all", 10, 0.1, noise=0.02))).words
    told = next(line for line in words if line.startswith("Next: "))
    # Gaps of -.04, .02 and .02 beside the mean: a standard deviation of .034641
    enough = next(n for n in range(4, 99) if t.isf(0.025, n - 1) * 0.034641 / n**0.5 <= 0.02)
    assert f"about {enough - 3} more seeds would most likely settle 0.02" in told


def test_a_lean_never_seems_to_lose_more_than_is_accepted(tmp_path: Path) -> None:
    """0.025 below the best, not shown to lose: too much to lean to it, however cheap it is."""
    noisy = arm("none", 30, 0.71, noise=0.012)
    advice = recommend(compared(tmp_path, *noisy, *arm("all", 10, 0.685, noise=0.012)))
    assert advice.arm is None
    assert not any(
        line.startswith("If you have to choose today, freeze=all") for line in advice.words
    )


def test_where_nothing_has_learned_no_arm_is_taken(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"test_map_50": 0.0, "best": {"map_50": 0.0}}
    records = [
        make_record(freeze, seed, **nothing) for freeze in ("none", "4", "all") for seed in range(3)
    ]
    study = compared(tmp_path, *records)
    advice = recommend(study)
    assert advice.arm is None
    assert advice.words[0].startswith("Nothing has learned")
    assert verdict(study)[0].startswith("Nothing has learned")


def test_an_arm_that_learned_nothing_is_not_taken(tmp_path: Path) -> None:
    idle = [make_record("all", s, test_map_50=0.0, best={"map_50": 0.0}) for s in range(3)]
    advice = recommend(compared(tmp_path, *arm("none", 30, 0.705), *arm("4", 20, 0.7), *idle))
    assert advice.arm == "freeze=4"
    assert advice.refused["freeze=all"] == "it has learned nothing"


def test_an_arm_whose_frozen_part_moved_is_no_candidate(tmp_path: Path) -> None:
    moved = make_record("4")["frozen"] | {"hash_after": "bb"}
    study = compared(tmp_path, *arm("none", 30, 0.7), *arm("4", 20, 0.7, frozen=moved))
    advice = recommend(study)
    assert advice.arm is None
    assert "freeze=none is the only arm that can be taken" in said(advice)
    assert advice.refused["freeze=4"] == "what it froze changed in training"


@pytest.mark.parametrize("limits", [{"train_minutes": -1.0}, {"accepted_loss": 2.0}])
def test_impossible_limits_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"train_minutes|accept_map_loss"):
        Limits(**limits)


def test_limits_survive_the_command_line(tmp_path: Path) -> None:
    given = Limits(train_minutes=15, latency_ms=20.5, accepted_loss=0.1)
    read = parser().parse_args(["runs", *given.as_arguments()])
    assert (read.train_minutes, read.memory_gb, read.latency_ms, read.accepted_loss) == (
        15.0, None, 20.5, 0.1,
    )  # fmt: skip
    assert Limits().as_arguments() == []


def test_the_report_carries_the_recommendation(
    study: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--accept-map-loss", "0.15"]) == 0
    data = json.loads((tmp_path / "report" / "report.json").read_text())
    assert data["recommendation"]["arm"] == "freeze=all"
    assert len(data["differences"]) == len(study.differences)
    assert data["estimates"]["freeze=4"]["test_map_50"]["n"] == 3
    text = (tmp_path / "report" / "report.md").read_text()
    assert "## Recommendation\n\n- Take freeze=all" in text
    assert "accept_map_loss=0.15" in text
    assert "| freeze=4 | freeze=none | test mAP@.5 | −0.005 (" in text
    low = study.estimates["freeze=4"]["test_map_50"].low
    assert f"| freeze=4 | 0.715<br>{low:.3f}–" in text
    assert "Take freeze=all" in " ".join(capsys.readouterr().out.split())
