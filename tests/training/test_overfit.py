"""Eight pictures without augmentation are learned by heart, whatever is frozen.

What matching, coding, loss, decoding or the frozen maps had wrong would keep the loss up.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Compose, write_set
from tlx.data.module import Loaders, build_data
from tlx.evaluation.evaluator import Evaluator
from tlx.records.checkpoint import load_detector
from tlx.training.run import run


@pytest.mark.parametrize("freeze", ["all", "none"])
def test_eight_pictures(freeze: str, tiny_config: Compose, tmp_path: Path) -> None:
    write_set(tmp_path / "set", {"train": 8, "val": 2, "test": 2})
    cfg = tiny_config(
        f"freeze={freeze}", f"data.root={tmp_path / 'set'}", "data.augment=off", "cache.views=1",
        "detector.head=hidden", "trainer.batch_size=8", "trainer.epochs=120",
        "trainer.val_every=1000",
    )  # fmt: skip
    record = run(cfg, tmp_path / "run")
    assert record["loss"][-1][2] < 0.1
    detector, _ = load_detector(tmp_path / "run" / "checkpoints" / "last.ckpt")
    data = build_data(cfg.data, Path(cfg.cache_dir))
    evaluator = Evaluator(data.classes)
    for batch in Loaders(data, cfg.detector.input_size, 8, workers=0).evaluation("train"):
        found = detector.detect(
            batch.images, score_threshold=0.01, nms_iou=0.45, max_detections=100
        )
        evaluator.update(found, [data.splits["train"][i] for i in batch.indices.tolist()])
    assert evaluator.compute()["map_50"] == pytest.approx(1.0)
