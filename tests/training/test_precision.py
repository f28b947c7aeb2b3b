"""The choice of a precision: as named, or by measuring a step."""

from __future__ import annotations

import pytest
import torch

import tlx.training.precision as precision
from tests.models.helpers_engine import CPU, detector_of
from tlx.freeze.policies.base import Phase
from tlx.models.cpu_bfloat16 import Float32Conv2d
from tlx.training.detection import Detect


def resolved(asked: str) -> precision.Precision:
    return precision.resolve(
        asked, detector_of("mobilenet_v1", 5), Phase(0, 5, 5), 2, CPU, Detect().loss
    )


@pytest.mark.parametrize(
    ("asked", "prefix"),
    [
        ("32-true", torch.float32),
        ("16-mixed", torch.float16),
        ("bf16-mixed", torch.bfloat16),
    ],
)
def test_a_named_precision_is_taken(
    asked: str, prefix: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> float:
        raise AssertionError("nothing is to be measured")

    monkeypatch.setattr(precision, "has_bfloat16", never)
    monkeypatch.setattr(precision, "step_seconds", never)
    assert resolved(asked) == precision.Precision(asked, prefix, "as configured")


def test_auto_without_bfloat16_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: False)
    monkeypatch.setattr(precision, "step_seconds", lambda *_: pytest.fail("measured"))
    chosen = resolved("auto")
    assert (chosen.name, chosen.prefix) == ("32-true", torch.float32)
    assert "no bfloat16" in chosen.reason


@pytest.mark.parametrize(
    ("full", "half", "name"),
    [
        (1.09, 1.0, "32-true"),
        (1.11, 1.0, "bf16-mixed"),
        (1.0, 3.0, "32-true"),
        (3.0, 1.0, "bf16-mixed"),
    ],
)
def test_auto_takes_bfloat16_for_a_tenth(
    full: float, half: float, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {torch.float32: full, torch.bfloat16: half}
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: True)
    monkeypatch.setattr(precision, "step_seconds", lambda *args: seconds[args[-1]])
    chosen = resolved("auto")
    assert chosen.name == name
    prefix = torch.bfloat16 if name == "bf16-mixed" else torch.float32
    assert chosen.prefix == prefix
    assert f"{half:.3g} s a step in bfloat16, {full:.3g} s in float32" in chosen.reason


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_measuring_a_step_leaves_the_detector_as_it_is(dtype: torch.dtype) -> None:
    detector = detector_of("mobilenet_v1", 2)
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    assert precision.step_seconds(detector, Phase(0, 9, 9), 2, CPU, Detect().loss, dtype) > 0
    assert all(torch.equal(v, before[k]) for k, v in detector.state_dict().items())
    assert all(p.grad is None for p in detector.parameters())
    assert (detector.prefix_length, detector.training) == (2, False)
    assert not any(isinstance(m, Float32Conv2d) for m in detector.modules())
