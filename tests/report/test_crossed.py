"""Simulated studies whose test pictures are a sample too; all bounds are binomial, as elsewhere."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from tests.report.helpers_report import make_record
from tlx.report.comparison import outcomes
from tlx.report.comparison.compare import compare
from tlx.report.comparison.recommend import TODAY, recommend
from tlx.report.comparison.records import Record
from tlx.report.comparison.statistics import crossed, paired
from tlx.report.comparison.statistics.contrast import Contrast

# Standard deviations of a seed's part and, of one picture, of its part and of the rest. A picture's
# part of .21 makes a difference over 50 pictures uncertain by .03.
NOISES = {"seeds": (0.02, 0.0, 0.0), "pictures": (0.0, 0.21, 0.1), "both": (0.02, 0.21, 0.2)}
QUIET = (0.01, 0.1, 0.25)


def drawn(
    rng: np.random.Generator, seeds: int, pictures: int, noise: str, true: float = 0.0
) -> tuple[Contrast, np.ndarray]:
    seed, picture, rest = QUIET if noise == "quiet" else NOISES[noise]
    parts = (
        true
        + rng.normal(0, seed, (seeds, 1))
        + rng.normal(0, picture, (1, pictures))
        + rng.normal(0, rest, (seeds, pictures))
    )
    gaps = parts.mean(1)
    return crossed(gaps, parts), gaps


def check(seeds: int, pictures: int, noise: str, studies: int) -> None:
    rng = np.random.default_rng(seeds * pictures)
    false = sum(drawn(rng, seeds, pictures, noise)[0].p <= 0.05 for _ in range(studies))
    assert false <= binom.ppf(0.999, studies, 0.05)


@pytest.mark.parametrize("noise", NOISES)
def test_few_studies_show_what_is_not_there(noise: str) -> None:
    check(3, 50, noise, 500)


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("pictures", [50, 200, 1000])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_rate_is_kept_over_the_whole_grid(seeds: int, pictures: int, noise: str) -> None:
    check(seeds, pictures, noise, 1000)


def test_the_rate_of_a_strict_level_is_kept() -> None:
    """At the first step of Holm's correction over three arms, with seeds of little spread."""
    rng, studies, level = np.random.default_rng(4), 6000, 0.05 / 3
    false = sum(drawn(rng, 3, 1000, "quiet")[0].p <= level for _ in range(studies))
    assert false <= binom.ppf(0.999, studies, level)


def test_seeds_alone_would_show_what_the_pictures_made() -> None:
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(500):
        alone = paired(drawn(rng, 5, 50, "both")[1])
        assert alone is not None
        false += alone.p <= 0.05
    assert false > 500 * 0.15


def test_one_seed_keeps_the_rate_of_its_pictures() -> None:
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(500):
        parts = rng.normal(0, 0.2, (1, 60))
        false += crossed(parts.mean(1), parts).p <= 0.05
    assert false <= binom.ppf(0.999, 500, 0.05)


def test_a_large_difference_is_found() -> None:
    rng = np.random.default_rng(3)
    shown = [drawn(rng, 5, 200, "both", 0.08)[0].p <= 0.05 for _ in range(300)]
    assert np.mean(shown) > 0.8


def test_the_parts_are_those_of_the_analysis_of_variance() -> None:
    parts = np.array([[0.1, 0.3], [0.2, 0.6]])
    found = crossed(parts.mean(1), parts)
    # Means of the seeds .2 and .4; of the pictures .15 and .45: mean square .09; of the rest .01
    assert found.seed_part == pytest.approx(0.02 / 2)
    assert found.picture_part == pytest.approx((0.09 - 0.01) / 4)
    assert found.se == pytest.approx(np.sqrt(0.03))
    assert found.df == pytest.approx(1.0)


def wrong(
    seeds: int, pictures: int, noise: str, studies: int, monkeypatch: pytest.MonkeyPatch
) -> int:
    """Studies that name a cheap arm which truly loses twice what is accepted, as advice or lean."""
    kept: dict[str, np.ndarray] = {}

    def stored(one: Sequence[Record], other: Sequence[Record], _: object) -> np.ndarray:
        return np.stack([kept[a.name] - kept[b.name] for a, b in zip(one, other, strict=True)])

    monkeypatch.setattr(outcomes, "gaps_by_picture", stored)
    module = importlib.import_module("tlx.report.comparison.compare")
    monkeypatch.setattr(module, "estimate", lambda _: None)  # its bootstrap takes long
    rng, count = np.random.default_rng(seeds * pictures), 0
    seed_sd, picture_sd, rest = NOISES[noise]
    for _ in range(studies):
        gaps = (
            rng.normal(-0.04, seed_sd, (seeds, 1))
            + rng.normal(0, picture_sd, (1, pictures))
            + rng.normal(0, rest, (seeds, pictures))
        )
        records = []
        for seed in range(seeds):
            for arm, values, minutes in (("none", gaps[seed] * 0, 30), ("all", gaps[seed], 10)):
                figure = float(np.clip(0.6 + values.mean(), 0.02, 1))
                time = {"fit_s": 60.0 * minutes, "test_s": 1.0}
                data = make_record(arm, seed, test_map_50=figure, time=time)
                records.append(Record(Path(arm), data))
                kept[records[-1].name] = values
        advice = recommend(compare(records))
        lean = any(line.startswith(f"{TODAY} freeze=all") for line in advice.words)
        count += advice.arm == "freeze=all" or lean
    return count


def test_leans_are_seldom_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wrong(3, 50, "both", 100, monkeypatch) <= binom.ppf(0.999, 100, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("pictures", [50, 200, 1000])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_leans_are_seldom_wrong_over_the_whole_grid(
    seeds: int, pictures: int, noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wrong(seeds, pictures, noise, 500, monkeypatch) <= 500 * 0.05
