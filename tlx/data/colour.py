"""SSD's photometric distortion as one linear map of the colours.

Brightness, contrast, saturation and a channel swap are linear in RGB; a small turn of the hue is
one too, as a rotation about the grey axis (W3C Filter Effects, `hue-rotate`). Their product costs
one small matrix product a picture, where four separate steps and a trip to HSV cost a training
step. Two differences from torchvision's steps: values are clamped once at the end, and a hue turn
keeps luminance instead of HSV's value.
"""

from __future__ import annotations

import numpy as np

# torchvision.transforms.v2.RandomPhotometricDistort's defaults, each part in half of the cases.
BRIGHTNESS, CONTRAST, SATURATION = (0.875, 1.125), (0.5, 1.5), (0.5, 1.5)
HUE = (-0.05, 0.05)  # of a full turn
SWAP = 0.5  # odds of channels in another order
GREY = np.array([0.2989, 0.587, 0.114])

# `hue-rotate` (W3C Filter Effects 1, 8.7): constant, cosine and sine parts.
_KEPT = np.tile(np.array([0.213, 0.715, 0.072]), (3, 1))
_COS = np.eye(3) - _KEPT
_SIN = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])


def scaled(limit: float, neutral: float, strength: float) -> float:
    """So far from `neutral` towards `limit`; exactly these two at 0 and 1."""
    return strength * limit + (1 - strength) * neutral


def draw_colour_map(
    rng: np.random.Generator, mean: np.ndarray, strength: float = 1.0, swap: float = SWAP
) -> tuple[np.ndarray, np.ndarray]:
    """A random (3, 3) matrix and (3,) offset for a picture whose mean colour is `mean` (0..255).

    Args:
        strength: how far the four ranges go from no change, 0..1. swap: odds of the channel swap.
    """

    def factor_in(limits: tuple[float, float]) -> float:
        low, high = (scaled(limit, 1.0, strength) for limit in limits)
        return rng.uniform(low, high)

    matrix, offset = np.eye(3), np.zeros(3)
    early = rng.random() < 0.5  # contrast first or last, as the paper's two orders

    def contrast() -> None:
        nonlocal matrix, offset
        factor = factor_in(CONTRAST)
        grey = GREY @ (matrix @ mean + offset)
        matrix, offset = factor * matrix, factor * offset + (1 - factor) * grey

    def apply(step: np.ndarray) -> None:
        nonlocal matrix, offset
        matrix, offset = step @ matrix, step @ offset

    if rng.random() < 0.5:
        apply(np.eye(3) * factor_in(BRIGHTNESS))
    with_contrast = rng.random() < 0.5
    if with_contrast and early:
        contrast()
    if rng.random() < 0.5:
        factor = factor_in(SATURATION)
        apply(factor * np.eye(3) + (1 - factor) * np.tile(GREY, (3, 1)))
    if rng.random() < 0.5:
        angle = 2 * np.pi * rng.uniform(strength * HUE[0], strength * HUE[1])
        apply(_KEPT + np.cos(angle) * _COS + np.sin(angle) * _SIN)
    if with_contrast and not early:
        contrast()
    if rng.random() < swap:
        apply(np.eye(3)[rng.permutation(3)])
    return matrix, offset
