"""The folded network against the plain one at the start of a run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import tlx.models.fold as fold
from tests.conftest import Compose
from tests.models.helpers_engine import NAMES, WITHOUT_NORMS, detector_of
from tlx.common.errors import FreezeError
from tlx.models.fold_check import FoldCheck
from tlx.training.run import run

BOTH = {torch.float32, torch.bfloat16}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frozen_bn", [False, True])
def test_sound_folds_are_within_rounding(name: str, frozen_bn: bool) -> None:
    detector = detector_of(name).train()
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    drawn = torch.get_rng_state()
    check = FoldCheck(detector)
    if frozen_bn:
        detector.freeze_batch_norm()
    found = check.compare(detector, BOTH)
    # Measured: 4e-7 to 6e-7; nothing is folded without batch norm.
    assert (found["float32"] == 0) == (name in WITHOUT_NORMS)
    assert found["float32"] < 2e-6
    assert found["float32"] < found["bfloat16"] < 0.02  # measured: .005 to .006
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())
    assert detector.training


def spoil(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    inner = fold._fused

    def fuse(convolution: Any, norm: Any) -> Any:
        fused = inner(convolution, norm)
        if convolution.in_channels == convolution.out_channels == 512 == convolution.groups:
            change(fused)
        return fused

    monkeypatch.setattr(fold, "_fused", fuse)


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.weight.data.mul_(1.001),
        lambda layer: layer.bias.data.zero_(),
        lambda layer: layer.weight.data.fill_(float("nan")),
    ],
)
def test_a_spoilt_fold_is_found_and_its_block_named(
    change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = detector_of("mobilenet_v1")
    check = FoldCheck(detector)
    spoil(monkeypatch, change)
    with pytest.raises(FreezeError, match=r"block Conv2d_7: .* in float32, 0.0001 is put up with"):
        check.compare(detector, {torch.float32})


class PadsBySize(nn.Conv2d):
    """As timm's `Conv2dSame`: pads what the input's size asks for."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(x, (0, 1, 0, 1)))


def test_a_subclass_that_was_taken_for_a_plain_layer_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = detector_of("mobilenet_v1")
    layer = detector.backbone.blocks["Conv2d_0"].conv
    layer.__class__ = PadsBySize
    layer.padding = (0, 0)
    assert FoldCheck(detector).compare(detector, {torch.float32})["float32"] < 2e-6
    monkeypatch.setattr(fold, "_is_plain", lambda layer: isinstance(layer, nn.Conv2d))
    with pytest.raises(FreezeError, match=r"block Conv2d_0: .* differs by inf"):
        FoldCheck(detector).compare(detector, {torch.float32})


def test_a_run_compares_and_records(
    tiny_config: Compose, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config("backbone=mobilenet_v1", "backbone.weights=scratch", "trainer.epochs=1")
    record = run(cfg, tmp_path / "sound")
    assert 0 < record["engine"]["fold_difference"]["float32"] < 2e-6
    spoil(monkeypatch, lambda layer: layer.weight.data.mul_(1.01))
    with pytest.raises(FreezeError, match="block Conv2d_7"):
        run(cfg, tmp_path / "spoilt")
