"""ONNX files: equal to the checkpoint at every opset, complete, and the same bytes twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import SHARED
from tests.export.helpers_export import (
    distinct,
    expected,
    normalised,
    onnx_outputs,
    pixels,
    source_of,
    write_checkpoint,
    write_pytorch_ssd,
    written,
)
from tests.models.helpers_engine import NAMES
from tlx.common.errors import ConfigError, ExportError
from tlx.export import onnx_file
from tlx.export.contract import check_detectnet
from tlx.export.network import ExportNetwork
from tlx.export.onnx_file import load_onnx, opset_of, save_network, save_onnx
from tlx.export.onnx_nms import with_nms
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.normalisation import DETECTNET, Normalisation
from tlx.models.postprocess import select_all
from tlx.runtime.description import describe, from_properties, to_properties
from tlx.runtime.source import load_source

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'tlx-detect[edge]'")
pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: pip install 'tlx-detect[edge]'"
)

OPTIONS = {"score_threshold": 0.3, "nms_iou": 0.45, "max_detections": 20}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("opset", [11, 20])
def test_equals_the_detector(name: str, opset: int, tmp_path: Path) -> None:
    source = source_of(name)
    own = Normalisation.of(source.detector)
    save_network(ExportNetwork(source.detector, own), 96, tmp_path / "m.onnx", opset)
    values = pixels()
    scores, boxes = onnx_outputs(tmp_path / "m.onnx", normalised(values, own))
    want_scores, want_boxes = expected(source.detector, values)
    assert np.ptp(want_scores[..., 1]) > 0.1, "scores that are all alike would equal anything"
    assert np.abs(scores - want_scores).max() < 1e-4
    # Relative where random heads give boxes many times as large as the picture.
    assert (np.abs(boxes - want_boxes) <= 1e-4 * np.maximum(1, np.abs(want_boxes))).all()
    model = load_onnx(tmp_path / "m.onnx")
    assert opset_of(model) == opset
    operators = {node.op_type for node in model.graph.node}
    assert "BatchNormalization" not in operators
    # What a static graph does not need, and old parsers trip over.
    assert not operators & {"Shape", "Gather", "Where", "Expand", "If"}


@pytest.mark.shared_data
@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_golden_mb1_ssd(opset: int, tmp_path: Path) -> None:
    made = written(SHARED / "golden" / "mb1-ssd-pytorch-ssd.pth", "onnx", tmp_path, opset=opset)
    golden = np.load(SHARED / "golden" / "mb1-ssd-pytorch-ssd.npz")
    image = golden["image_uint8"].transpose(2, 0, 1)[None].astype(np.float32)
    scores, boxes = onnx_outputs(made.path, (image - 127) / np.float32(128))
    assert np.abs(scores - golden["scores"]).max() <= 1e-4
    assert np.abs(boxes - golden["boxes"]).max() <= 1e-4
    assert opset_of(load_onnx(made.path)) == opset
    assert check_detectnet(made.path, tmp_path / "labels.txt") == []
    assert len((tmp_path / "labels.txt").read_text().splitlines()) == 21


def test_pytorch_ssd_checkpoint(tmp_path: Path) -> None:
    detector = write_pytorch_ssd(tmp_path / "mb1.pth", classes=3)
    (tmp_path / "labels.txt").write_text("BACKGROUND\na\nb\nc\n")
    made = written(tmp_path / "mb1.pth", "onnx", tmp_path / "out")
    values = pixels(size=300)
    scores, boxes = onnx_outputs(made.path, (values - 127) / np.float32(128))
    want_scores, want_boxes = expected(detector, values)
    assert scores.shape == (1, 3000, 4)
    assert np.abs(scores - want_scores).max() < 1e-4
    assert np.abs(boxes - want_boxes).max() < 1e-4
    assert made.description["classes"] == ["a", "b", "c"]
    assert (tmp_path / "out" / "labels.txt").read_bytes() == b"BACKGROUND\na\nb\nc"
    assert check_detectnet(made.path, tmp_path / "out" / "labels.txt") == []


def test_the_same_bytes_again_and_nothing_of_the_machine(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "best.ckpt")
    for opset in (11, 20):
        first = written(tmp_path / "best.ckpt", "onnx", tmp_path / f"a{opset}", opset=opset).path
        second = written(tmp_path / "best.ckpt", "onnx", tmp_path / f"b{opset}", opset=opset).path
        assert first.read_bytes() == second.read_bytes()
        for word in (str(tmp_path), str(Path(torch.__file__).parent), "network.py"):
            assert word.encode() not in first.read_bytes()


def test_metadata_says_what_the_file_is(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "best.ckpt")
    made = written(tmp_path / "best.ckpt", "onnx", tmp_path / "out")
    stored = {p.key: p.value for p in load_onnx(made.path).metadata_props}
    about = from_properties(stored)
    assert about == {k: v for k, v in made.description.items() if k not in ("artefact", "files")}
    assert (about["classes"], about["input_size"], about["opset"]) == (["cat", "dog"], 96, 11)
    source = load_source(tmp_path / "best.ckpt")
    assert about["checkpoint_sha256"] == source.sha256
    own = describe(
        source, Normalisation.of(source.detector), format="onnx", precision="fp32", opset=11
    )
    assert from_properties(to_properties(own)) == about


def test_another_opset_than_asked_for_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "onnxscript", reason="onnxscript is not installed: pip install 'tlx-detect[edge]'"
    )
    source = source_of()
    network = ExportNetwork(source.detector, DETECTNET)
    # This exporter stays at 18 where it cannot convert down, and says so in a log at most.
    monkeypatch.setattr(onnx_file, "FIRST_OF_DYNAMO", 9)
    with pytest.raises(ExportError, match="opset=9"):
        save_network(network, 96, tmp_path / "m.onnx", 9)
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(("opset", "message"), [(10, "lowest that can is 11"), ("x", "neither")])
def test_opsets_that_cannot_be(opset: object, message: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "best.ckpt")
    with pytest.raises(ConfigError, match=message):
        written(tmp_path / "best.ckpt", "onnx", tmp_path / "out", opset=opset)


def test_the_input_of_detectnet_is_changed_inside_exactly(tmp_path: Path) -> None:
    source = source_of("mobilenet_v2")  # ImageNet's mean and deviation
    save_network(ExportNetwork(source.detector, DETECTNET), 96, tmp_path / "m.onnx", 11)
    values = pixels()
    scores, boxes = onnx_outputs(tmp_path / "m.onnx", values / np.float32(127.5) - 1)
    want_scores, want_boxes = expected(source.detector, values)
    assert np.abs(scores - want_scores).max() < 1e-4
    assert np.abs(boxes - want_boxes).max() < 1e-4


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "vgg16"])
def test_maps_of_odd_sides_are_exported(name: str, tmp_path: Path) -> None:
    """100 px: 50, 25, 13, 7, 4, where VGG's poolings round up."""
    spec = source_of(name).detector.spec
    detector = distinct(SSD(spec, spec.conventions, 2, 100)).eval()
    own = Normalisation.of(detector)
    save_network(ExportNetwork(detector, own), 100, tmp_path / "m.onnx", 11)
    values = pixels(1, 100)
    scores, boxes = onnx_outputs(tmp_path / "m.onnx", normalised(values, own))
    want_scores, want_boxes = expected(detector, values)
    assert scores.shape == want_scores.shape
    assert np.abs(scores - want_scores).max() < 1e-4
    assert np.abs(boxes - want_boxes).max() < 1e-4


def test_fp16_computes_in_half_and_decodes_in_single(tmp_path: Path) -> None:
    source = source_of("efficientnet_lite0")
    own = Normalisation.of(source.detector)
    save_network(ExportNetwork(source.detector, own, half=True), 96, tmp_path / "m.onnx", 11)
    model = load_onnx(tmp_path / "m.onnx")
    half = onnx.TensorProto.FLOAT16
    kinds = {i.name: i.data_type for i in model.graph.initializer}
    weights = [n.input[1] for n in model.graph.node if n.op_type == "Conv"]
    assert {kinds[name] for name in weights} == {half}
    values = pixels()
    scores, boxes = onnx_outputs(tmp_path / "m.onnx", normalised(values, own))
    assert scores.dtype == boxes.dtype == np.float32
    want_scores, want_boxes = expected(source.detector, values)
    assert 0 < np.abs(scores - want_scores).max() < 0.02
    assert np.abs(boxes - want_boxes).max() < 0.02


@pytest.mark.parametrize("threshold", [0.3, 1.0])
def test_nms_inside_equals_the_postprocessing(threshold: float, tmp_path: Path) -> None:
    source = source_of()
    own = Normalisation.of(source.detector)
    save_network(ExportNetwork(source.detector, own), 96, tmp_path / "raw.onnx", 13)
    options = OPTIONS | {"score_threshold": threshold}
    save_onnx(with_nms(load_onnx(tmp_path / "raw.onnx"), options), tmp_path / "nms.onnx")
    values = pixels()
    boxes, scores, labels = onnx_outputs(tmp_path / "nms.onnx", normalised(values, own))
    (want,) = select_all(*map(torch.from_numpy, expected(source.detector, values)), **options)
    assert len(want.scores) == (20 if threshold == 0.3 else 0)
    assert np.array_equal(labels, want.labels.numpy())
    assert np.abs(scores - want.scores.numpy()).max(initial=0) < 1e-4
    assert np.abs(boxes - want.boxes.numpy()).max(initial=0) < 1e-4
