"""Which cached activations are the same: a hash of all that decides them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import torch

from tlx.activations.store import VERSION
from tlx.data import augment
from tlx.data.formats.annotations import Item
from tlx.freeze.proof import frozen_hash
from tlx.models.detector import Detector


def ingredients(
    detector: Detector, blocks: int, items: list[Item], *, views: int, seed: int, zoom_out: float,
    dtype: str,
) -> dict[str, Any]:  # fmt: skip
    """Plain values: equal for two runs only if their prefix sees and computes the same.

    Boxes are among them because the crop follows them; torch's version because its kernels may
    round differently.
    """
    pictures = hashlib.sha256()
    for item in items:
        bits = f" {item.bits}" if item.bits else ""
        pictures.update(f"{item.digest} {item.rotate} {item.size}{bits}".encode())
        pictures.update(item.boxes.tobytes())
    return {
        "store": VERSION,
        "augmentation": augment.VERSION,
        "torch": torch.__version__,
        "backbone": detector.spec.name,
        "conventions": asdict(detector.conventions),
        "blocks": blocks,
        "weights": frozen_hash(detector, blocks),
        "input_size": detector.input_size,
        "pictures": pictures.hexdigest(),
        "count": len(items),
        "views": views,
        "seed": seed,
        "zoom_out": zoom_out,
        "dtype": dtype,
    }


def digest(values: dict[str, Any]) -> str:
    """16 hex digits for the folder's name."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
