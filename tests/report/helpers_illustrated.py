"""A study on disk with irregular figures, predictions and test pictures, to report on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlx.common.files import write_json
from tlx.records.predictions import Found, ImagePredictions, Predictions, Truth, write_predictions
from tlx.report import make_report

CLASSES = ["red", "blue"]
WIDTH, HEIGHT, PICTURES = 160, 120, 8
EPOCHS, STEPS, TOTAL = 6, 100, 6_000_000
# freeze, scratch, policy: seconds a step, share of the arithmetic, frozen parameters, mAP@.5
ARMS: dict[str, tuple[str, bool, str, float, float, int, float]] = {
    "scratch": ("none", True, "fixed", 0.2, 1.0, 0, 0.31),
    "freeze=none": ("none", False, "fixed", 0.2, 1.0, 0, 0.71),
    "freeze=4": ("4", False, "fixed", 0.16, 0.83, 65_344, 0.72),
    "freeze=8": ("8", False, "fixed", 0.13, 0.62, 806_720, 0.70),
    "freeze=8 two_phase": ("8", False, "two_phase", 0.15, 0.8, 806_720, 0.74),
    "freeze=all": ("all", False, "fixed", 0.08, 0.33, 3_206_976, 0.58),
}


def write_study(
    root: Path, arms: Sequence[str] = tuple(ARMS), seeds: Sequence[int] = (0, 1, 2)
) -> Path:
    """Finished runs of the arms with all seeds, and one that failed; returns the study's folder."""
    data = _pictures(root / "data")
    for number, (seed, arm) in enumerate((s, a) for s in seeds for a in arms):
        record = run_record(arm, seed, number)
        record["data_report"]["root"] = str(root / "data")
        folder = root / "study" / record["name"]
        write_json(folder / "record.json", record)
        write_predictions(folder, _predicted(data, arm, seed))
    failed = run_record(arms[0], 99, 99)
    failed |= {"status": "failed", "test": None, "name": "broken"}
    failed["error"] = {"type": "MemoryError", "message": "no <b>room</b> left", "traceback": None}
    write_json(root / "study" / "broken" / "record.json", failed)
    return root / "study"


def checkpoint_of(arm: str, seed: int) -> str:
    """The digest that the record of a run states."""
    return hashlib.sha256(f"{arm} {seed}".encode()).hexdigest()


def run_record(arm: str, seed: int, number: int = 0) -> dict[str, Any]:
    """A finished run in the layout of docs/record.md; every figure differs from every other."""
    freeze, scratch, policy, step, share, frozen, quality = ARMS[arm]
    rng = np.random.default_rng([list(ARMS).index(arm), seed])

    def near(value: float, by: float = 0.03) -> float:
        return float(value * (1 + by * rng.standard_normal()))

    ends = np.cumsum([near(step, 0.1) for _ in range(EPOCHS * STEPS)]).tolist()
    steps = range(1, EPOCHS * STEPS + 1)
    loss = [
        [s, i, near(1 + 12 * float(np.exp(-i / 60)), 0.1)] for s, i in zip(ends, steps, strict=True)
    ]
    loss[7][2] = None
    reach = (9 if scratch else 2) * STEPS
    course = [(ends[i - 1], i, near(quality * (1 - float(np.exp(-i / reach))))) for i in steps
              if i % STEPS == 0]  # fmt: skip
    map_50 = near(quality)
    hashes = "ab" * 32 if frozen else None
    return {
        "version": 1,
        "status": "finished",
        "error": None,
        "name": f"{arm.replace(' ', '-')}-seed={seed}",
        "fingerprint": f"{arm}-{seed}",
        "backbone": "mobilenet_v1",
        "checkpoint": {"file": "best.ckpt", "sha256": checkpoint_of(arm, seed)},
        "weights": {"source": "scratch" if scratch else "keras", "sha256": None},
        "freeze": freeze,
        "policy": policy,
        "data": "shapes",
        "seed": seed,
        "epochs": EPOCHS,
        "batch_size": 24,
        "input_size": 192,
        "precision": "32-true",
        "classes": CLASSES,
        "started": f"2025-01-01T{number // 60 % 24:02d}:{number % 60:02d}:00+00:00",
        "finished": f"2025-01-01T{number // 60 % 24:02d}:{number % 60:02d}:59+00:00",
        "resumes": seed,
        "resumed": [{"step": 1}] * seed,
        "best": {"epoch": 5, "step": course[-1][1], "map": map_50 / 2.1, "map_50": map_50 * 1.01},
        "test": {
            "map": map_50 / 1.9,
            "map_50": map_50,
            "map_75": map_50 / 2.2,
            "voc07_ap50": map_50 * 0.97,
            "images": PICTURES,
            "boxes": 70,
            "per_class": {
                "red": {"boxes": 50, "ap": near(0.4), "ap_50": near(quality * 1.05),
                        "voc07_ap50": near(0.7), "reason": None},
                "blue": {"boxes": 20, "ap": near(0.3), "ap_50": near(quality * 0.9),
                         "voc07_ap50": None, "reason": "few <boxes>"},
            },
        },
        "step_time": {
            "steps": 595, "warmup_steps": 5, "median_s": (median := near(step)),
            "p10_s": 0.9 * median, "p90_s": 1.2 * median, "data_s": near(0.1 * median),
            "forward_s": near(0.3 * median), "backward_s": near(0.5 * median),
            "optimizer_s": near(0.05 * median),
        },
        "bound": {"step_share": share, "speedup": 1 / share, "forward_macs": 10**9,
                  "frozen_macs_share": 1 - share},
        "frozen": {"blocks": ["Conv2d_0"] if frozen else [], "parameters": frozen,
                   "hash_before": hashes, "hash_after": hashes},
        "trainable": {"parameters": TOTAL - frozen},
        "memory": {"peak_rss_bytes": int(near(2**30 * (0.5 + share / 2))),
                   "peak_device_bytes": None},
        "time": {"fit_s": ends[-1] + near(9.0), "test_s": near(3.0)},
        "energy": {"joules": near(900 * step), "method": "example", "measured": True,
                   "reason": None},
        "loss": loss,
        "map": [[s, i, v / 2] for s, i, v in course],
        "map_50": [list(point) for point in course],
        "data_report": data_report(),
        "environment": {"cpu": "Example 9000", "cores": 8, "gpu": None, "torch": "2.14.0",
                        "tlx": "0.1.0", "python": "3.11"},
    }  # fmt: skip


def data_report() -> dict[str, Any]:
    """What the data check says of the set."""
    counts = {"images": PICTURES, "boxes": 70, "negatives": 1, "per_class": {"red": 50, "blue": 20}}
    return {
        "root": None, "faults": {"clipped-box": 3, "exif-rotated": 2}, "named": [],
        "counts": {"train": counts, "test": counts}, "duplicate_groups": 2, "duplicate_files": 5,
        "leaks": [], "near_leaks": [{"image": "a", "split": "val", "kept_in": "test"}],
        "warnings": [],
        "label_noise": {"files": 5, "boxes": 9, "median_iou": 0.77, "share_75": 0.51, "map": 0.54},
    }  # fmt: skip


def _pictures(folder: Path) -> list[ImagePredictions]:
    """Test pictures with their objects and no detections; the last one shows nothing."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    images = []
    for number in range(PICTURES):
        pixels = rng.integers(90, 140, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        boxes, labels = [], []
        for place in range(0 if number == PICTURES - 1 else 1 + number % 2):
            x, y = 10 + 75 * place + int(rng.integers(0, 20)), int(rng.integers(10, 50))
            w, h = rng.integers(30, 50, 2).tolist()
            label = 1 + (number + place) % 2
            pixels[y : y + h, x : x + w] = (200, 40, 40) if label == 1 else (40, 60, 210)
            boxes.append([x, y, x + w, y + h])
            labels.append(label)
        path = folder / f"{number:02d} & co.png"
        Image.fromarray(pixels).save(path)
        digest = _sha256(path)
        truth = Truth(np.array(boxes, float).reshape(-1, 4), np.array(labels, int),
                      np.zeros(len(boxes), bool))  # fmt: skip
        images.append(ImagePredictions(path.name, digest, WIDTH, HEIGHT, truth, _found([], [], [])))
    return images


def _predicted(images: list[ImagePredictions], arm: str, seed: int) -> Predictions:
    """Objects found the more often the better the arm, and a false alarm on every third picture."""
    rng = np.random.default_rng([7, list(ARMS).index(arm), seed])
    filled = []
    for number, image in enumerate(images):
        boxes, labels, scores = [], [], []
        for box, label in zip(image.truth.boxes, image.truth.labels.tolist(), strict=True):
            if rng.random() < ARMS[arm][-1]:
                boxes.append(box + rng.uniform(-3, 3, 4))
                labels.append(label)
                scores.append(float(rng.uniform(0.5, 1)))
        if number % 3 == 0:
            boxes.append(np.array([110.0, 85.0, 150.0, 115.0]))
            labels.append(2)
            scores.append(float(rng.uniform(0.31, 0.6)))
        found = _found(boxes, labels, scores)
        filled.append(
            ImagePredictions(image.image, image.sha256, WIDTH, HEIGHT, image.truth, found)
        )
    return Predictions("test", 0.05, CLASSES, filled)


def _found(boxes: list[Any], labels: list[int], scores: list[float]) -> Found:
    order = np.argsort(-np.array(scores), kind="stable")
    return Found(
        np.array(boxes, float).reshape(-1, 4)[order],
        np.array(labels, np.int64)[order],
        np.array(scores, float)[order],
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_records(study: Path) -> list[dict[str, Any]]:
    """The records of the finished runs, as they are on disk, by name."""
    found = [json.loads(path.read_text()) for path in sorted(study.glob("*/record.json"))]
    return [record for record in found if record["status"] == "finished"]


BENCHMARK = [
    {
        "policy": "none",
        "checkpoint_sha256": checkpoint_of("freeze=none", 0),
        "latency_ms": 30.0,
        "low_ms": 29.0,
        "high_ms": 33.0,
        "device": "board",
    },
    {
        "policy": "freeze=8",
        "checkpoint_sha256": checkpoint_of("freeze=8", 1),
        "latency_ms": 31.0,
        "device": "board",
    },
    {
        "policy": "all",
        "checkpoint_sha256": checkpoint_of("freeze=all", 2),
        "latency_ms": 12.0,
        "device": "desk",
    },
    {"policy": "another network", "latency_ms": 1.0},
]


def reported(root: Path) -> Path:
    """A study with one arm a depth, and the report of it with a benchmark."""
    study = write_study(root, arms=[arm for arm in ARMS if "two_phase" not in arm])
    write_json(root / "benchmark.json", BENCHMARK)
    make_report([study], study / "report", benchmark=root / "benchmark.json")
    return study
