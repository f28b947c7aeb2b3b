"""What holds for every registered backbone: its numbers, its frozen prefix, its cache."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.conftest import Compose
from tests.models.helpers_engine import NAMES, WITHOUT_NORMS, detector_of, off
from tlx.freeze.proof import frozen_hash
from tlx.models.backbones.base import backbone_spec
from tlx.training.run import run

SIDE = 75  # odd at every second stride: 38, 19, 10, 5, 3


@pytest.mark.parametrize("name", NAMES)
def test_strides_and_channels_are_those_of_the_maps(name: str) -> None:
    """Rounded up, as the priors of every detector count cells."""
    spec = backbone_spec(name)
    backbone = spec.build(spec.conventions).eval()
    assert tuple(backbone.blocks) == spec.blocks
    assert len(backbone.strides) == len(backbone.channels) == len(spec.blocks)
    x = torch.zeros(1, 3, SIDE, SIDE)
    with torch.no_grad():
        for place, block in enumerate(backbone.blocks.values()):
            x = block(x)
            side = SIDE
            for _ in range(backbone.strides[place].bit_length() - 1):
                side = -(-side // 2)
            assert x.shape == (1, backbone.channels[place], side, side)
    assert all(a <= b for a, b in itertools.pairwise(backbone.strides))
    # A neck taps the last block of each stride, and SSD's first head the first of these.
    last = [max(i for i, s in enumerate(backbone.strides) if s == stride) for stride in (8, 16)]
    assert backbone.taps[0] in last
    assert backbone.taps[-1] == len(spec.blocks) - 1
    assert all(backbone.channels[place] >= 24 for place in last)


@pytest.mark.parametrize("name", NAMES)
def test_statistics_of_batch_norm_follow_what_trains(name: str) -> None:
    """Over 10 steps in every backbone; the 100 of torchvision's MobileNetV3 are a short run."""
    spec = backbone_spec(name)
    backbone = spec.build(spec.conventions)
    norms = [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {layer.momentum for layer in norms} == (set() if name in WITHOUT_NORMS else {0.1})
    assert {layer.eps for layer in norms} <= {spec.conventions.bn_eps}


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_prefix_computes_what_its_blocks_do(name: str) -> None:
    """Folded and without autograd, at a shallow, a middle and the deepest freeze."""
    detector = detector_of(name)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    outputs = [x]
    with torch.no_grad():
        for block in detector.backbone.blocks.values():
            outputs.append(block(outputs[-1]))
    for frozen in (2, 5, len(detector.backbone.blocks)):
        detector.freeze(frozen, frozen)
        detector.train()
        before = frozen_hash(detector, frozen)
        given = detector.prefix(x)
        assert frozen_hash(detector, frozen) == before
        assert len(given) == len(detector.boundary)
        for place, values in zip(detector.boundary, given, strict=True):
            assert not values.requires_grad
            assert off(values, outputs[place + 1]) < 1e-3
        copies = detector.train_prefix._copies
        assert not any(isinstance(m, nn.BatchNorm2d) for copy in copies for m in copy.modules())


def test_these_backbones_have_what_folding_must_know() -> None:
    """Hard swish and an activation of timm's behind a norm, gates beside it, and no norm at all."""
    kinds = {
        name: {type(layer).__name__ for layer in detector_of(name).backbone.modules()}
        for name in ("mobilenet_v3_small", "mobilenet_v4_conv_small", "vgg16")
    }
    assert {"Hardswish", "SqueezeExcitation", "BatchNorm2d"} <= kinds["mobilenet_v3_small"]
    assert "BatchNormAct2d" in kinds["mobilenet_v4_conv_small"]
    assert not {kind for kind in kinds["vgg16"] if "Norm" in kind}


def published(name: str, folder: Path) -> Path:
    """A file of weights as their publisher names them: random ones."""
    torch.manual_seed(0)
    spec = backbone_spec(name)
    state = spec.build(spec.conventions).state_dict()
    found: dict[str, torch.Tensor] = {}
    if name == "vgg16":  # as ssd.pytorch's list
        places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33)
        for place, block in zip(places, spec.blocks, strict=True):
            for leaf in ("weight", "bias"):
                found[f"{place}.{leaf}"] = state[f"blocks.{block}.conv.{leaf}"]
    else:
        for place, block in enumerate(spec.blocks):
            prefix = f"blocks.{block}."
            mine = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            found |= {f"features.{place}.{key}": value for key, value in mine.items()}
    torch.save(found, folder / f"{name}.pth")
    return folder / f"{name}.pth"


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "vgg16"])
def test_a_run_on_cached_activations_has_the_losses_of_one_without(
    name: str, tiny_config: Compose, tmp_path: Path
) -> None:
    weights = published(name, tmp_path)
    common = [f"backbone={name}", f"backbone.weights={weights}", "freeze=all", "trainer.epochs=2",
              "trainer.val_every=2", "cache.views=1", "cache.dtype=f32", "trainer.head_lr=0.0005",
              "logger.checkpoint=false"]  # fmt: skip
    records: list[dict[str, Any]] = [
        run(tiny_config(*common, f"cache={mode}"), tmp_path / mode) for mode in ("off", "memory")
    ]
    plain, cached = records
    assert cached["engine"]["caches"][0]["used"]
    assert [row[2] for row in cached["loss"]] == [row[2] for row in plain["loss"]]
    for record in records:
        frozen = record["frozen"]
        assert frozen["blocks"] == list(backbone_spec(name).blocks)
        assert frozen["hash_before"] == frozen["hash_after"] is not None
