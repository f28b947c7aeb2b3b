"""What is computed in float32 under autocast: where bfloat16 is slow or wrong."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from tests.models.helpers_engine import NAMES, detector_of, pictures
from tlx.models.cpu_bfloat16 import Float32Conv2d, StridedConv2d, keep_in_float32


@pytest.mark.parametrize("name", NAMES)
def test_only_strided_depthwise_convolutions_are_kept_in_float32(name: str) -> None:
    detector = detector_of(name)
    keys = list(detector.state_dict())
    parameters = [id(p) for p in detector.parameters()]
    kinds = {key: type(module) for key, module in detector.named_modules()}
    outputs = detector.raw(pictures())
    keep_in_float32(detector)
    changed = set()
    for key, module in detector.named_modules():
        strided = isinstance(module, nn.Conv2d) and module.stride != (1, 1)
        if strided and module.groups == module.in_channels > 1:
            changed.add(key)
            assert type(module) is Float32Conv2d
        elif strided and module.kernel_size != (1, 1):
            assert type(module) is StridedConv2d
        else:
            assert type(module) is kinds[key]
    # Strides 4 to 32 of ours; the stem, of stride 2, is no depthwise one. A network may have none.
    assert len(changed) == 4 or name not in ("efficientnet_lite0", "mobilenet_v1", "mobilenet_v2")
    assert list(detector.state_dict()) == keys
    assert [id(p) for p in detector.parameters()] == parameters
    assert all(torch.equal(a, b) for a, b in zip(detector.raw(pictures()), outputs, strict=True))


def depthwise(stride: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(8, 8, 3, stride, 1, groups=8, bias=False)


def test_float32_convolution_under_autocast() -> None:
    strided, plain = depthwise(2), depthwise(1)
    expected_of = deepcopy(strided)
    calls: list[nn.Module] = []
    strided.register_forward_hook(lambda module, _i, _o: calls.append(module))
    net = nn.Sequential(strided, plain)
    keep_in_float32(net)
    x = torch.randn(2, 8, 12, 12).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = strided(x)
        assert torch.is_autocast_enabled("cpu")
        assert plain(x).dtype == torch.bfloat16
        assert expected_of(x).dtype == torch.bfloat16
    assert calls == [strided]
    assert out.dtype == torch.float32
    assert torch.equal(out, expected_of(x.float()))
    out.sum().backward()
    assert strided.weight.grad is not None
    assert strided.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_float32_convolution_outside_autocast(dtype: torch.dtype) -> None:
    """In its own type: a copy in bfloat16 is what a half-precision prefix runs."""
    layer = depthwise(2)
    keep_in_float32(layer)
    assert type(layer) is Float32Conv2d
    reference = depthwise(2).to(dtype)
    x = torch.randn(2, 8, 12, 12, dtype=dtype)
    out = layer.to(dtype)(x)
    assert out.dtype == dtype
    assert torch.equal(out, reference(x))


@pytest.mark.parametrize("side", [1, 2, 3])
def test_gradients_of_small_maps_are_those_of_float32(side: int) -> None:
    """oneDNN leaves what was in memory where a kernel sees but padding."""
    torch.manual_seed(0)
    layer = nn.Conv2d(128, 256, 3, 2, 1).to(memory_format=torch.channels_last)
    keep_in_float32(layer)
    for _ in range(8):
        used = torch.full((layer.weight.numel(),), float("nan"))
        del used  # its memory is taken again
        x = torch.randn(8, 128, side, side).to(memory_format=torch.channels_last)
        grads = []
        for bfloat16 in (False, True):
            layer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                out = layer(x)
            out.backward(torch.ones_like(out))
            assert layer.weight.grad is not None
            grads.append(layer.weight.grad.clone())
        assert (grads[1] - grads[0]).abs().max() < 0.02 * grads[0].abs().max()
