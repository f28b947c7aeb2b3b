"""The key of cached activations: one for each set of all that decides them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.conftest import Compose
from tlx.activations.key import digest, ingredients
from tlx.data.module import build_data
from tlx.training.detection import Detect


def test_the_key_follows_all_that_decides_the_activations(
    tiny_config: Compose, tmp_path: Path
) -> None:
    cfg = tiny_config()
    data = build_data(cfg.data, tmp_path / "cache")
    detector = Detect().network(cfg, data.classes, {})
    items = data.splits["train"]
    given: dict[str, Any] = {
        "views": 2,
        "seed": 0,
        "augmentation": {"zoom_out": 4.0},
        "dtype": "f16",
    }
    key = digest(ingredients(detector, 5, items, **given))
    assert key == digest(ingredients(detector, 5, items, **given))
    others = [
        ingredients(detector, 6, items, **given),
        ingredients(detector, 5, items[1:], **given),
        *(ingredients(detector, 5, items, **{**given, name: value})
          for name, value in (("views", 3), ("seed", 1), ("augmentation", {"zoom_out": 1.0}),
                              ("augmentation", {"zoom_out": 4.0, "augment": "off"}),
                              ("dtype", "u8"))),
    ]  # fmt: skip
    with torch.no_grad():
        detector.backbone.blocks["mbconv_4"].bn2.running_mean[0] += 1e-6
    others.append(ingredients(detector, 5, items, **given))
    assert len({key, *map(digest, others)}) == len(others) + 1


def test_another_neck_keeps_other_outputs_of_the_same_blocks(
    tiny_config: Compose, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"views": 2, "seed": 0, "augmentation": {}, "dtype": "f16"}
    keys = {}
    for neck in ("extras", "none", "fpn"):
        cfg = tiny_config(f"detector.neck={neck}")
        detector = Detect().network(cfg, ["red", "blue"], {})
        keys[neck] = digest(ingredients(detector, 17, [], **given))
    assert keys["extras"] == keys["none"] != keys["fpn"]
