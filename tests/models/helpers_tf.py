"""Checkpoints in the layout of TensorFlow's Object Detection API, and what their networks compute.

Written from the layout (scopes, orders of axes, SAME padding), and with nothing of what reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Arrays = dict[str, np.ndarray]
V1, V2 = "MobilenetV1", "MobilenetV2"
BACKBONES = {V1: "mobilenet_v1", V2: "mobilenet_v2"}
# (stride, channels) of MobileNetV1's blocks; (expansion, channels, repeats, stride) of V2's stages.
_V1 = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024),
       (1, 1024)]  # fmt: skip
_V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
       (6, 320, 1, 1)]  # fmt: skip
_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
_MAPS = {V1: (512, 1024), V2: (576, 1280)}


class Layer:
    """A convolution with batch norm: kernel, stride, channels (0 out: depthwise)."""

    def __init__(self, scope: str, kernel: int, stride: int, cin: int, cout: int) -> None:
        self.scope, self.kernel, self.stride, self.cin, self.cout = scope, kernel, stride, cin, cout


def v2_blocks() -> Iterator[tuple[list[Layer], bool]]:
    """The layers of every inverted residual, and whether its input is added."""
    cin, number = 32, 0
    for expansion, cout, repeats, first in _V2:
        for i in range(repeats):
            stride, wide = first if i == 0 else 1, cin * expansion
            home = f"expanded_conv_{number}" if number else "expanded_conv"
            layers = [Layer(f"{home}/expand", 1, 1, cin, wide)] if expansion > 1 else []
            layers.append(Layer(f"{home}/depthwise", 3, stride, wide, 0))
            layers.append(Layer(f"{home}/project", 1, 1, wide, cout))
            yield layers, stride == 1 and cin == cout
            cin, number = cout, number + 1


def v1_layers() -> list[Layer]:
    layers, cin = [Layer("Conv2d_0", 3, 2, 3, 32)], 32
    for number, (stride, cout) in enumerate(_V1, start=1):
        layers.append(Layer(f"Conv2d_{number}_depthwise", 3, stride, cin, 0))
        layers.append(Layer(f"Conv2d_{number}_pointwise", 1, 1, cin, cout))
        cin = cout
    return layers


def extra_layers(network: str) -> list[Layer]:
    home = {V1: "Conv2d_13_pointwise", V2: "layer_19"}[network]
    layers, cin = [], _MAPS[network][1]
    for number, (middle, cout) in enumerate(_EXTRAS, start=2):
        layers.append(Layer(f"{home}_1_Conv2d_{number}_1x1_{middle}", 1, 1, cin, middle))
        layers.append(Layer(f"{home}_2_Conv2d_{number}_3x3_s2_{cout}", 3, 2, middle, cout))
        cin = cout
    return layers


def random_arrays(network: str, classes: int, seed: int = 0) -> Arrays:
    """A checkpoint of random weights; `classes` without the background."""
    rng = np.random.default_rng(seed)
    if network == V1:
        layers = v1_layers()
    else:
        inner = [layer for layers, _ in v2_blocks() for layer in layers]
        layers = [Layer("Conv", 3, 2, 3, 32), *inner, Layer("Conv_1", 1, 1, 320, 1280)]
    arrays: Arrays = {}
    for layer in [*layers, *extra_layers(network)]:
        home = f"FeatureExtractor/{network}/{layer.scope}"
        depthwise = layer.cout == 0
        shape = (layer.kernel, layer.kernel, layer.cin, 1 if depthwise else layer.cout)
        fan = layer.kernel**2 * (1 if depthwise else layer.cin)
        leaf = "depthwise_weights" if depthwise else "weights"
        arrays[f"{home}/{leaf}"] = rng.normal(0, (2 / fan) ** 0.5, shape).astype(np.float16)
        channels = layer.cout or layer.cin
        for name, values in {
            "gamma": rng.uniform(0.7, 1.3, channels), "beta": rng.normal(0.1, 0.3, channels),
            "moving_mean": rng.normal(0, 0.2, channels),
            "moving_variance": rng.uniform(0.5, 1.5, channels),
        }.items():  # fmt: skip
            arrays[f"{home}/BatchNorm/{name}"] = values.astype(np.float32)
    for index, channels in enumerate((*_MAPS[network], *(cout for _, cout in _EXTRAS))):
        anchors = 3 if index == 0 else 6
        for kind, width in (("ClassPredictor", classes + 1), ("BoxEncodingPredictor", 4)):
            home, count = f"BoxPredictor_{index}/{kind}", anchors * width
            weights = rng.normal(0, channels**-0.5, (1, 1, channels, count))
            arrays[f"{home}/weights"] = weights.astype(np.float16)
            arrays[f"{home}/biases"] = rng.normal(0, 0.2, count).astype(np.float32)
    return arrays


def write_npz(path: Path, network: str, classes: int, seed: int = 0) -> Arrays:
    """`random_arrays`, on disk."""
    arrays = random_arrays(network, classes, seed)
    np.savez(path, **arrays)
    return arrays


def reference(arrays: Arrays, network: str, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (H, W, 3) -> class logits (P, C) and box encodings (P, 4), ty, tx, th, tw."""
    home = f"FeatureExtractor/{network}"
    x = torch.from_numpy(image.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
    maps = []
    if network == V1:
        for layer in v1_layers():
            x = _run(arrays, home, layer, x)
            if layer.scope in ("Conv2d_11_pointwise", "Conv2d_13_pointwise"):
                maps.append(x)
    else:
        x = _run(arrays, home, Layer("Conv", 3, 2, 3, 32), x)
        for layers, added in v2_blocks():
            given = x
            for layer in layers:
                x = _run(arrays, home, layer, x, linear=layer.scope.endswith("project"))
                if layer.scope == "expanded_conv_13/expand":
                    maps.append(x)
            x = x + given if added else x
        maps.append(x := _run(arrays, home, Layer("Conv_1", 1, 1, 320, 1280), x))
    for place, layer in enumerate(extra_layers(network)):
        x = _run(arrays, home, layer, x)
        if place % 2:
            maps.append(x)
    found = []
    for kind in ("ClassPredictor", "BoxEncodingPredictor"):
        rows = []
        for index, values in enumerate(maps):
            predictor = f"BoxPredictor_{index}/{kind}"
            weights = _tensor(arrays[f"{predictor}/weights"])[0, 0]
            flat = values[0].permute(1, 2, 0) @ weights + _tensor(arrays[f"{predictor}/biases"])
            anchors = 3 if index == 0 else 6
            rows.append(flat.reshape(-1, flat.shape[-1] // anchors))
        found.append(torch.cat(rows).numpy())
    return found[0], found[1]


def _run(arrays: Arrays, home: str, layer: Layer, x: Tensor, linear: bool = False) -> Tensor:
    depthwise = layer.cout == 0
    scope = f"{home}/{layer.scope}"
    kernel = _tensor(arrays[f"{scope}/{'depthwise_weights' if depthwise else 'weights'}"])
    axes = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
    borders: list[int] = []
    for size in (x.shape[3], x.shape[2]):  # F.pad begins with the last axis
        total = max((-(-size // layer.stride) - 1) * layer.stride + layer.kernel - size, 0)
        borders += [total // 2, total - total // 2]
    groups = layer.cin if depthwise else 1
    x = F.conv2d(F.pad(x, borders), kernel.permute(*axes), stride=layer.stride, groups=groups)
    names = ("moving_mean", "moving_variance", "gamma", "beta")
    norm = [_tensor(arrays[f"{scope}/BatchNorm/{name}"]) for name in names]
    x = F.batch_norm(x, norm[0], norm[1], norm[2], norm[3], eps=1e-3)
    return x if linear else x.clamp(0, 6)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
