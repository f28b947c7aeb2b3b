"""A study of two runs on twelve pictures, with one known failure on each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tlx.records.predictions import Found, ImagePredictions, Predictions, Truth, write_predictions

SIZE = (320, 240)
INPUT = 160  # px: an object of w x h in the picture has an area of w h / 3 at the input
CLASSES = ["gun", "plate"]
RUNS = {"none": "freeze=none-seed=0-aaaaaa", "4": "freeze=4-seed=0-bbbbbb"}
Box = tuple[int, int, int, int]
BIG: Box = (40, 60, 140, 160)
OTHER: Box = (200, 40, 290, 120)
NOTHING: Box = (180, 150, 260, 220)
LOW: Box = (100, 60, 200, 160)  # IoU with BIG: 40 / 160
SMALL: Box = (220, 180, 260, 210)  # 1200 px², 400 at the input


class Plant(NamedTuple):
    """Objects (box, label) of a picture and detections (box, label, score) of the two runs."""

    truth: list[tuple[Box, int]]
    none: list[tuple[Box, int, float]]
    four: list[tuple[Box, int, float]]
    ignored: bool = False


PLANTS = {
    "hit": Plant([(BIG, 1)], [(BIG, 1, 0.9)], [(BIG, 1, 0.8)]),
    "missed": Plant([(BIG, 1)], [], [(BIG, 1, 0.9)]),
    "false": Plant([(BIG, 1)], [(BIG, 1, 0.9), (NOTHING, 2, 0.8)], [(BIG, 1, 0.9)]),
    "wrong": Plant([(BIG, 1)], [(BIG, 2, 0.9)], [(BIG, 2, 0.9)]),
    "low": Plant([(BIG, 1)], [(LOW, 1, 0.8)], [(LOW, 1, 0.8)]),
    "small": Plant([(SMALL, 2)], [(SMALL, 2, 0.9)], [(SMALL, 2, 0.9)]),
    "twin_a": Plant([(OTHER, 2)], [(OTHER, 2, 0.9)], [(OTHER, 2, 0.9)]),
    "twin_b": Plant([(OTHER, 2)], [(OTHER, 2, 0.9)], [(OTHER, 2, 0.9)]),
    "empty": Plant([], [], []),
    "crowd": Plant([(BIG, 1)], [(BIG, 1, 0.9)], [], ignored=True),
    "weak": Plant([(BIG, 1)], [(BIG, 1, 0.2)], [(BIG, 1, 0.2)]),
    "loss": Plant([(BIG, 1), (OTHER, 2), (SMALL, 1)], [], []),
}
# What the saved views must show, by hand from the table above.
VIEWS = {
    "missed objects": {"missed", "weak", "loss"},
    "false alarms": {"false"},
    "wrong class": {"wrong"},
    "low IoU": {"low"},
    "small objects": {"small", "loss"},
    "high-loss images": {"loss", "wrong"},
    "policies disagree": {"missed", "false", "crowd"},
    "near duplicates": {"twin_a", "twin_b"},
    f"missed objects: {RUNS['none']}": {"missed", "weak", "loss"},
    f"missed objects: {RUNS['4']}": {"weak", "loss"},
    f"false alarms: {RUNS['none']}": {"false"},
    f"false alarms: {RUNS['4']}": set(),
    f"wrong class: {RUNS['none']}": {"wrong"},
    f"wrong class: {RUNS['4']}": {"wrong"},
    f"low IoU: {RUNS['none']}": {"low"},
    f"low IoU: {RUNS['4']}": {"low"},
}


def plant(folder: Path) -> Path:
    """Make the data set and the study below `folder`; returns the study's folder."""
    root, study = folder / "set", folder / "study"
    (root / "test").mkdir(parents=True)
    digests = {name: _draw(root / "test" / f"{name}.jpg", name) for name in PLANTS}
    for run, (freeze, label) in enumerate(RUNS.items()):
        images = [_seen(name, digests[name], run) for name in PLANTS]
        write_predictions(study / label, Predictions("test", 0.05, CLASSES, images))
        (study / label / "record.json").write_text(json.dumps(record(freeze, label, root)))
    return study


def record(freeze: str, label: str, root: Path) -> dict[str, Any]:
    """The part of a finished run's record that is read here."""
    return {
        "version": 1, "status": "finished", "name": label, "fingerprint": label[-6:], "seed": 0,
        "freeze": freeze, "policy": "fixed", "backbone": "mobilenet_v2", "data": "planted",
        "input_size": INPUT, "finished": "2025-01-01T00:00:00+00:00",
        "weights": {"source": "auto"}, "data_report": {"root": str(root)},
    }  # fmt: skip


def _draw(path: Path, name: str) -> str:
    """A picture unlike the others, with its objects in red (gun) and blue (plate)."""
    scene = name.split("_")[0]  # twins are one scene
    rng = np.random.default_rng(sorted(PLANTS).index(name) if "_" not in name else 99)
    coarse = rng.integers(60, 200, (8, 9, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(image)
    for box, label in PLANTS[name].truth:
        canvas.ellipse(box, fill=("#c01818", "#1838c0")[label - 1])
    canvas.text((4, 4), scene, fill="#ffffff")
    image.save(path, quality=60 if name == "twin_b" else 95)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _seen(name: str, digest: str, run: int) -> ImagePredictions:
    planted = PLANTS[name]
    found = planted[1 + run]
    return ImagePredictions(
        f"test/{name}.jpg", digest, *SIZE,
        Truth(
            np.array([box for box, _ in planted.truth], float).reshape(-1, 4),
            np.array([label for _, label in planted.truth], np.int64),
            np.full(len(planted.truth), planted.ignored),
        ),
        Found(
            np.array([box for box, _, _ in found], float).reshape(-1, 4),
            np.array([label for _, label, _ in found], np.int64),
            np.array([score for _, _, score in found], float),
        ),
    )  # fmt: skip
