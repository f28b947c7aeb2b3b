"""Generated studies of several data sets, backbones, starts, sizes and folds, as records.

python -m tests.report.helpers_factors FOLDER     writes one to look at
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.report.helpers_report import digest_of, make_record
from tlx.records.predictions import Found, ImagePredictions, Predictions, Truth, write_predictions
from tlx.records.predictions.influence import pseudo_values
from tlx.report.comparison.compare import Comparison, compare
from tlx.report.comparison.records import load_records

BOX = np.array([[10.0, 10.0, 30.0, 30.0]])
SEED_SD, PICTURE_SD = 0.3, 1.0  # of the logit by which an object is found: run, arm's picture
Key = dict[str, Any]
"""Of a run: data, backbone, start, train (fraction), fold, freeze, seed."""

STARTS: Mapping[str, dict[str, Any]] = {
    "imagenet": {"source": "/w/imagenet.whl", "sha256": "aa" * 32, "name": None, "asked": "auto"},
    "coco": {"source": "/w/coco.tgz", "sha256": "bb" * 32, "name": "ssd_mobilenet_v1@coco"},
    "faces": {"source": "/w/faces.npz", "sha256": "cc" * 32, "name": None, "holds": "detector"},
    "scratch": {"source": "scratch", "sha256": None, "name": None},
}


def config(key: Key) -> dict[str, Any]:
    """What decides the arm of a run."""
    data: dict[str, Any] = {"name": key["data"], "root": f"/{key['data']}"}
    if key["train"] != 1:
        data["train_fraction"] = key["train"]
    if key["fold"] is not None:
        data |= {"folds": key["folds"], "fold": key["fold"]}
    start = STARTS[key["start"]]
    return {
        "freeze": key["freeze"], "seed": key["seed"], "policy": {"name": "fixed"},
        "backbone": {
            "name": key["backbone"],
            "weights": start.get("asked", start["name"] or start["source"]),
        },
        "data": data, "trainer": {"epochs": 4, "batch_size": 24}, "detector": {"input_size": 192},
    }  # fmt: skip


def keys(
    *,
    data: Sequence[str] = ("guns",),
    backbone: Sequence[str] = ("mobilenet_v1",),
    start: Sequence[str] = ("imagenet",),
    train: Sequence[float] = (1,),
    folds: int | None = None,
    freeze: Sequence[str] = ("none", "all"),
    seeds: int = 3,
) -> list[Key]:
    """Every run of a study that crosses all of these."""
    names = ("data", "backbone", "start", "train", "fold", "freeze", "seed")
    numbers: Sequence[int | None] = (None,) if folds is None else range(folds)
    crossed = itertools.product(data, backbone, start, train, numbers, freeze, range(seeds))
    return [dict(zip(names, values, strict=True), folds=folds) for values in crossed]


def of_text(*parts: object) -> list[int]:
    """The state of a random generator that follows from a text."""
    return list(" ".join(map(str, parts)).encode())


def predictions(key: Key, logit: float, pictures: int) -> Predictions:
    """An object in every picture, found by chance, and false alarms.

    The ease of a picture is its own, and a part of it the arm's: the same in all of its seeds.
    """
    of_set = np.random.default_rng(of_text("pictures", key["data"], key["fold"]))
    ease = of_set.normal(0, 1, pictures)
    arm = [key[name] for name in ("data", "backbone", "start", "train", "fold", "freeze")]
    own = np.random.default_rng(of_text("arm", *arm)).normal(0, PICTURE_SD, pictures)
    rng = np.random.default_rng(of_text("run", *arm, key["seed"]))
    chance = 1 / (1 + np.exp(-(logit + ease + own + rng.normal(0, SEED_SD))))
    images = []
    for number in range(pictures):
        hits, false = int(rng.random() < chance[number]), int(rng.random() < 0.2)
        boxes = np.concatenate([BOX] * hits + [BOX + 60] * false + [np.zeros((0, 4))])
        images.append(
            ImagePredictions(
                f"{number}.png", digest_of(f"{key['data']} {key['fold']} {number}"),
                100, 100, Truth(BOX, np.ones(1, int), np.zeros(1, bool)),
                Found(boxes, np.ones(len(boxes), int), np.sort(rng.random(hits + false))[::-1]),
            )
        )  # fmt: skip
    return Predictions("test", 0.05, ["plate"], images)


def write(
    root: Path,
    runs: Sequence[Key],
    logit: Callable[[Key], float] = lambda _: 1.0,
    *,
    pictures: int = 40,
    train: int = 400,
    kept: bool = True,
    change: Callable[[Key, dict[str, Any]], dict[str, Any] | None] = lambda _, record: record,
) -> dict[int, float]:
    """Write the runs; what each reached, by its place.

    Args:
        logit: how easily an arm finds its objects.
        pictures: of a test set. train: of a whole training set. kept: whether runs keep what they
            found. change: what to write in place of a record; None: nothing.
    """
    figures: dict[int, float] = {}
    for place, key in enumerate(runs):
        found = predictions(key, logit(key), pictures)
        values = pseudo_values(found)
        assert values is not None
        figure = float(values.mean())
        row = {"ap": figure / 2, "ap_50": figure, "voc07_ap50": None, "boxes": pictures}
        name = "-".join(str(value) for value in key.values())
        start = {k: v for k, v in STARTS[key["start"]].items() if k != "asked"}
        record = make_record(
            key["freeze"], key["seed"], name=name, fingerprint=f"{place}", config=config(key),
            data=key["data"], backbone=key["backbone"], weights=start, dataset=_dataset(key, train),
            started=f"2025-01-{1 + place // 1440:02d}T{place // 60 % 24:02d}:{place % 60:02d}:00",
            test={
                "map": figure / 2, "map_50": figure, "images": pictures, "boxes": pictures,
                "per_class": {"plate": {**row, "reason": None}},
            },
        )  # fmt: skip
        changed = change(key, record)
        if changed is None:
            continue
        figures[place] = figure
        folder = root / name
        folder.mkdir(parents=True)
        if kept:
            write_predictions(folder, found)
        (folder / "record.json").write_text(json.dumps(changed))
    return figures


def _dataset(key: Key, train: int) -> dict[str, Any]:
    tag = f"{key['data']} {key['fold']}"

    def of(split: str, images: int, own: str = "") -> dict[str, Any]:
        return {"images": images, "pictures": f"{tag} {split}{own}", "boxes": f"{tag} {split}{own}"}

    splits = {
        "train": of("train", round(key["train"] * train), str(key["train"])),
        "val": of("val", 40), "test": of("test", 40),
    }  # fmt: skip
    whole = {"images": 500, "pictures": key["data"], "boxes": key["data"]}
    return {"classes": ["plate"], "splits": splits, "whole": whole}


def compared(root: Path) -> Comparison:
    """The comparison of what was written."""
    loaded = load_records([root])
    assert loaded.warnings == []
    return compare(loaded.records)


def to_look_at(root: Path) -> None:
    """Three sets, two starts, five sizes: freezing costs more where the start is poor."""

    def logit(key: Key) -> float:
        size = 2.2 - 9 * (400 * key["train"]) ** -0.5
        loss = {"none": 0.0, "8": 0.1, "all": 0.9 if key["data"] == "ppe" else 0.3}[key["freeze"]]
        return size - loss * (1.6 if key["start"] == "imagenet" else 0.6)

    runs = keys(
        data=("guns", "ppe", "plates"), start=("imagenet", "coco"), freeze=("none", "8", "all"),
        train=(0.1, 0.2, 0.4, 0.7, 1),
    )  # fmt: skip
    write(root, runs, logit, pictures=80)


if __name__ == "__main__":
    to_look_at(Path(sys.argv[1]))
