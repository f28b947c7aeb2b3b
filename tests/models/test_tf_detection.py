"""Detectors of TensorFlow's Object Detection API: read, run, exported, and as a start."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import box_convert

import tlx.export.__main__
from tests.conftest import SHARED, Compose
from tests.export.helpers_export import onnx_outputs
from tests.models.helpers_tf import BACKBONES, V1, V2, random_arrays, reference, write_npz
from tlx.common.errors import ConfigError, WeightsError
from tlx.config.check import check_config
from tlx.export.contract import check_interface
from tlx.export.network import ExportNetwork
from tlx.export.onnx_file import load_onnx, save_network
from tlx.freeze.depth import frozen_blocks
from tlx.models.backbones import mobilenet_v2
from tlx.models.backbones.base import SAME, SYMMETRIC, backbone_spec
from tlx.models.backbones.numpy_weights import LARGEST
from tlx.models.backbones.tf_anchor_order import in_order_of_today
from tlx.models.backbones.weights import Pretrained, resolve
from tlx.models.blocks import as_blocks
from tlx.models.detector import Targets
from tlx.models.detectors.ssd.scores import SIGMOID
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.detectors.ssd_tf.anchors import make_anchors
from tlx.models.detectors.ssd_tf.ssd_tf import TFSSD
from tlx.models.fold_check import FoldCheck
from tlx.models.normalisation import Normalisation
from tlx.records.checkpoint import load_detector
from tlx.runtime.source import load_source
from tlx.training.run import run

CELLS_300 = [19, 10, 5, 3, 2, 1]
YX = [1, 0, 3, 2]
# Of a cell, from the first order of the API to today's.
TODAY = [0, 2, 3, 4, 5, 1]


def loaded(path: Path, network: str, classes: int, size: int) -> TFSSD:
    spec = TFSSD.backbone_for(backbone_spec(BACKBONES[network]))
    pretrained = resolve(spec, str(path))
    detector = TFSSD(spec, pretrained.conventions, classes, size)
    detector.load_pretrained(pretrained)
    return detector.eval()


def picture(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def normalised(detector: TFSSD, image: np.ndarray) -> torch.Tensor:
    return detector.normalize(torch.from_numpy(image).permute(2, 0, 1)[None])


def outputs(detector: TFSSD, image: np.ndarray, *, plain: bool) -> list[np.ndarray]:
    """Class logits and box encodings in TensorFlow's order."""
    with torch.set_grad_enabled(plain):  # without, every block runs folded
        logits, boxes = (v.detach()[0].numpy() for v in detector(normalised(detector, image)))
    return [logits, boxes[:, YX]]


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "folded"])
@pytest.mark.parametrize("size", [128, 107])  # even sides on the way down, and odd ones
@pytest.mark.parametrize("network", [V1, V2])
def test_it_computes_what_tensorflow_does(
    network: str, size: int, plain: bool, tmp_path: Path
) -> None:
    arrays = write_npz(tmp_path / "w.npz", network, 2)
    detector = loaded(tmp_path / "w.npz", network, 2, size)
    assert detector.loaded == {name for name, _ in detector.trunk()}
    image = picture(size)
    found, wanted = outputs(detector, image, plain=plain), reference(arrays, network, image)
    for values, expected in zip(found, wanted, strict=True):
        assert values.shape == expected.shape
        assert expected.std() > 0.1, "outputs that are all alike would equal anything"
        assert np.abs(values - expected).max() < 1e-3


@pytest.mark.parametrize("opset", [11, 20])
@pytest.mark.parametrize("network", [V1, V2])
def test_its_onnx_file_equals_it(network: str, opset: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    write_npz(tmp_path / "w.npz", network, 2)
    detector = loaded(tmp_path / "w.npz", network, 2, 107)
    path = tmp_path / "m.onnx"
    save_network(ExportNetwork(detector, Normalisation.of(detector)), 107, path, opset)
    x = normalised(detector, picture(107))
    for values, expected in zip(onnx_outputs(path, x.numpy()), detector.raw(x), strict=True):
        assert np.abs(values - expected.numpy()).max() < 1e-4
    (tmp_path / "labels.txt").write_text("BACKGROUND\na\nb")
    assert check_interface(path, tmp_path / "labels.txt") == []
    nodes = list(load_onnx(path).graph.node)
    assert not {node.op_type for node in nodes} & {"Pad", "Shape", "Softmax"}
    pads = [list(a.ints) for node in nodes for a in node.attribute if a.name == "pads"]
    # Halved are sides of 107, 54, 27, 14, 7, 4, 2, 1 and 1: the even ones are padded at the end.
    assert pads.count([0, 0, 1, 1]) == 4
    assert sum(p == [1, 1, 1, 1] for p in pads) > 4


def test_anchors_by_hand() -> None:
    """The first cells of the first two maps, and the last anchor, of `create_ssd_anchors`."""
    anchors = make_anchors(CELLS_300)
    assert len(anchors) == 1917
    r2, r3, thin = 2**0.5, 3**0.5, 0.3333**0.5
    first = [(0.1, 0.1), (0.2 * r2, 0.2 / r2), (0.2 / r2, 0.2 * r2)]
    middle = (0.35 * 0.5) ** 0.5
    second = [
        (0.35, 0.35), (0.35 * r2, 0.35 / r2), (0.35 / r2, 0.35 * r2), (0.35 * r3, 0.35 / r3),
        (0.35 * thin, 0.35 / thin), (middle, middle),
    ]  # fmt: skip
    assert torch.allclose(anchors[:3, 2:], torch.tensor(first))
    assert torch.allclose(anchors[:3, :2], torch.full((3, 2), 0.5 / 19))
    assert torch.allclose(anchors[3, :2], torch.tensor([1.5 / 19, 0.5 / 19]))
    assert torch.allclose(anchors[1083:1089, 2:], torch.tensor(second))
    assert torch.allclose(anchors[-1], torch.tensor([0.5, 0.5, 0.95**0.5, 0.95**0.5]))


def test_heads_of_the_first_version_are_brought_into_the_order_of_today() -> None:
    """Predictors of like anchors are alike: pairs of rows with a part in common."""
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(3, 4 * 64, generator=generator)
    own = torch.randn(6, 4 * 64, generator=generator)
    today = (0.7 * own + common[[0, 1, 2, 1, 2, 0]]).reshape(24, 64, 1, 1)
    boxes = torch.arange(24.0).reshape(24, 1, 1, 1).expand(24, 64, 1, 1).contiguous()
    state = {"heads.classify.1.weight": today, "heads.classify.1.bias": torch.arange(24.0),
             "heads.regress.1.weight": boxes, "heads.regress.0.weight": boxes[:12]}  # fmt: skip
    assert in_order_of_today(state) is state

    first_version = [TODAY.index(i) for i in range(6)]
    old = {
        key: value.unflatten(0, (6, -1))[first_version].flatten(0, 1) if ".1." in key else value
        for key, value in state.items()
    }
    assert not torch.equal(old["heads.regress.1.weight"], boxes)
    found = in_order_of_today(old)
    assert all(torch.equal(found[key], value) for key, value in state.items())


def test_random_heads_are_taken_as_they_stand(tmp_path: Path) -> None:
    arrays = write_npz(tmp_path / "w.npz", V1, 3)
    state = resolve(backbone_spec("mobilenet_v1"), str(tmp_path / "w.npz")).state
    rows = arrays["BoxPredictor_1/ClassPredictor/biases"]
    assert np.array_equal(state["heads.classify.1.bias"].numpy(), rows)


def test_sigmoid_cross_entropy_is_of_each_class() -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, 2, 0, 0], [2, 2, 1, 0, 1]])
    wanted = torch.zeros_like(logits)
    for b, p in np.ndindex(2, 5):
        wanted[b, p, labels[b, p]] = 1
    each = binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    assert torch.allclose(SIGMOID.loss(logits, labels), each.sum(2))


@pytest.mark.parametrize("objects", [0, 2])
def test_the_loss_is_finite_and_reaches_all_parts(objects: int) -> None:
    spec = backbone_spec("mobilenet_v2")
    detector = TFSSD(spec, spec.conventions, 2, 96).train()
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.6], [0.3, 0.2, 0.9, 0.8]])[:objects].expand(2, -1, -1)
    targets = Targets(boxes, torch.ones(2, objects, dtype=torch.int64))
    maps = detector.features(torch.randn(2, 3, 96, 96))
    losses = detector.loss(maps, targets, min_negatives=3)
    losses["loss"].backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert any(p.grad.abs().sum() > 0 for p in detector.backbone.parameters())


# --- as a start -------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [V1, V2])
def test_a_start_for_the_ordinary_detector(
    network: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_npz(tmp_path / "w.npz", network, 2)
    spec = backbone_spec(BACKBONES[network])
    pretrained = resolve(spec, str(tmp_path / "w.npz"))
    assert (pretrained.conventions.padding, pretrained.conventions.bn_eps) == (SAME, 1e-3)
    assert pretrained.conventions.mean == pretrained.conventions.std == (0.5,) * 3
    detector = SSD(spec, pretrained.conventions, 2, 96)
    with caplog.at_level(logging.INFO):
        detector.load_pretrained(pretrained)
    assert detector.loaded == set(spec.blocks)
    count = len(spec.blocks)
    assert f"taken: {count} of {count} blocks of backbone, 0 of 4 blocks of extras" in caplog.text
    assert "left: extras from extra_1 on (extras.extra_1." in caplog.text
    assert "heads (heads.classify.0.weight is" in caplog.text


def test_classes_decide_on_the_class_predictors_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_npz(tmp_path / "w.npz", V1, 2)
    state = resolve(backbone_spec("mobilenet_v1"), str(tmp_path / "w.npz")).state
    with caplog.at_level(logging.INFO):
        other = loaded(tmp_path / "w.npz", V1, 5, 96)
    assert "left: heads.classify (heads.classify.0.weight is (9, 512, 1, 1)" in caplog.text
    assert torch.equal(other.heads.regress[2].weight, state["heads.regress.2.weight"])
    assert other.heads.classify[2].weight.shape[0] == 6 * 6
    assert float(other.heads.classify[2].weight.detach().std()) < 0.02  # as it was drawn
    same = loaded(tmp_path / "w.npz", V1, 2, 96)
    assert torch.equal(same.heads.classify[2].weight, state["heads.classify.2.weight"])


def test_the_two_divisions_of_mobilenet_v2_read_each_other() -> None:
    whole = SSD(backbone_spec("mobilenet_v2"), mobilenet_v2.IMAGENET, 2, 96)
    apart = TFSSD(backbone_spec("mobilenet_v2"), mobilenet_v2.IMAGENET, 2, 96)
    state = {k: v for k, v in whole.state_dict().items() if "num_batches" not in k}
    apart.load_pretrained(Pretrained(mobilenet_v2.split(state), apart.conventions, "whole", None))
    assert apart.loaded == set(mobilenet_v2.EXPANDED_BLOCKS) - {mobilenet_v2.LAST}
    x = torch.randn(1, 3, 96, 96)
    blocks = [whole.eval().backbone.blocks, apart.eval().backbone.blocks]
    a = b = x
    with torch.no_grad():
        for block in blocks[0].values():
            a = block(a)
        for name, block in blocks[1].items():
            b = b if name == mobilenet_v2.LAST else block(b)
    assert torch.allclose(a, b, atol=1e-6)
    back = mobilenet_v2.joined(dict(apart.state_dict()))
    assert {k for k in back if k.startswith("backbone.")} == {
        k for k in whole.state_dict() if k.startswith("backbone.")
    }


def test_names_of_blocks() -> None:
    """Those of `ssd` stay; of `ssd_tf` a block's name freezes what it freezes there."""
    plain = backbone_spec("mobilenet_v2")
    spec = TFSSD.backbone_for(plain)
    assert plain.blocks == ("stem", *(f"bottleneck_{i}" for i in range(1, 18)))
    assert (
        frozen_blocks("bottleneck_13", plain)
        == frozen_blocks("bottleneck_13", spec)
        == as_blocks(14)
    )
    assert frozen_blocks("bottleneck_14_expand", spec) == as_blocks(15)
    assert frozen_blocks("bottleneck_14", spec) == as_blocks(16)
    assert frozen_blocks("all", spec) == as_blocks(20)
    assert frozen_blocks("heads", spec, TFSSD.own_blocks) == as_blocks(24)
    assert TFSSD.backbone_for(spec) is spec


@pytest.mark.parametrize("frozen", [0, 8, 15, 16, 20, 24])
def test_the_frozen_prefix_computes_the_same(frozen: int, tmp_path: Path) -> None:
    write_npz(tmp_path / "w.npz", V2, 2)
    detector = loaded(tmp_path / "w.npz", V2, 2, 107)
    wanted = outputs(detector, picture(107), plain=True)
    FoldCheck(detector).compare(detector, {torch.float32, torch.bfloat16})
    detector.freeze(frozen, frozen)
    for plain in (True, False):
        for values, expected in zip(
            outputs(detector, picture(107), plain=plain), wanted, strict=True
        ):
            assert np.abs(values - expected).max() < 1e-3


def test_another_backbone_is_refused(compose_config: Compose) -> None:
    with pytest.raises(ConfigError, match=r"mobilenet_v1 or mobilenet_v2, not on efficientnet"):
        check_config(compose_config("detector=ssd_tf"))


def test_a_batch_of_one_trains() -> None:
    # The last map is one cell: nothing to take the statistics of its batch norm from.
    spec = TFSSD.backbone_for(backbone_spec("mobilenet_v1"))
    detector = TFSSD(spec, spec.conventions, 1, 128).train()
    targets = Targets(torch.tensor([[[0.2, 0.2, 0.7, 0.7]]]), torch.ones(1, 1, dtype=torch.int64))
    detector.loss(detector.features(torch.randn(1, 3, 128, 128)), targets)["loss"].backward()
    assert detector.extras["extra_4"].expand.bn.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("network", "freeze", "more"),
    [(V1, "heads", "trainer.freeze_bn=true"), (V2, "bottleneck_14_expand", "cache=memory")],
)
def test_a_run_from_such_a_file(
    network: str, freeze: str, more: str, tiny_config: Compose, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    write_npz(tmp_path / "w.npz", network, 2)
    folder = tmp_path / "run"
    cfg = tiny_config(
        "detector=ssd_tf", "detector.input_size=96", f"backbone={BACKBONES[network]}",
        f"backbone.weights={tmp_path / 'w.npz'}", f"freeze={freeze}", "cache.views=2", more,
    )  # fmt: skip
    record = run(cfg, folder)
    assert (record["status"], record["detector"]) == ("finished", "ssd_tf")
    assert record["frozen"]["hash_before"] == record["frozen"]["hash_after"]
    assert record["frozen"]["blocks"][-1] == ("extra_4" if freeze == "heads" else freeze)
    detector, meta = load_detector(folder / "checkpoints" / "last.ckpt")
    assert type(detector) is TFSSD
    assert meta["conventions"]["padding"] == SAME
    cache = f"cache_dir={tmp_path / 'cache'}"
    out = tmp_path / "onnx"
    tlx.export.__main__.main([f"checkpoint={folder}", "format=onnx", f"output={out}", cache])
    about = json.loads((out / "model.json").read_text())
    assert about["parity"]["passed"]
    assert about["score_form"].startswith("a sigmoid for each class")

    # And it is a start again, for either detector.
    spec = backbone_spec(BACKBONES[network])
    pretrained = resolve(spec, str(folder / "checkpoints" / "last.ckpt"))
    ordinary = SSD(spec, pretrained.conventions, 2, 96)
    ordinary.load_pretrained(pretrained)
    assert ordinary.loaded == set(spec.blocks)


# --- files ------------------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        resolve(backbone_spec("mobilenet_v1"), str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([{"a": 1}], dtype=object))
    assert "cannot be read as weights" in refused(tmp_path / "w.npz")


def test_words_are_no_weights(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array(["a"]))
    assert "a is no array of numbers" in refused(tmp_path / "w.npz")


def test_an_archive_of_another_network_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.ones(3))
    assert "is no mobilenet_v1" in refused(tmp_path / "w.npz")
    write_npz(tmp_path / "v2.npz", V2, 1)
    assert "is no mobilenet_v1" in refused(tmp_path / "v2.npz")


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LARGEST == 2**30
    monkeypatch.setattr("tlx.models.backbones.numpy_weights.LARGEST", 1000)
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros(10_000))
    assert "1000 are the most" in refused(tmp_path / "w.npz")


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    write_npz(tmp_path / "w.npz", V1, 1)
    content = bytearray((tmp_path / "w.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "w.npz").write_bytes(bytes(content))
    assert "checksum" in refused(tmp_path / "w.npz")


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [("FeatureExtractor/MobilenetV1/Conv2d_3_pointwise/weights", (1, 128), "has 2 axes"),
     ("BoxPredictor_1/BoxEncodingPredictor/weights", (1, 1, 1024, 23), "a box has four")],
)  # fmt: skip
def test_a_tensor_of_another_shape_is_named(
    name: str, shape: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    arrays = random_arrays(V1, 1)
    arrays[name] = np.ones(shape, np.float32)
    np.savez(tmp_path / "w.npz", **arrays)
    assert words in refused(tmp_path / "w.npz")


def test_a_block_in_part_is_refused(tmp_path: Path) -> None:
    arrays = random_arrays(V1, 2)
    del arrays["FeatureExtractor/MobilenetV1/Conv2d_3_depthwise/BatchNorm/beta"]
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(WeightsError, match=r"lacks .*Conv2d_3\.depthwise\.bn\.bias"):
        loaded(tmp_path / "w.npz", V1, 2, 96)


def test_an_export_of_a_start_says_what_to_do(tmp_path: Path) -> None:
    write_npz(tmp_path / "w.npz", V1, 1)
    with pytest.raises(WeightsError, match=r"tlx\.train .*backbone\.weights="):
        load_source(tmp_path / "w.npz")


# --- the published detectors ------------------------------------------------------------------


GOLDEN = {
    V1: ("ssd_mobilenet_v1_widerface", 2, 512), V2: ("ssd_mobilenet_v2_openimages", 23, 300)
}  # fmt: skip


def golden(network: str) -> tuple[TFSSD, np.lib.npyio.NpzFile]:
    name, classes, size = GOLDEN[network]
    detector = loaded(SHARED / "weights" / f"{name}.npz", network, classes, size)
    return detector, np.load(SHARED / "golden" / f"{name}.npz", allow_pickle=False)


def of_today(values: np.ndarray, cells: list[int]) -> np.ndarray:
    """Rows of all anchors from the API's first order to today's."""
    lowest = 3 * cells[0] ** 2
    rest = values[lowest:].reshape(-1, 6, values.shape[1])[:, TODAY]
    return np.concatenate([values[:lowest], rest.reshape(-1, values.shape[1])])


def wanted(network: str, stored: np.lib.npyio.NpzFile) -> list[np.ndarray]:
    values = [stored["class_logits"], stored["box_encodings"]]
    # The file of faces is of the API's first version, see `tf_anchor_order`.
    return [of_today(v, [32, 16, 8, 4, 2, 1]) for v in values] if network == V1 else values


@pytest.mark.shared_data
@pytest.mark.parametrize("plain", [True, False], ids=["plain", "folded"])
@pytest.mark.parametrize("network", [V1, V2])
def test_golden_outputs(network: str, plain: bool) -> None:
    detector, stored = golden(network)
    found = outputs(detector, stored["image_uint8"], plain=plain)
    for values, expected in zip(found, wanted(network, stored), strict=True):
        assert np.abs(values - expected).max() <= 1e-3  # measured: 8e-5


@pytest.mark.shared_data
@pytest.mark.parametrize("network", [V1, V2])
def test_golden_onnx(network: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    detector, stored = golden(network)
    path = tmp_path / "m.onnx"
    save_network(ExportNetwork(detector, Normalisation.of(detector)), GOLDEN[network][2], path, 11)
    image = stored["image_uint8"].transpose(2, 0, 1)[None].astype(np.float32)
    scores, boxes = onnx_outputs(path, image / np.float32(127.5) - 1)
    logits, encodings = wanted(network, stored)
    assert np.abs(scores[0] - 1 / (1 + np.exp(-logits))).max() <= 1e-3
    # The box coding of the API, with its factors 10, 10, 5, 5.
    cx, cy, w, h = detector.priors.numpy().T
    ty, tx, th, tw = encodings.T
    middle = np.stack([tx / 10 * w + cx, ty / 10 * h + cy], 1)
    half = np.stack([np.exp(tw / 5) * w, np.exp(th / 5) * h], 1) / 2
    assert np.abs(boxes[0] - np.concatenate([middle - half, middle + half], 1)).max() <= 1e-3


@pytest.mark.shared_data
def test_golden_anchors() -> None:
    detector, stored = golden(V1)
    corners = box_convert(detector.priors, "cxcywh", "xyxy").numpy()[:, YX]
    expected = of_today(stored["anchors_yxyx"], [32, 16, 8, 4, 2, 1])
    assert np.abs(corners - expected).max() <= 1e-6


@pytest.mark.shared_data
def test_weights_of_tf_slim_stay_symmetric() -> None:
    path = SHARED / "weights" / "mobilenet_v1_imagenet.pth"
    assert resolve(backbone_spec("mobilenet_v1"), str(path)).conventions.padding == SYMMETRIC
