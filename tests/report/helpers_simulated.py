"""Simulated studies that go through the report's own path, from detections to advice.

`python -m tests.report.helpers_simulated` prints the table of docs/statistics.md (see `--help`).

Every object is found or not by a logistic draw: its arm's level, a part of the run (the seed), a
part that the arm has of the picture whatever the seed, and the object's own ease, which all runs
share. So seeds and test pictures are both samples, and arms agree on most objects, as real ones do.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy.special import expit

from tests.report.helpers_report import make_record
from tlx.records.predictions import Found, ImagePredictions, Predictions, Truth, write_predictions
from tlx.records.predictions.influence import leaving_out
from tlx.report.comparison import by_picture
from tlx.report.comparison.compare import Comparison, compare
from tlx.report.comparison.differences import against_references
from tlx.report.comparison.levels import Levels
from tlx.report.comparison.measures import measures
from tlx.report.comparison.recommend import TODAY, Recommendation, recommend
from tlx.report.comparison.records import Record, load_records
from tlx.report.comparison.statistics import contrast
from tlx.report.comparison.verdict import verdict

MINUTES = {"scratch": 30.0, "none": 30.0, "4": 25.0, "8": 20.0, "all": 10.0}
BEST, SCRATCH = 0.6, 0.3  # mAP@.5 of arms that lose nothing, and of the baseline from scratch
EASE, FALSE_ALARMS, FLOOR = 8.0, 1.0, 0.05
STRETCH = np.array([0.0, 0, 4, 0])  # of a box that is found: an IoU of .83
_CALIBRATION = 60_000


@dataclass(frozen=True)
class Noise:
    """Standard deviations, as logits, of a run's part and of an arm's part of a picture."""

    seed: float
    picture: float


NOISES = {"seeds": Noise(0.4, 0.0), "pictures": Noise(0.0, 2.5), "both": Noise(0.4, 2.5)}
ALIKE: dict[str, float] = {}
TWO_LOSE = {"8": 0.04, "all": 0.04}  # twice what is accepted


@dataclass(frozen=True)
class Drawn:
    """Detections of a run: score, whether it is a hit, its picture, its object or -1; all [N]."""

    scores: np.ndarray
    hits: np.ndarray
    owner: np.ndarray
    thing: np.ndarray


@dataclass(frozen=True)
class Pictures:
    """Test pictures: how many objects each holds, [P], and the ease of every object, [O]."""

    objects: np.ndarray
    ease: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """The picture of every object, [O]."""
        return np.repeat(np.arange(len(self.objects)), self.objects)


def draw_pictures(rng: np.random.Generator, count: int) -> Pictures:
    objects = rng.integers(1, 3, count)
    return Pictures(objects, rng.normal(0, EASE, objects.sum()))


def detect(
    rng: np.random.Generator, pictures: Pictures, level: float | np.ndarray, of_arm: np.ndarray
) -> Drawn:
    """One run at a level; `of_arm` is the arm's own part of every picture, [P]."""
    logits = pictures.ease + (level + of_arm)[pictures.owner]
    thing = np.flatnonzero(rng.random(len(logits)) < expit(logits))
    count = len(pictures.objects)
    false = np.repeat(np.arange(count), rng.poisson(FALSE_ALARMS, count))
    centres = np.concatenate([logits[thing] / 2, np.full(len(false), -1.0)])
    scores = expit(centres + rng.normal(0, 1, len(centres)))
    owner = np.concatenate([pictures.owner[thing], false])
    hits = np.arange(len(scores)) < len(thing)
    thing = np.concatenate([thing, np.full(len(false), -1)])
    kept = scores >= FLOOR
    return Drawn(scores[kept], hits[kept], owner[kept], thing[kept])


def average_precision(drawn: Drawn, objects: int) -> float:
    """COCO's AP of all detections, written out apart from the program."""
    hits = drawn.hits[np.argsort(-drawn.scores, kind="stable")]
    found = np.cumsum(hits)
    envelope = np.maximum.accumulate((found / np.arange(1, len(hits) + 1))[::-1])[::-1]
    place = np.searchsorted(found / objects, np.linspace(0, 1, 101))
    return float(np.append(envelope, 0.0)[place].mean())


def level_of(figure: float, noise: Noise) -> float:
    """The level at which the mAP over all pictures and seeds is this figure."""
    levels, figures = _figures_of_levels(noise)
    return float(np.interp(figure, figures, levels))


@cache
def _figures_of_levels(noise: Noise) -> tuple[np.ndarray, list[float]]:
    levels, figures = np.linspace(-6, 8, 29), []
    for level in levels:
        rng = np.random.default_rng(0)  # the same draws at every level
        pictures = draw_pictures(rng, _CALIBRATION)
        # A seed of its own for every picture: the mean over seeds in one go.
        own = rng.normal(0, noise.picture, _CALIBRATION) + rng.normal(0, noise.seed, _CALIBRATION)
        drawn = detect(rng, pictures, level, own)
        figures.append(average_precision(drawn, int(pictures.objects.sum())))
    return levels, figures


@dataclass(frozen=True)
class Study:
    """The runs of a study, by arm and seed, on the same pictures."""

    pictures: Pictures
    runs: dict[tuple[str, int], Drawn]


def draw_study(
    rng: np.random.Generator, seeds: int, pictures: int, noise: Noise, losses: Mapping[str, float]
) -> Study:
    """All arms of `MINUTES`; `losses` of mAP by arm, 0 where an arm is not named."""
    test, runs = draw_pictures(rng, pictures), {}
    for arm in MINUTES:
        level = level_of(SCRATCH if arm == "scratch" else BEST - losses.get(arm, 0.0), noise)
        of_arm = rng.normal(0, noise.picture, pictures)
        for seed in range(seeds):
            runs[arm, seed] = detect(rng, test, level + rng.normal(0, noise.seed), of_arm)
    return Study(test, runs)


def record_of(arm: str, seed: int, figure: float, pictures: Pictures) -> dict[str, Any]:
    """The record of a run; series, which advice does not read, are left out."""
    weights = {"source": "scratch" if arm == "scratch" else "keras", "sha256": None}
    data = make_record(
        "none" if arm == "scratch" else arm,
        seed,
        name=f"{arm}-{seed}",
        fingerprint=f"{arm}-{seed}",
        weights=weights,
        time={"fit_s": 60 * MINUTES[arm], "test_s": 1.0},
    )
    for series in ("loss", "map", "map_50", "step_time", "memory"):
        del data[series]
    boxes = int(pictures.objects.sum())
    data["test"] = {"map_50": figure, "images": len(pictures.objects), "boxes": boxes}
    return data


def predictions_of(drawn: Drawn, pictures: Pictures) -> Predictions:
    """The same detections as boxes: objects and false alarms stand apart from one another."""
    images = []
    for place in range(len(pictures.objects)):
        things = np.flatnonzero(pictures.owner == place)
        mine = np.flatnonzero(drawn.owner == place)
        mine = mine[np.argsort(-drawn.scores[mine], kind="stable")]
        columns = [
            (thing - things[0], 0) if (thing := drawn.thing[k]) >= 0 else (number, 1)
            for number, k in enumerate(mine)
        ]
        found = [_box(column, row) + STRETCH for column, row in columns]
        truth = np.array([_box(column, 0) for column in range(len(things))]).reshape(-1, 4)
        images.append(
            ImagePredictions(
                f"{place}.png", f"{place:064x}", 2000, 200,
                Truth(truth, np.ones(len(truth), int), np.zeros(len(truth), bool)),
                Found(np.array(found).reshape(-1, 4), np.ones(len(mine), int), drawn.scores[mine]),
            )
        )  # fmt: skip
    return Predictions("test", FLOOR, ["plate"], images)


def _box(column: int, row: int) -> np.ndarray:
    return np.array([60.0 * column, 60.0 * row, 60.0 * column + 20, 60.0 * row + 20])


@contextmanager
def kept_in_memory(study: Study) -> Iterator[list[Record]]:
    """Records whose pictures' parts come from the drawn hits and not from files, which is faster.

    A test holds both ways together.
    """
    pictures = tuple(map(str, range(len(study.pictures.objects))))
    records, parts, boxes = [], {}, int(study.pictures.objects.sum())
    for (arm, seed), drawn in study.runs.items():
        figure = average_precision(drawn, boxes)
        record = Record(Path(f"{arm}-{seed}"), record_of(arm, seed, figure, study.pictures))
        values = leaving_out(drawn.scores, drawn.hits, drawn.owner, study.pictures.objects)
        records.append(record)
        parts[record.folder] = (pictures, values)
    with patch.object(by_picture, "_of_run", lambda record, _: parts[record.folder]):
        yield records


def written(study: Study, folder: Path) -> list[Record]:
    """The same as run folders, read as the report reads them."""
    boxes = int(study.pictures.objects.sum())
    for (arm, seed), drawn in study.runs.items():
        run = folder / f"{arm}-{seed}"
        run.mkdir(parents=True)
        record = record_of(arm, seed, average_precision(drawn, boxes), study.pictures)
        (run / "record.json").write_text(json.dumps(record))
        write_predictions(run, predictions_of(drawn, study.pictures))
    return load_records([folder]).records


@dataclass(frozen=True)
class Outcome:
    """What a study told: see `outcome_of`."""

    shown: frozenset[str]
    best_shown: bool
    taken: str | None
    leant: str | None


def outcome_of(comparison: Comparison, advice: Recommendation) -> Outcome:
    """Arms shown to differ from `none`, whether the best is shown to beat the next, the advice."""
    shown = {
        found.arm.removeprefix("freeze=")
        for found in comparison.differences
        if found.figure == "test_map_50" and found.shown
    }
    best = next(line for line in verdict(comparison) if line.startswith("Best on test"))
    lean = next((line for line in advice.words if line.startswith(f"{TODAY} freeze=")), None)
    leant = lean.removeprefix(f"{TODAY} freeze=").split()[0] if lean else None
    taken = advice.arm.removeprefix("freeze=") if advice.arm else None
    return Outcome(frozenset(shown), ": better at" in best, taken, leant)


def advised(records: Sequence[Record]) -> Outcome:
    """The program's own way from records to advice, less what no verdict on mAP rests on."""
    module = importlib.import_module("tlx.report.comparison.compare")
    test_map = measures(Levels(None, None))["test_map_50"]
    with (
        patch.object(module, "estimate", lambda _: None),
        patch.object(module, "against_references", lambda a, _: against_references(a, [test_map])),
        patch.object(contrast, "needed_noncentrality", lambda *_: None),
    ):
        comparison = compare(records)
        return outcome_of(comparison, recommend(comparison))


def simulate(
    seeds: Sequence[int], pictures: int, noise: str, losses: Mapping[str, float], studies: int
) -> dict[int, list[Outcome]]:
    """Outcomes by number of seeds: a study of 3 seeds is the first three of one with more."""
    rng = np.random.default_rng([pictures, len(losses)])
    found: dict[int, list[Outcome]] = {count: [] for count in seeds}
    for _ in range(studies):
        study = draw_study(rng, max(seeds), pictures, NOISES[noise], losses)
        with kept_in_memory(study) as records:
            for count in seeds:
                few = [record for record in records if (record.number("seed") or 0) < count]
                found[count].append(advised(few))
    return found


def falsely_shown(found: Sequence[Outcome], losers: Mapping[str, float]) -> int:
    """Studies with a verdict on an arm that is like `none`."""
    return sum(bool(outcome.shown - {"scratch", *losers}) for outcome in found)


def wrong(found: Sequence[Outcome], losers: Mapping[str, float]) -> int:
    """Studies that take, or lean to, an arm which loses twice what is accepted."""
    return sum(outcome.taken in losers or outcome.leant in losers for outcome in found)


def _shares(found: Sequence[Outcome], losers: Mapping[str, float]) -> list[str]:
    counts = [falsely_shown(found, losers)]
    if losers:
        counts += [sum("all" in outcome.shown for outcome in found), wrong(found, losers)]
    else:
        counts += [sum(outcome.best_shown for outcome in found)]
    counts += [sum(outcome.taken is not None for outcome in found)]
    return [f"{100 * count / len(found):.1f} %" for count in counts]


def main() -> None:
    """Print a table, a line a case as they are done."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("arms", choices=["alike", "lose"], help="all alike, or two lose .04")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--pictures", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--noise", nargs="+", default=list(NOISES), choices=list(NOISES))
    parser.add_argument("--studies", type=int, default=500)
    given = parser.parse_args()
    losers = TWO_LOSE if given.arms == "lose" else ALIKE
    columns = "false | power | wrong | taken" if losers else "false | best | taken"
    print(f"| noise | seeds | pictures | {columns} |\n|{'---|' * (3 + columns.count('|') + 1)}")
    for pictures in given.pictures:
        for noise in given.noise:
            by_seeds = simulate(given.seeds, pictures, noise, losers, given.studies)
            for seeds, found in by_seeds.items():
                cells = " | ".join(_shares(found, losers))
                print(f"| {noise} | {seeds} | {pictures} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
