"""From pixels to what a network takes: tlx's way, and that of `detectnet` on a Jetson."""

from __future__ import annotations

import numpy as np

from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice
from tlx.data.augment import render
from tlx.data.geometry import whole
from tlx.runtime import detectnet
from tlx.runtime.meta import ModelMeta

TLX, DETECTNET = "tlx", "detectnet"
MODES = (TLX, DETECTNET)
Channels = tuple[float, ...]


def check_mode(mode: str) -> str:
    """The mode; `ConfigError` for an unknown one."""
    if mode not in MODES:
        raise ConfigError(unknown_choice("preprocess", mode, MODES))
    return mode


def resize(image: np.ndarray, side: int, mode: str = TLX, letterbox: bool = False) -> np.ndarray:
    """uint8 RGB (H, W, 3) -> (side, side, 3), stretched or (`letterbox`) between bars.

    `tlx` is bilinear with antialiasing, by the very code of training and evaluation; `detectnet` is
    nearest neighbour, and stretches.
    """
    if mode == DETECTNET:
        return detectnet.nearest(image, side)
    if image.shape[:2] == (side, side):
        return image
    window = whole(image.shape[1], image.shape[0])
    return render(image, window, side, letterbox=letterbox).permute(1, 2, 0).numpy()


def normalize(
    image: np.ndarray, mean: Channels, std: Channels, out: np.ndarray | None = None
) -> np.ndarray:
    """uint8 RGB (S, S, 3) -> float32 (3, S, S), ``(pixel - mean) / std``, pixels in 0..255.

    Args:
        out: where to write, C-contiguous; a new array where it is left out.
    """
    if out is None:
        out = np.empty((3, *image.shape[:2]), np.float32)
    for channel in range(3):
        plane = out[channel]
        # In the order of training, subtracted then divided, so that the last bit is the same.
        np.subtract(image[:, :, channel], np.float32(mean[channel]), out=plane)
        plane /= np.float32(std[channel])
    return out


def prepare(image: np.ndarray, meta: ModelMeta, mode: str = TLX) -> np.ndarray:
    """uint8 RGB (H, W, 3) of any size -> the network's input, float32 (3, S, S).

    Raises:
        ConfigError: the mode cannot show the model its pictures. One of tiles takes
            `framing.crops`, each by itself.
    """
    if mode == DETECTNET:
        refuse_detectnet(meta)
    shown = resize(image, meta.input_size, mode, meta.framing.letterbox)
    return normalize(shown, *scaling(meta, mode))


def refuse_detectnet(meta: ModelMeta) -> None:
    """`ConfigError` for a model that sees pictures as `detectnet` cannot show them."""
    if not meta.framing.plain:
        raise ConfigError(
            f"preprocess={DETECTNET}: detectnet stretches whole pictures, and this model was "
            f"trained on {meta.framing.words}: train it with data.letterbox=false and without "
            "data.tile for detectnet, or run it with tlx, ONNX Runtime or TensorRT"
        )


def scaling(meta: ModelMeta, mode: str = TLX) -> tuple[Channels, Channels]:
    """Mean and std that a mode gives the network, whatever it was trained with."""
    return (detectnet.MEAN, detectnet.STD) if mode == DETECTNET else (meta.mean, meta.std)
