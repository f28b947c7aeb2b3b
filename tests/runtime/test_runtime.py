"""Models under their backends: the same scores and boxes as the checkpoint, or a clear refusal."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Compose
from tests.export.helpers_deploy import CLASSES, save_tiny_checkpoint
from tests.export.helpers_export import pixels, written
from tlx.common.errors import ConfigError, TlxError, ToolError, WeightsError
from tlx.data.augment import EvalTransform
from tlx.models.detectors.ssd.ssd import SSD
from tlx.runtime import open_model
from tlx.runtime.base import Runtime
from tlx.runtime.preprocess import normalize, resize

FORMATS = (
    ("torchscript", "torch", ()), ("pt2", "torch", ()),
    ("onnx", "onnxruntime", ("onnx", "onnxruntime")),
    ("onnx", "openvino", ("onnx", "openvino")),
    ("openvino", "openvino", ("onnx", "openvino")),
    ("ncnn", "ncnn", ("ncnn", "pnnx")),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def detector(folder: Path, tiny_set: Path, compose_config: Compose) -> SSD:
    config = compose_config("data=voc", f"data.root={tiny_set}", "detector.input_size=96")
    return save_tiny_checkpoint(folder / "best.ckpt", config)


def exported(folder: Path, format: str) -> Path:
    """Made once a format."""
    output = folder / format
    if not output.is_dir():
        written(folder / "best.ckpt", format, output)
    return next(p for p in output.iterdir() if p.name == _artefact(output))


def _artefact(output: Path) -> str:
    return json.loads((output / "model.json").read_text())["artefact"]


def pictures(runtime: Runtime, count: int) -> np.ndarray:
    """Normalised pictures (count, 3, S, S)."""
    values = pixels(count).astype(np.uint8).transpose(0, 2, 3, 1)
    return np.stack([normalize(v, runtime.meta.mean, runtime.meta.std) for v in values])


def expected(detector: SSD, count: int) -> tuple[np.ndarray, np.ndarray]:
    scores, boxes = detector.raw(detector.normalize(torch.from_numpy(pixels(count))))
    return scores.numpy(), boxes.numpy()


@pytest.mark.parametrize(("format", "backend", "packages"), FORMATS)
def test_every_backend_gives_the_checkpoints_outputs(
    format: str, backend: str, packages: tuple[str, ...], detector: SSD, folder: Path
) -> None:
    for package in packages:
        pytest.importorskip(
            package, reason=f"{package} is not installed: pip install 'tlx-detect[edge]'"
        )
    with open_model(exported(folder, format), backend, threads=1) as runtime:
        scores, boxes = runtime.raw(pictures(runtime, 3))  # three calls: the graph takes one
        assert runtime.backend == backend
        assert runtime.meta.classes == tuple(CLASSES)
    wanted_scores, wanted_boxes = expected(detector, 3)
    assert np.ptp(wanted_scores[..., 1]) > 0.2  # not all the same
    assert np.abs(scores - wanted_scores).max() < 1e-4
    assert np.abs(boxes - wanted_boxes).max() < 1e-4


def test_a_checkpoint_and_its_run_folder_are_models(detector: SSD, folder: Path) -> None:
    run = folder / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "best.ckpt").write_bytes((folder / "best.ckpt").read_bytes())
    for path in (run, folder / "best.ckpt"):
        with open_model(path) as runtime:
            scores, boxes = runtime.raw(pictures(runtime, 2))
            assert runtime.meta.config["data"]["name"] == "voc"
        assert np.abs(scores - expected(detector, 2)[0]).max() < 1e-6
        assert np.abs(boxes - expected(detector, 2)[1]).max() < 1e-6


def test_nms_inside_gives_the_same_detections(detector: SSD, folder: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install 'tlx-detect[edge]'")
    with open_model(folder / "best.ckpt") as reference:
        images = pictures(reference, 2)
        wanted = reference.detect(images, score_threshold=0.01, nms_iou=0.45, max_detections=100)
    with open_model(exported(folder, "onnx_nms"), threads=1) as runtime:
        found = runtime.detect(images)
        with pytest.raises(ConfigError, match="NMS inside"):
            runtime.raw(images)
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(np.sort(one.scores) - np.sort(other.scores)).max() < 1e-4


def test_the_resize_is_that_of_evaluation() -> None:
    picture = pixels(1, size=211)[0].astype(np.uint8).transpose(1, 2, 0)[:150]
    none = np.zeros((0, 4)), np.zeros(0, np.int64)
    wanted = EvalTransform(96)(picture, *none)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(resize(picture, 96), wanted)


def test_normalisation_is_the_detectors_to_the_last_bit(detector: SSD, folder: Path) -> None:
    with open_model(folder / "best.ckpt") as runtime:
        mine = pictures(runtime, 1)
    theirs = detector.normalize(torch.from_numpy(pixels(1)))
    assert np.abs(mine - theirs.numpy()).max() < 3e-7


def test_wrong_pictures_are_refused(detector: SSD, folder: Path) -> None:
    with open_model(folder / "best.ckpt") as runtime:
        for wrong in (np.zeros((1, 3, 300, 300), np.float32), np.zeros((1, 3, 96, 96))):
            with pytest.raises(ValueError, match="takes float32"):
                runtime.raw(wrong)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("x.onnx", {"backend": "caffe"}, ConfigError, "none of torch, onnxruntime"),
        ("x.onnx", {"backend": "ncnn"}, ConfigError, "onnxruntime, openvino does"),
        ("x.jpeg", {}, ConfigError, "is no model"),
        ("missing.onnx", {}, WeightsError, "does not exist"),
        ("x.onnx", {"precision": "bf16"}, ConfigError, "computes in fp32, not in bf16"),
        ("x.pt2", {"device": "nonsense", "trust": True}, ConfigError, "none that torch knows"),
        ("x.pt2", {"trust": True}, WeightsError, "keep the model.json"),
        ("x.engine", {}, TlxError, "tensorrt|GPU"),
        ("best.ckpt", {"precision": "bf16"}, ConfigError, "export it"),
    ],
)
def test_what_cannot_be_opened_says_why(
    name: str, options: dict, error: type[Exception], message: str, detector: SSD, tmp_path: Path
) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(error, match=message):
        open_model(tmp_path / name, **options)


def test_a_description_of_another_file_is_refused(detector: SSD, folder: Path) -> None:
    path = exported(folder, "pt2")
    stray = path.with_name("other.pt2")
    stray.write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match=r"describes ssd-mobilenet_v1\.pt2, not other\.pt2"):
        open_model(stray)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("classes", None, "lacks 'classes'"), ("mean", [1.0], "damaged"), ("input_size", 0, "size")],
)
def test_a_damaged_description_is_named(
    key: str, value: object, message: str, detector: SSD, folder: Path, tmp_path: Path
) -> None:
    path = exported(folder, "torchscript")
    values = json.loads((path.parent / "model.json").read_text())
    changed = {**values, key: value} if value is not None else {
        k: v for k, v in values.items() if k != key
    }  # fmt: skip
    (tmp_path / "model.json").write_text(json.dumps(changed))
    (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match=message):
        open_model(tmp_path / path.name)


@pytest.mark.skipif(find_spec("ai_edge_litert") is not None, reason="LiteRT is installed")
def test_a_missing_package_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"nothing")
    with pytest.raises(ToolError, match=r"pip install 'tlx-detect\[edge\]'"):
        open_model(tmp_path / "x.tflite")
