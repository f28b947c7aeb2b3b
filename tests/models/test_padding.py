"""TensorFlow's SAME padding: against its definition, folded, in float32, and in checkpoints."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tlx.models.backbones  # noqa: F401
from tests.export.helpers_export import write_checkpoint
from tests.models.helpers_engine import off
from tlx.activations.key import ingredients
from tlx.common.errors import WeightsError
from tlx.models.backbones.base import SAME, SYMMETRIC, Conventions, backbone_spec
from tlx.models.backbones.padding import SamePad, pad_same, same_padding
from tlx.models.cpu_bfloat16 import Float32Conv2d, keep_in_float32
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.fold import folded
from tlx.models.fold_check import FoldCheck
from tlx.records.checkpoint import load_detector

NAMES = ("mobilenet_v1", "mobilenet_v2")


def convolved(x: np.ndarray, weights: np.ndarray, stride: int) -> np.ndarray:
    """(H, W) with (k, k) as TensorFlow defines SAME, value by value.

    Output i reads k values from i * stride - before on, where what is missing of
    (ceil(n / stride) - 1) * stride + k values is padded, the smaller half before.
    """
    kernel = len(weights)
    sides = [-(-n // stride) for n in x.shape]
    before = [
        max((m - 1) * stride + kernel - n, 0) // 2 for m, n in zip(sides, x.shape, strict=True)
    ]
    result = np.zeros(sides)
    for i, j in np.ndindex(*sides):
        for a, b in np.ndindex(kernel, kernel):
            y, z = i * stride + a - before[0], j * stride + b - before[1]
            if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                result[i, j] += x[y, z] * weights[a, b]
    return result


@pytest.mark.parametrize("shape", [(6, 6), (7, 7), (6, 7), (5, 2), (1, 1), (2, 3)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (3, 1), (1, 2), (5, 2), (1, 1)])
def test_a_convolution_as_tensorflow_defines_it(
    shape: tuple[int, int], kernel: int, stride: int
) -> None:
    generator = np.random.default_rng(0)
    x, weights = generator.normal(size=shape), generator.normal(size=(kernel, kernel))
    layer = nn.Conv2d(1, 1, kernel, stride, bias=False).double()
    layer.weight.data = torch.from_numpy(weights)[None, None]
    net = nn.Sequential(SamePad(kernel, stride), layer)
    with torch.no_grad():
        found = net(torch.from_numpy(x)[None, None])[0, 0].numpy()
    assert np.allclose(found, convolved(x, weights, stride), atol=1e-12)


def test_which_side_is_padded() -> None:
    # Of 300 px and a 3x3 kernel with stride 2: the end only; of 75: both ends.
    assert same_padding(300, 3, 2) == (0, 1)
    assert same_padding(75, 3, 2) == (1, 1)
    assert same_padding(10, 3, 1) == (1, 1)
    assert same_padding(10, 1, 2) == (0, 0)


def built(name: str, padding: str, size: int = 96) -> SSD:
    spec = backbone_spec(name)
    torch.manual_seed(0)
    return SSD(spec, replace(spec.conventions, padding=padding), 2, size).eval()


@pytest.mark.parametrize("name", NAMES)
def test_only_values_change_and_no_name_of_a_tensor(name: str) -> None:
    symmetric, same = built(name, SYMMETRIC), built(name, SAME)
    assert list(symmetric.state_dict()) == list(same.state_dict())
    same.load_state_dict(symmetric.state_dict())
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = [network.features(x) for network in (symmetric, same)]
    assert [m.shape for m in maps[0]] == [m.shape for m in maps[1]]
    assert off(maps[1][0], maps[0][0]) > 0.01
    assert sum(isinstance(m, SamePad) for m in same.modules()) == 5  # one for each halving
    assert not any(isinstance(m, SamePad) for m in symmetric.modules())


@pytest.mark.parametrize("size", [96, 101, 300])
@pytest.mark.parametrize("name", NAMES)
def test_folding_keeps_it(name: str, size: int) -> None:
    detector = built(name, SAME, size)
    for norm in [m for m in detector.modules() if isinstance(m, nn.BatchNorm2d)]:
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.running_mean, std=0.1)
    blocks = list(detector.backbone.blocks.values())
    assert not any(isinstance(m, nn.BatchNorm2d) for b in blocks for m in folded(b).modules())
    check = FoldCheck(detector)
    assert check.compare(detector, {torch.float32})["float32"] < 1e-5
    detector.freeze_batch_norm()
    assert check.compare(detector, {torch.float32})["float32"] < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_strided_depthwise_layers_are_still_found(name: str) -> None:
    same = built(name, SAME)
    keep_in_float32(same)
    assert sum(type(m) is Float32Conv2d for m in same.modules()) == 4


def test_only_strided_convolutions_get_it() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, 2, padding=1))
    names = list(net.state_dict())
    pad_same(net)
    assert [type(m) for m in net] == [nn.Conv2d, SamePad, nn.Conv2d]
    assert list(net.state_dict()) == names
    assert (net[0].padding, net[2].padding) == ((1, 1), (0, 0))


def test_a_backbone_that_cannot_pad_so_refuses_the_weights() -> None:
    spec = backbone_spec("efficientnet_lite0")
    with pytest.raises(WeightsError, match=r"padding=same .* efficientnet_lite0 .*symmetric"):
        SSD(spec, replace(spec.conventions, padding=SAME), 2, 96)


def stored(path: Path, change: Any) -> Path:
    """A checkpoint whose conventions were changed."""
    write_checkpoint(path)
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint["tlx"]["conventions"])
    torch.save(checkpoint, path)
    return path


def test_a_checkpoint_of_before_is_symmetric(tmp_path: Path) -> None:
    path = stored(tmp_path / "best.ckpt", lambda conventions: conventions.pop("padding"))
    assert load_detector(path)[0].conventions.padding == SYMMETRIC


def test_a_checkpoint_says_its_padding(tmp_path: Path) -> None:
    path = stored(tmp_path / "best.ckpt", lambda conventions: conventions.update(padding=SAME))
    detector, meta = load_detector(path)
    assert detector.conventions.padding == meta["conventions"]["padding"] == SAME
    assert any(isinstance(m, SamePad) for m in detector.modules())


@pytest.mark.parametrize(
    ("values", "words"),
    [({"padding": "reflect"}, "padding 'reflect' is none of symmetric, same"),
     ({"padding": 7}, "padding 7 is none of"), ({"padding": ["same"]}, "is none of"),
     ({"dilation": 2}, "convention dilation is unknown to this version")],
)  # fmt: skip
def test_an_unknown_convention_is_named(values: dict, words: str, tmp_path: Path) -> None:
    path = stored(tmp_path / "best.ckpt", lambda conventions: conventions.update(values))
    with pytest.raises(WeightsError, match=words) as caught:
        load_detector(path)
    assert str(path) in str(caught.value)


def test_cached_activations_of_before_stay_of_use() -> None:
    """The key of symmetric padding is that of conventions without a padding."""
    options: dict[str, Any] = {
        "views": 1, "seed": 0, "augmentation": {}, "dtype": "f16",
    }  # fmt: skip
    symmetric = ingredients(built("mobilenet_v1", SYMMETRIC), 5, [], **options)["conventions"]
    same = ingredients(built("mobilenet_v1", SAME), 5, [], **options)["conventions"]
    assert set(symmetric) == {"mean", "std", "bn_eps", "activation"}
    assert same == symmetric | {"padding": SAME}
    assert asdict(Conventions((0.5,) * 3, (0.5,) * 3))["padding"] == SYMMETRIC
