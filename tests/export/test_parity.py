"""Parity: an artefact that is the checkpoint passes, any other fails loudly, both are recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import SHARED, Compose
from tests.export.helpers_deploy import SIDE, ColourRuntime, save_tiny_checkpoint
from tests.export.helpers_export import save_pictures, written
from tlx.common.errors import DataError, ExportError
from tlx.export.parity import _widen, agreement, check, compare
from tlx.export.parity_judge import TOLERANCES, faults
from tlx.export.parity_pictures import parity_pictures
from tlx.runtime.base import Raw
from tlx.runtime.postprocess import Found

PERFECT = {
    "of": "test", "scores": 0.0, "boxes": 0.0, "shown_boxes_px": 0.0, "unexplained": 0,
    "agreement": 1.0, "map_50": [0.8, 0.8], "objects": 200,
}  # fmt: skip


@pytest.fixture
def export(tmp_path: Path, tiny_config: Compose) -> Path:
    """A TorchScript export of a checkpoint of the tiny set."""
    save_tiny_checkpoint(tmp_path / "best.ckpt", tiny_config())
    return written(tmp_path / "best.ckpt", "torchscript", tmp_path / "out").path


def recorded(artefact: Path) -> dict:
    return json.loads((artefact.parent / "model.json").read_text())["parity"]


def test_the_checkpoints_own_export_passes(export: Path, tmp_path: Path) -> None:
    result = check(tmp_path / "best.ckpt", export, cache_dir=tmp_path / "cache")
    assert result["passed"]
    assert (result["pictures"], result["of"]) == (6, "test of voc")
    assert 0 < result["scores"] < 1e-4  # folded in another order, so never exactly equal
    assert 0 < result["boxes"] < 1e-4
    assert result["map_50"][0] == pytest.approx(result["map_50"][1], abs=1e-3)
    assert recorded(export) == json.loads(json.dumps(result))


def test_other_weights_fail_and_the_record_says_so(
    export: Path, tmp_path: Path, tiny_config: Compose
) -> None:
    save_tiny_checkpoint(tmp_path / "other.ckpt", tiny_config(), seed=1)
    other = written(tmp_path / "other.ckpt", "torchscript", tmp_path / "other").path
    with pytest.raises(ExportError, match="another checkpoint"):
        check(tmp_path / "best.ckpt", other, cache_dir=tmp_path / "cache")
    export.write_bytes(other.read_bytes())  # under the description of the first
    with pytest.raises(ExportError, match=r"scores differ by up to .*boxes differ by up to"):
        check(tmp_path / "best.ckpt", export, cache_dir=tmp_path / "cache")
    result = recorded(export)
    assert result["passed"] is False
    assert len(result["faults"]) >= 2


def test_without_a_data_set_tensors_are_compared_on_a_folder(
    tmp_path: Path,
) -> None:
    save_tiny_checkpoint(tmp_path / "best.ckpt", {})
    export = written(tmp_path / "best.ckpt", "torchscript", tmp_path / "out").path
    save_pictures(tmp_path / "pictures", 3)
    result = check(
        tmp_path / "best.ckpt", export, cache_dir=tmp_path, pictures=tmp_path / "pictures"
    )
    assert result["passed"]
    assert (result["pictures"], result["map_50"]) == (3, None)
    with pytest.raises(DataError, match="no picture"):
        check(tmp_path / "best.ckpt", export, cache_dir=tmp_path, pictures=tmp_path / "out")


def test_a_format_that_nothing_runs_here_is_recorded_as_unchecked(
    export: Path, tmp_path: Path
) -> None:
    model = export.with_name("x.kmodel")
    model.write_bytes(b"")
    assert check(tmp_path / "best.ckpt", model, cache_dir=tmp_path)["passed"] is None
    assert "no backend" in recorded(model)["reason"]


class Shifted(ColourRuntime):
    """Boxes moved to the right by a tenth of the picture, scores lower."""

    def run(self, images: np.ndarray) -> Raw:
        scores, boxes = super().run(images)
        return scores, boxes + np.array([0.1, 0, 0.1, 0], np.float32)


def test_measures_by_hand(tmp_path: Path, tiny_config: Compose) -> None:
    config = tiny_config()
    reference, moved = ColourRuntime(config, score=0.9), Shifted(config, score=0.7)
    shown = parity_pictures(reference.meta, tmp_path / "cache", None)
    same = compare(reference, ColourRuntime(config), shown)
    assert same["map_50"] == [pytest.approx(1.0)] * 2
    assert (same["scores"], same["boxes"], same["agreement"]) == (0, 0, 1.0)
    other = compare(reference, moved, shown)
    assert other["scores"] == pytest.approx(0.2, abs=1e-6)
    assert other["boxes"] == pytest.approx(0.1, abs=1e-6)
    assert other["shown_boxes_px"] == pytest.approx(0.1 * SIDE, abs=1e-4)
    # 25 to 45 of 96 px wide, moved by 9.6: all IoUs are below .66, so mAP@.5:.95 falls.
    assert other["map"][1] < other["map"][0]


def test_rounding_of_a_box_beyond_the_picture_is_no_fault() -> None:
    boxes = np.array([[[-30, -30, 60, 60], [0.1, 0.1, 0.5, 0.5]]], np.float32)
    other = boxes + np.array([[[1.2e-4], [5e-5]]], np.float32)
    largest = {"scores": 0.0, "boxes": 0.0, "shown_boxes_px": 0.0}
    scores = np.zeros((1, 2, 2), np.float32)
    _widen(largest, (scores, boxes), (scores, other))
    assert largest["boxes"] == pytest.approx(5e-5, rel=0.01)  # and not 1.2e-4, beyond the bound


def test_agreement_counts_class_and_place() -> None:
    def found(*rows: tuple[float, int, float]) -> Found:
        boxes = np.array([[x, 0, x + 0.2, 1] for x, _, _ in rows], np.float32)
        labels = np.array([label for _, label, _ in rows], np.int64)
        return Found(boxes, np.array([score for *_, score in rows], np.float32), labels)

    reference = found((0.0, 1, 0.9), (0.5, 2, 0.8), (0.7, 1, 0.1))  # the last is not shown
    assert agreement(reference, reference) == (2, 2)
    assert agreement(reference, found((0.0, 1, 0.05), (0.5, 1, 0.8))) == (1, 2)
    assert agreement(reference, found((0.15, 1, 0.9))) == (0, 2)


@pytest.mark.parametrize(
    ("precision", "change", "message"),
    [
        ("fp32", {}, None),
        ("fp32", {"scores": 2e-4}, "scores differ"),
        ("fp32", {"boxes": float("nan")}, "boxes differ"),
        ("fp32", {"map_50": [0.8, 0.75], "agreement": 0.5}, None),  # tensors decide
        ("fp32", {"unexplained": 1}, "contradict the checkpoint's scores and boxes"),
        ("fp16", {"scores": 2e-4, "boxes": 0.1}, None),
        ("fp16", {"shown_boxes_px": 3.0}, "shown_boxes_px differ"),
        ("fp16", {"map_50": [0.8, 0.75]}, "mAP@.5 is 0.7500 against 0.8000"),
        ("fp16", {"map_50": None, "agreement": 0.5}, None),
        ("int8", {"unexplained": None, "scores": 0.8, "boxes": 2.0}, None),
        ("int8", {"unexplained": None, "map_50": [0.8, 0.77]}, "mAP@.5"),
        ("int8", {"unexplained": None, "map_50": [0.8, 0.77], "objects": 50}, None),
        ("int8", {"unexplained": None, "map_50": [0.8, 0.75], "objects": 50}, "0.04 is put up"),
        ("int8", {"unexplained": None, "map_50": [0.77, 0.8]}, None),
        ("fp16", {"map_50": [0.77, 0.8]}, "mAP@.5"),
        ("int8", {"unexplained": None, "map_50": None, "agreement": 0.8}, "finds 80.0%"),
        ("int8", {"unexplained": None, "map_50": None, "agreement": None}, "nothing was found"),
        (
            "int8",
            {"unexplained": None, "map_50": [None, None], "agreement": None},
            "nothing was found",
        ),
    ],
)
def test_tolerances(precision: str, change: dict, message: str | None) -> None:
    found = faults({**PERFECT, **change}, TOLERANCES[precision])
    assert (found == []) == (message is None)
    assert message is None or message in found[0]


@pytest.mark.shared_data
def test_the_reference_checkpoint_passes_on_the_sample(tmp_path: Path) -> None:
    """300 px, 21 classes, random heads: tensors only, no mAP."""
    golden = SHARED / "golden" / "mb1-ssd-pytorch-ssd.pth"
    export = written(golden, "torchscript", tmp_path / "out").path
    with np.load(SHARED / "golden" / "mb1-ssd-pytorch-ssd.npz") as stored:
        picture = stored["image_uint8"]
    (tmp_path / "pictures").mkdir()
    Image.fromarray(picture).save(tmp_path / "pictures" / "a.png")
    result = check(golden, export, cache_dir=tmp_path, pictures=tmp_path / "pictures")
    assert result["passed"]
    assert torch.tensor(result["scores"]) < 1e-4
