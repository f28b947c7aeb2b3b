"""What fits a K210: the rules by hand, and the backbones against what nncase 1.9 said of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.classify.helpers_classify import classifier_of, write_checkpoint, write_set
from tlx.classify.export_network import ExportClassifier
from tlx.classify.k210 import BEYOND, Fit, Layer, check_k210, judge, kpu_bytes
from tlx.classify.maixpy import MaixConfig, run
from tlx.classify.maixpy import judge as judge_kmodel
from tlx.classify.network import Classifier
from tlx.common.errors import ExportError
from tlx.export.onnx_file import save_network
from tlx.models.backbones.base import SAME, backbone_spec
from tlx.models.normalisation import Normalisation


def layer(
    side: int = 64, channels: int = 8, stride: int = 1, weights: int = 100, why: str | None = None
) -> Layer:
    shape = (channels, side, side)
    return Layer("one", shape, (channels, side // stride, side // stride), stride, weights, why)


def faults(size: tuple[int, int], *layers: Layer) -> str:
    return "\n".join(judge([1, 3, *size], list(layers), []).faults)


def test_rows_of_the_kpu() -> None:
    assert kpu_bytes((3, 10, 64)) == 3 * 10 * 64
    assert kpu_bytes((3, 10, 65)) == 3 * 10 * 128  # rows of 64 bytes
    assert kpu_bytes((3, 10, 32)) == 2 * 10 * 64  # two channels share a row
    assert kpu_bytes((5, 4, 4)) == 2 * 4 * 64  # four


def test_input_sides() -> None:
    assert not faults((224, 224), layer())
    assert "320x240" in faults((256, 256), layer())
    assert not faults((224, 320), layer())
    assert "no multiple of 32" in faults((100, 96), layer())
    assert "data.input_size=128" in faults((100, 100), layer())


def test_kpu_ram_counts_a_stride_of_two_in_full() -> None:
    """112 x 112 x 64 in rows of 128 bytes: 0.875 MB; twice is under 2 MB, 96 channels are not."""
    assert layer(112, 64, 2).kpu_bytes == 2 * 112 * 128 * 64
    assert not faults((224, 224), layer(112, 64, 2))
    assert "one: input 112x112x96 and output need 2.62 MB" in faults((224, 224), layer(112, 96, 2))
    assert layer(112, 96, 2, why="kernel 5x5").kpu_bytes == 0


def test_general_ram_counts_float_weights_four_times() -> None:
    fit = Fit([layer(8, 4, weights=1000), layer(8, 4, weights=10, why="dilation")], 192, [], [])
    assert fit.weight_bytes == 1000 + 40
    assert fit.general_bytes == 1040 + 192 + 4 * 2 * 4 * 64
    assert "there are 6" in faults((128, 128), layer(weights=7 * 2**20))
    notes = judge([1, 3, 128, 128], [layer(weights=4 * 2**20)], []).notes
    assert "firmware leaves about 3.5" in "\n".join(notes)


# (backbone, side) -> whether nncase 1.9.0.20230322 found room, and the size of its kmodel, if so.
CONVERTED = {
    ("mobilenet_v1", 128): 3_290_960, ("mobilenet_v1", 224): 3_290_960,
    ("mobilenet_v1", 288): None, ("mobilenet_v2", 128): 2_119_592,
    ("mobilenet_v2", 192): None, ("mobilenet_v2", 224): None,
}  # fmt: skip


@pytest.mark.parametrize(("case", "size"), CONVERTED.items())
def test_backbones_as_the_converter_found_them(
    case: tuple[str, int], size: int | None, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="pip install -e '.[edge]'")
    classifier = classifier_of(case[0], case[1])
    network = ExportClassifier(classifier, Normalisation.of(classifier))
    save_network(network, case[1], tmp_path / "m.onnx", 11, ("output_0",))
    fit = check_k210(tmp_path / "m.onnx")
    assert bool(fit.faults) == (size is None)
    if size is not None:
        assert 0.8 < fit.weight_bytes / size < 1.05
        assert not any("kernel" in note for note in fit.notes)


def test_efficientnet_does_not_fit_and_says_why(tmp_path: Path) -> None:
    """nncase made 9,626,784 bytes of it at 128 px."""
    pytest.importorskip("onnx", reason="pip install -e '.[edge]'")
    classifier = classifier_of("efficientnet_lite0", 128)
    network = ExportClassifier(classifier, Normalisation.of(classifier))
    save_network(network, 128, tmp_path / "m.onnx", 11, ("output_0",))
    fit = check_k210(tmp_path / "m.onnx")
    assert 0.9 < fit.weight_bytes / 9_626_784 < 1.2
    assert "there are 6; backbone=mobilenet_v1" in fit.faults[0]
    assert "kernel 5x5: 9 layers run on the CPU" in "\n".join(fit.notes)


def test_asymmetric_padding_is_named(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="pip install -e '.[edge]'")
    make, numbers = onnx.helper, onnx.TensorProto.FLOAT
    conv = make.make_node(
        "Conv", ["x", "w"], ["y"], "stem", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]
    )
    values = [make.make_tensor_value_info("x", numbers, [1, 3, 64, 64])]
    ends = [make.make_tensor_value_info("y", numbers, [1, 8, 32, 32])]
    weight = make.make_tensor("w", numbers, [8, 3, 3, 3], [0.0] * 216)
    graph = make.make_graph([conv], "g", values, ends, [weight])
    onnx.save(make.make_model(graph), str(tmp_path / "m.onnx"))
    (found,) = check_k210(tmp_path / "m.onnx").layers
    assert found.reason == "asymmetric padding [0, 0, 1, 1]"


def test_a_kmodel_that_finds_other_classes_is_refused() -> None:
    good = {"bytes": 3_000_000, "agreement": 0.95}
    assert not judge_kmodel(Path("m.kmodel"), good)
    assert "95%" not in "".join(judge_kmodel(Path("m"), good | {"bytes": 7_000_000}))
    assert "in 50% of the test" in "".join(judge_kmodel(Path("m"), good | {"agreement": 0.5}))
    assert judge_kmodel(Path("m"), good | {"agreement": float("nan")})


def test_a_network_that_does_not_fit_is_refused_by_the_program(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install -e '.[edge]'")
    root = write_set(tmp_path / "set", {"train": 1, "val": 1, "test": 1})
    write_checkpoint(tmp_path / "best.ckpt", root, "efficientnet_lite0")
    cfg = MaixConfig(
        str(tmp_path / "best.ckpt"), str(tmp_path / "out"), cache_dir=str(tmp_path / "c")
    )
    with pytest.raises(ExportError, match="does not fit a K210"):
        run(cfg)


@pytest.mark.skipif("TLX_KMODEL_ENV" not in os.environ, reason="no nncase 1.9 in TLX_KMODEL_ENV")
def test_conversion_and_simulator(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install -e '.[edge]'")
    root = write_set(tmp_path / "set", {"train": 4, "val": 1, "test": 2})
    write_checkpoint(tmp_path / "best.ckpt", root)
    cfg = MaixConfig(
        str(tmp_path / "best.ckpt"), str(tmp_path / "out"), cache_dir=str(tmp_path / "c")
    )
    about = run(cfg)
    assert (tmp_path / "out/sd/model.kmodel").read_bytes()[:5] == b"LDMK\x05"
    assert about["kmodel"]["pictures"] == 6


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_padding_of_tensorflow_leaves_the_kpu(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="pip install -e '.[edge]'")
    spec = backbone_spec(name)
    conventions = replace(spec.conventions, padding=SAME)
    classifier = Classifier(spec, conventions, 4, 128).eval()
    network = ExportClassifier(classifier, Normalisation.of(classifier))
    save_network(network, 128, tmp_path / "m.onnx", 11, ("output_0",))
    fit = check_k210(tmp_path / "m.onnx")
    notes = "\n".join(fit.notes)
    assert "asymmetric padding [0, 0, 1, 1]: 5 layers run on the CPU" in notes
    assert "beside an asymmetric padding" in notes
    # MobileNetV1's last pair of layers is wide, and float32 weights are four times as large.
    assert bool(fit.faults) == (name == "mobilenet_v1")
    assert all("symmetric padding, as the other sources" in fault for fault in fit.faults)


@pytest.mark.parametrize(
    ("name", "size", "ram"), [("mobilenet_v1", 5_935_592, 6.10), ("mobilenet_v2", 4_046_144, 4.30)]
)
def test_the_mlp_head_as_the_converter_found_it(
    name: str, size: int, ram: float, tmp_path: Path
) -> None:
    """At 128 px with 4 classes: bytes of the kmodel, and the MB of RAM in all that nncase told."""
    pytest.importorskip("onnx", reason="pip install -e '.[edge]'")
    spec = backbone_spec(name)
    classifier = Classifier(spec, spec.conventions, 4, 128, head="mlp").eval()
    network = ExportClassifier(classifier, Normalisation.of(classifier))
    save_network(network, 128, tmp_path / "m.onnx", 11, ("output_0",))
    fit = check_k210(tmp_path / "m.onnx")
    assert 0.8 < fit.weight_bytes / size < 1.05
    assert fit.general_bytes / 2**20 < ram <= (fit.general_bytes + BEYOND) / 2**20 + 0.01
    assert bool(fit.faults) == (ram > 6)
    for fault in fit.faults:
        assert "2.50 MB are of the head: train with classifier.head=linear" in fault
