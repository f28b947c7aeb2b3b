"""Blocks folded for inference: near the plain ones at every depth, in a precision of their own."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from tests.models.helpers_engine import NAMES, chain, detector_of, off, originals, pictures
from tlx.models.inference import InferenceBlocks


@pytest.mark.parametrize("name", NAMES)
def test_a_folded_prefix_is_as_exact_as_float32_at_every_depth(name: str) -> None:
    blocks = originals(detector_of(name))
    exact = chain([deepcopy(block).double() for block in blocks], pictures().double())
    plain = chain(blocks, pictures())
    fast = InferenceBlocks(blocks, range(len(blocks)))(pictures())
    assert len(fast) == len(exact) == len(blocks)
    errors = [off(a, b) for a, b in zip(fast, exact, strict=True)]
    # Measured over four seeds and all backbones: 1e-7 at the stem, 2.4e-6 within the first nine
    # blocks, 1.2e-5 at the last (MobileNetV1's; 9e-6 of the others).
    assert max(errors[:9]) < 1e-5
    assert max(errors) < 3e-5
    for error, ours, theirs in zip(errors, plain, exact, strict=True):
        # Measured: up to 1.21 times; 3.2 of VGG-16, which has no batch norm: channels-last memory
        # alone changes its order of summation.
        assert error < 5 * off(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_a_bfloat16_prefix_stays_near(name: str) -> None:
    """Eight bits of mantissa, a rounding in every layer; random weights amplify it most.

    Measured over four seeds: .003 at the stem, .018 within five blocks, .21 at the last block of
    MobileNetV1 and .10 to .17 at that of the others.
    """
    blocks = originals(detector_of(name))
    exact = chain([deepcopy(block).double() for block in blocks], pictures().double())
    fast = InferenceBlocks(blocks, range(len(blocks)), torch.bfloat16)(pictures())
    assert {y.dtype for y in fast} == {torch.bfloat16}
    errors = [off(a, b) for a, b in zip(fast, exact, strict=True)]
    assert errors[0] < 0.01
    assert max(errors[:5]) < 0.04
    assert 0.005 < max(errors) < 0.35  # ResNet-18: .025; VGG-16: .0074; float32: 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_prefix_is_computed_in_its_own_precision_under_autocast(dtype: torch.dtype) -> None:
    blocks = InferenceBlocks(originals(detector_of("mobilenet_v1")), [13], dtype)
    (alone,) = blocks(pictures())
    with torch.autocast("cpu", torch.float16):
        (within,) = blocks(pictures())
    assert within.dtype == dtype
    assert torch.equal(within, alone)
