"""Pictures and detections of the Jetson tool against Pillow, torch and tlx's own evaluation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tlx.models.postprocess as reference
from tests.jetson.helpers_jetson import load_tool
from tlx.runtime import detectnet

jb = load_tool()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(480, 640), (100, 90), (300, 300), (37, 511)])
def test_the_resize_without_pillow(size: tuple[int, int]) -> None:
    image = noise(*size)
    wanted = np.asarray(Image.fromarray(image).resize((120, 96), Image.Resampling.BILINEAR))
    found = jb.resize_antialiased(image, 96, 120)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_the_input_of_tlx_and_of_detectnet() -> None:
    image = noise(50, 70)
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    shape = (1, 3, 32, 48)
    found = jb.Preprocess("tlx", shape, jb.PictureReader(), mean, std)(image)
    small = np.asarray(Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR))
    wanted = (small - np.array(mean)) / np.array(std)
    assert found.shape == shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0].transpose(1, 2, 0), wanted, atol=1e-5)
    found = jb.Preprocess("detectnet", (1, 3, 32, 32), None, mean, std)(image)
    np.testing.assert_allclose(
        found[0].transpose(1, 2, 0), detectnet.nearest(image, 32) / 127.5 - 1, atol=1e-6
    )
    # By hand: 4 of 8 columns are 0, 2, 4 and 6; 3 of 4 rows are 0, 1 and 2 (4/3 and 8/3 cut off).
    image = noise(4, 8)
    np.testing.assert_array_equal(jb.resize_nearest(image, 3, 4), image[[0, 1, 2]][:, ::2])


def test_pictures_are_read_upright(tmp_path: Path) -> None:
    image = noise(20, 30)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        Image.fromarray(image).save(path, exif=exif)
        with Image.open(path) as stored:
            from PIL import ImageOps

            wanted = np.asarray(ImageOps.exif_transpose(stored))
        np.testing.assert_array_equal(jb.PictureReader().read(str(path)), wanted)


def test_other_kinds_of_pictures(tmp_path: Path) -> None:
    reader = jb.PictureReader()
    deep = np.array([[0, 1000], [40000, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(noise(8, 8)).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(noise(8, 8)).convert("CMYK").save(tmp_path / "cmyk.jpg")
    assert reader.read(str(tmp_path / "deep.png"))[:, :, 0].tolist() == [[0, 3], [156, 255]]
    for name in ("palette.png", "cmyk.jpg"):
        assert reader.read(str(tmp_path / name)).shape == (8, 8, 3)
    (tmp_path / "empty.png").touch()
    with pytest.raises(jb.BenchmarkError, match=r"empty\.png cannot be read"):
        reader.read(str(tmp_path / "empty.png"))


def test_opencv_where_pillow_is_missing(tmp_path: Path, monkeypatch: Any) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    image = noise(40, 60)
    Image.fromarray(image).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    reader = jb.PictureReader()
    assert reader.library == f"OpenCV {cv2.__version__}"
    np.testing.assert_array_equal(reader.read(str(tmp_path / "a.png")), image)
    monkeypatch.undo()
    wanted = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.BILINEAR))
    assert np.abs(reader.shrink(image, 24, 24).astype(int) - wanted).max() <= 1
    (tmp_path / "b.png").write_bytes(b"none")
    with pytest.raises(jb.BenchmarkError, match="no picture that OpenCV reads"):
        reader.read(str(tmp_path / "b.png"))


def test_neither_library_is_an_error(monkeypatch: Any) -> None:
    for name in ("PIL", "cv2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(jb.BenchmarkError, match="sudo apt install python3-pil"):
        jb.PictureReader()


def test_folders(tmp_path: Path) -> None:
    for name in ("z.JPG", "a/b.png", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "._z.JPG").write_bytes(b"of another operating system")
    assert jb.find_pictures(str(tmp_path)) == ["a/b.png", "z.JPG"]
    (tmp_path / "none").mkdir()
    with pytest.raises(jb.BenchmarkError, match="holds no picture"):
        jb.find_pictures(str(tmp_path / "none"))
    with pytest.raises(jb.BenchmarkError, match="is no folder"):
        jb.find_pictures(str(tmp_path / "z.JPG"))


def raw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (P, 4) that sum to 1 and boxes (P, 4) in clumps, some over the picture's edge."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([2.0, 0.3, 0.3, 0.3], 500).astype(np.float32)
    centres = rng.choice(rng.uniform(0, 1, (6, 2)), 500) + rng.normal(0, 0.03, (500, 2))
    sides = rng.uniform(0.1, 0.4, (500, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], 1)
    return scores, boxes.astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_detections_as_in_evaluation(seed: int) -> None:
    scores, boxes = raw(seed)
    found = jb.Postprocess("tlx", None, {})(scores, boxes, (640, 480))
    (wanted,) = reference.select_all(torch.from_numpy(scores)[None], torch.from_numpy(boxes)[None])
    assert len(wanted.scores) == 100  # as many as are kept
    np.testing.assert_array_equal(found.labels, wanted.labels.numpy())
    np.testing.assert_array_equal(found.scores, wanted.scores.numpy())
    np.testing.assert_allclose(found.boxes, wanted.boxes.numpy(), atol=1e-7)


def test_the_options_that_the_model_states() -> None:
    scores, boxes = raw(0)
    stored = {"postprocess": {"score_threshold": 0.3, "nms_iou": 0.1, "max_detections": 5}}
    found = jb.Postprocess("tlx", None, stored)(scores, boxes, (640, 480))
    assert len(found.scores) == 5
    few = jb.Postprocess("tlx", 0.5, stored)(scores, boxes, (640, 480))
    assert len(few.scores) > 0
    assert few.scores.min() > 0.5


@pytest.mark.parametrize("seed", range(4))
def test_the_same_clusters_as_on_the_desk(seed: int) -> None:
    scores, boxes = raw(seed)
    for clustering in jb.CLUSTERINGS:
        same_clusters(scores, boxes, clustering)
    assert jb.CLUSTERINGS == detectnet.CLUSTERINGS


def same_clusters(scores: np.ndarray, boxes: np.ndarray, clustering: str) -> None:
    found = jb.Postprocess("detectnet", None, {}, clustering)(scores, boxes, (640, 480))
    wanted = detectnet.cluster(scores, boxes, (640, 480), clustering=clustering)
    assert len(wanted.scores) > 3
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.scores, wanted.scores)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-6)


def test_clusters_by_hand() -> None:
    """Two boxes of one class that share 81 of 100 pixels become their union; a third class none."""
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [0, 0, 10, 10]], np.float32) / 100
    scores = np.array([[0.1, 0.6, 0.3], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]], np.float32)
    found = jb.cluster(scores, boxes, (100, 100))
    assert found.labels.tolist() == [1, 2]
    np.testing.assert_allclose(found.scores, [0.8, 0.7])
    np.testing.assert_allclose(found.boxes * 100, [[0, 0, 11, 11], [0, 0, 10, 10]], atol=1e-4)


def test_no_detection_at_all() -> None:
    scores, boxes = np.tile(np.float32([1, 0, 0]), (6, 1)), np.zeros((6, 4), np.float32)
    for mode in jb.PREPROCESSES:
        found = jb.Postprocess(mode, None, {})(scores, boxes, (64, 48))
        assert jb.detection_row("a.jpg", (64, 48), found) == {
            "image": "a.jpg", "width": 64, "height": 48, "detections": [],
        }  # fmt: skip
