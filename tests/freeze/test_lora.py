"""LoRA: what a checkpoint with adapters computes is what the plain network with it merged does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import tlx.evaluate
import tlx.export.__main__ as export
from tests.conftest import Compose
from tests.freeze.test_every_backbone import published
from tests.models.helpers_engine import detector_of, pictures
from tlx.common.errors import WeightsError
from tlx.freeze.apply import prepare_network, trainable_parameters
from tlx.freeze.policies.base import Phase
from tlx.freeze.policies.lora import Lora
from tlx.models.backbones.weights import Pretrained
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.low_rank import LowRank, fitted, merged
from tlx.records.checkpoint import load_detector
from tlx.training.run import run

PHASE = Phase(0, 14, 14, trains="adapters")


def adapted(seed: int = 0, *, bn_frozen: bool = False) -> SSD:
    """A detector whose adapters do something."""
    detector = detector_of("mobilenet_v1")
    detector.loaded = set(detector.backbone.blocks)
    if bn_frozen:
        detector.freeze_batch_norm()
    prepare_network(detector, Lora(rank=4), (PHASE,), seed)
    for layer in detector.modules():
        if isinstance(layer, LowRank):
            nn.init.normal_(layer.up, std=0.05)
    return detector.eval()


def test_adapters_are_those_of_1x1_convolutions_and_all_that_trains_of_the_backbone() -> None:
    detector = adapted()
    adapters = [m for m in detector.modules() if isinstance(m, LowRank)]
    assert len(adapters) == 13  # a pointwise convolution in each block but the first
    base = trainable_parameters(detector, (PHASE,))["base"]
    assert [len(block) for block in base] == [0, *[2] * 13]
    assert {id(p) for block in base for p in block} == {
        id(p) for p in detector.backbone.parameters() if p.requires_grad
    }
    assert detector.prefix_length == 1, "the first block has none, and stays a prefix"
    again = [m for m in adapted().modules() if isinstance(m, LowRank)]
    other = [m for m in adapted(seed=1).modules() if isinstance(m, LowRank)]
    assert torch.equal(adapters[0].down, again[0].down), "the seed decides"
    assert not torch.equal(adapters[0].down, other[0].down)


@pytest.mark.parametrize("bn_frozen", [False, True])
def test_the_merged_network_computes_the_same_to_the_bit(bn_frozen: bool) -> None:
    detector = adapted(bn_frozen=bn_frozen)
    plain = detector_of("mobilenet_v1", seed=3)
    state = detector.state_dict()
    plain.load_state_dict(fitted(state, plain))
    assert fitted(state, detector) is state
    detector.freeze(0, 0)  # else its first block would be folded, and the other's not
    for folded in (True, False):  # in inference every block is folded
        with torch.inference_mode(folded):
            for ours, theirs in zip(detector(pictures()), plain(pictures()), strict=True):
                if folded or not bn_frozen:
                    assert torch.equal(ours, theirs)
                else:  # frozen batch norms scale the weights in training: another order of products
                    assert torch.allclose(ours, theirs, atol=1e-3)
    assert not any("parametrizations" in key for key in plain.state_dict())
    assert not any(parametrize.is_parametrized(m) for m in plain.modules())


def test_a_start_from_such_a_checkpoint_takes_the_merged_weights() -> None:
    detector, start = adapted(), detector_of("mobilenet_v1", seed=3)
    start.load_pretrained(Pretrained(detector.state_dict(), detector.conventions, "run", "ab"))
    block = "backbone.blocks.Conv2d_3.pointwise.conv.weight"
    assert torch.equal(start.state_dict()[block], merged(detector.state_dict())[block])


def test_a_damaged_adapter_is_named() -> None:
    state = dict(adapted().state_dict())
    key = next(key for key in state if key.endswith("weight.0.up"))
    with pytest.raises(WeightsError, match=r"the adapter of backbone\.blocks\.Conv2d_1\.pointwise"):
        merged({k: v for k, v in state.items() if k != key})
    with pytest.raises(WeightsError, match="is damaged"):
        merged({**state, key: state[key][:, :1]})


@pytest.mark.slow
def test_a_run_is_evaluated_and_exported_merged(tiny_config: Compose, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    name = "mobilenet_v3_small"
    cfg = tiny_config(
        f"backbone={name}", f"backbone.weights={published(name, tmp_path)}", "freeze=all",
        "policy=lora", "trainer.base_lr=0.05", "trainer.epochs=1",
    )  # fmt: skip
    record = run(cfg, tmp_path / "run")
    detector, _ = load_detector(tmp_path / "run/checkpoints/best.ckpt")
    assert not any("parametrizations" in key for key in detector.state_dict())
    cache = f"cache_dir={tmp_path / 'cache'}"
    checkpoint = f"checkpoint={tmp_path / 'run'}"
    tlx.evaluate.main([checkpoint, f"output={tmp_path / 'figures.json'}", cache])
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["map_50"] == pytest.approx(record["test"]["map_50"], abs=1e-6)
    export.main([checkpoint, "format=onnx", f"output={tmp_path / 'onnx'}", cache])
    described = json.loads((tmp_path / "onnx/model.json").read_text())
    assert described["parity"]["passed"]
