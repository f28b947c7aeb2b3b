"""Frozen batch norm in the tail: the same function and gradients as plain inference mode."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.conftest import Compose
from tlx.common.errors import ConfigError
from tlx.freeze.apply import trainable_parameters
from tlx.freeze.policies.base import Phase
from tlx.models.backbones.base import BACKBONES
from tlx.models.detectors.ssd.ssd import SSD
from tlx.training.run import run

EVERYWHERE = 99  # blocks in inference mode


def detector_of(name: str) -> SSD:
    torch.manual_seed(0)
    spec = BACKBONES[name]
    detector = SSD(spec, spec.conventions, 1, 96)
    for layer in detector.backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2.0)
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.normal_(0, 0.2)
    return detector


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_folding_changes_neither_outputs_nor_gradients(name: str) -> None:
    plain = detector_of(name).double()
    plain.freeze(3, EVERYWHERE)
    folded = deepcopy(plain)
    folded.freeze_batch_norm()
    assert list(folded.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 3, 96, 96, dtype=torch.float64)
    outputs = []
    for detector in (plain, folded):
        detector.train()
        # The prefix is computed in float32 for both: the tail is what is compared.
        maps = detector.tail([y.double() for y in detector.prefix(x.float())])
        logits, offsets = detector.heads(maps)
        (logits.square().sum() + offsets.square().sum()).backward()
        outputs.append((logits, offsets))
    for a, b in zip(*outputs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    expected = dict(plain.named_parameters())
    trained = {k: p for k, p in folded.named_parameters() if p.requires_grad}
    assert trained
    for key, parameter in trained.items():
        torch.testing.assert_close(parameter.grad, expected[key].grad, rtol=1e-7, atol=1e-7)


def test_batch_norm_is_in_no_group_and_does_not_move() -> None:
    detector = detector_of("mobilenet_v1")
    detector.freeze_batch_norm()
    phases = (Phase(0, 5, 5),)
    detector.freeze(5, 5)
    fixed = {id(p) for p in detector.batch_norm_parameters()}
    groups = trainable_parameters(detector, phases)
    trained = [p for part in groups.values() for block in part for p in block]
    assert not fixed & {id(p) for p in trained}
    assert all(p.requires_grad for p in trained)
    detector.train()
    before = {k: v.clone() for k, v in detector.state_dict().items() if ".bn." in k}
    detector(torch.randn(2, 3, 96, 96))
    after = detector.state_dict()
    assert before
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_a_run_with_it(tiny_config: Compose, tmp_path: Path) -> None:
    record = run(
        tiny_config("freeze=4", "trainer.freeze_bn=true", "trainer.ema_decay=0.5"), tmp_path / "run"
    )
    assert record["status"] == "finished"
    assert record["frozen"]["hash_before"] == record["frozen"]["hash_after"] is not None
    with pytest.raises(ConfigError, match="needs pretrained weights"):
        run(tiny_config("trainer.freeze_bn=true", "backbone.weights=scratch"), tmp_path / "no")
