"""Layouts of published detectors: their backbones are taken whole, the rest is said to be left."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from tests.models import helpers_tf
from tlx.models.backbones.base import Conventions, backbone_spec, without_counters
from tlx.models.backbones.weights import Pretrained, convert
from tlx.models.detector import build_detector


def randomised(network: nn.Module) -> nn.Module:
    """With statistics that are no batch norm's at its start."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    return network.eval()


def loaded(name: str, state: dict[str, Tensor], caplog: pytest.LogCaptureFixture) -> nn.Module:
    """The backbone of a detector that starts from such a file; the log is in `caplog`."""
    spec = backbone_spec(name)
    tensors, conventions = convert(spec, state, "file")
    if spec.adopt:
        tensors = spec.adopt(tensors)
    detector = build_detector("ssd", spec, conventions, 2, 128, {})
    with caplog.at_level(logging.INFO):
        detector.load_pretrained(Pretrained(tensors, conventions, "file", None))
    assert detector.loaded == set(spec.blocks)
    return detector.backbone.eval()


def run(backbone: nn.Module, x: Tensor) -> Tensor:
    for block in backbone.blocks.values():  # type: ignore[union-attr, operator]
        x = block(x)
    return x


@torch.no_grad()
def test_mb2_ssd_lite(caplog: pytest.LogCaptureFixture) -> None:
    """As pytorch-ssd writes it: each inverted residual one chain of layers, activations counted."""
    net = randomised(mobilenet_v2(weights=None).features)
    state: dict[str, Tensor] = {}
    for number, block in enumerate(net):
        if number in (0, 18):
            for place in (0, 1):
                for leaf, value in block[place].state_dict().items():
                    state[f"base_net.{number}.{place}.{leaf}"] = value
            continue
        flat = [m for m in block.modules() if not list(m.children())]
        for place, layer in enumerate(flat):
            for leaf, value in layer.state_dict().items():
                state[f"base_net.{number}.conv.{place}.{leaf}"] = value
    for i in range(4):
        for place in (0, 1, 3, 4, 6, 7):
            leaves = ["weight"] + ["bias", "running_mean", "running_var"] * (place % 3)
            for leaf in leaves:
                state[f"extras.{i}.conv.{place}.{leaf}"] = torch.zeros(1)
    norm = ("weight", "bias", "running_mean", "running_var")
    leaves = ["0.weight", "0.bias", *(f"1.{name}" for name in norm), "3.weight", "3.bias"]
    for root in ("classification_headers", "regression_headers"):
        state |= {f"{root}.{i}.{leaf}": torch.zeros(1) for i in range(5) for leaf in leaves}
        state |= {f"{root}.5.weight": torch.zeros(1), f"{root}.5.bias": torch.zeros(1)}
    state = without_counters(state)
    assert len(state) == 404  # tensors of the published file
    backbone = loaded("mobilenet_v2", state, caplog)
    x = torch.rand(1, 3, 64, 64)
    assert torch.allclose(run(backbone, x), net[:18](x), atol=1e-5)
    assert "taken: 18 of 18 blocks of backbone" in caplog.text
    assert "left: extras from extra_1 on" in caplog.text
    assert "heads.classify" in caplog.text


@torch.no_grad()
def test_efficientdet_lite0(caplog: pytest.LogCaptureFixture) -> None:
    net = randomised(timm.create_model("efficientnet_lite0", pretrained=False))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    state = {
        f"backbone.{k}": v for k, v in net.state_dict().items()
        if not k.startswith(("conv_head", "bn2", "classifier"))
    }  # fmt: skip
    state |= {"fpn.cell.0.fnode.0.weight": torch.zeros(1)}
    state |= {f"{n}.predict.conv_pw.weight": torch.zeros(1) for n in ("class_net", "box_net")}
    backbone = loaded("efficientnet_lite0", state, caplog)
    x = torch.rand(1, 3, 64, 64)
    wanted = net.blocks(net.bn1(net.conv_stem(x)))  # type: ignore[operator]
    assert torch.allclose(run(backbone, x), wanted, atol=1e-4)
    spec = backbone_spec("efficientnet_lite0")
    assert convert(spec, state, "file")[1] == Conventions((0.5,) * 3, (0.5,) * 3, bn_eps=1e-3)
    assert "taken: 17 of 17 blocks of backbone" in caplog.text
    assert "left: extras from fpn on" in caplog.text
    assert "class_net" in caplog.text


def test_predictors_of_ssdlite_are_no_ssd_heads(caplog: pytest.LogCaptureFixture) -> None:
    """Theirs read a depthwise convolution: of the same shape, and of another meaning."""
    arrays = helpers_tf.random_arrays(helpers_tf.V2, 2)
    state = {k: torch.from_numpy(v.astype(np.float32)) for k, v in arrays.items()}
    spec = backbone_spec("mobilenet_v2")
    assert "heads.regress.0.weight" in convert(spec, state, "file")[0]
    state["BoxPredictor_0/BoxEncodingPredictor_depthwise/depthwise_weights"] = torch.zeros(1)
    found = convert(spec, state, "file")[0]
    assert not [k for k in found if k.startswith(("heads.regress.", "heads.classify."))]
    loaded("mobilenet_v2", state, caplog)
    assert "heads.ssdlite.BoxPredictor_0" in caplog.text


def test_what_an_fpn_adds_is_left(caplog: pytest.LogCaptureFixture) -> None:
    arrays = helpers_tf.random_arrays(helpers_tf.V1, 1)
    state = {
        k: torch.from_numpy(v.astype(np.float32)) for k, v in arrays.items()
        if not k.startswith("BoxPredictor") and "_Conv2d_" not in k
    }  # fmt: skip
    state["FeatureExtractor/MobilenetV1/fpn/smoothing_1/weights"] = torch.zeros(1)
    state["WeightSharedConvolutionalBoxPredictor/BoxPredictor/weights"] = torch.zeros(1)
    loaded("mobilenet_v1", state, caplog)
    assert "taken: 14 of 14 blocks of backbone" in caplog.text
    assert "extras from fpn on" in caplog.text
    assert "heads.WeightSharedConvolutionalBoxPredictor" in caplog.text
