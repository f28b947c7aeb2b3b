"""Checkpoints of TensorFlow's Object Detection API (TF1): SSD on MobileNet.

Names are the graph's scopes (`FeatureExtractor/MobilenetV1/Conv2d_3_depthwise/depthwise_weights`,
`BoxPredictor_0/ClassPredictor/biases`), kernels are in TensorFlow's order. Sources: `models/
ssd_mobilenet_v{1,2}_feature_extractor.py`, `models/feature_map_generators.py` and `predictors/
convolutional_box_predictor.py` of tensorflow/models, research/object_detection.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor

from tlx.models.backbones.base import SAME, Conventions, StateDict
from tlx.models.backbones.tf_anchor_order import in_order_of_today

CONVENTIONS = Conventions(
    mean=(0.5,) * 3, std=(0.5,) * 3, bn_eps=1e-3, activation="relu6", padding=SAME
)
_NORM = {
    "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip
# `Conv2d_13_pointwise_1_Conv2d_2_1x1_256` (MobileNetV1), `layer_19_2_Conv2d_2_3x3_s2_512` (V2): the
# 1x1 (1) and the 3x3 convolution (2) of extra map 2 to 5, by its number in the feature maps.
_EXTRA = re.compile(r"(?:Conv2d_13_pointwise|layer_19)_([12])_Conv2d_([2-5])_\dx\d(?:_s2)?_\d+")
_PREDICTOR = re.compile(
    r"BoxPredictor_(\d+)/(ClassPredictor|BoxEncodingPredictor)/(weights|biases)"
)
_HEADS = {"ClassPredictor": "classify", "BoxEncodingPredictor": "regress"}
# ty, tx, th, tw of an anchor -> tx, ty, tw, th
_XY_FIRST = [1, 0, 3, 2]

Place = tuple[str, str]
"""Where a convolution and the batch norm behind it are here: two prefixes of keys."""


def convert(state: StateDict, network: str, place: Callable[[str], Place | None]) -> StateDict:
    """Tensors of a checkpoint under the keys of a detector here, or {} for another network's.

    Args:
        network: its scope in the feature extractor (`MobilenetV1`).
        place: of a scope in it (`Conv2d_0`), None for what is no layer of the backbone.

    Pyramids and heads of other detectors keep their names, behind `extras.` and `heads.`, so that a
    network says what it leaves. What is no weight (a training's slots and counters) is left out.
    Raises `ValueError` for a tensor that has not as many axes as one of its name.
    """
    scope = f"FeatureExtractor/{network}/"
    if not any(key.startswith(scope) for key in state):
        return {}
    # The 1x1 convolutions of SSDLite's predictors read what a depthwise one made of the maps, and
    # mean nothing without it.
    lite = any("Predictor_depthwise/" in key for key in state)
    found: StateDict = {}
    for key, value in state.items():
        if lite and key.startswith("BoxPredictor_"):
            found[f"heads.ssdlite.{key.replace('/', '.')}"] = value
        elif key.startswith("WeightSharedConvolutionalBoxPredictor/"):
            found[f"heads.{key.replace('/', '.')}"] = value
        elif key.startswith(f"{scope}fpn/"):
            found[f"extras.{key.removeprefix(scope).replace('/', '.')}"] = value
        elif predictor := _PREDICTOR.fullmatch(key):
            index, kind, leaf = predictor.groups()
            rows = _oihw(key, value) if leaf == "weights" else value
            if kind == "BoxEncodingPredictor":
                if len(rows) % 4:
                    raise ValueError(f"{key} has {len(rows)} outputs, a box has four")
                rows = rows.unflatten(0, (-1, 4))[:, _XY_FIRST].flatten(0, 1)
            leaf = "weight" if leaf == "weights" else "bias"
            found[f"heads.{_HEADS[kind]}.{index}.{leaf}"] = rows.contiguous()
        elif key.startswith(scope):
            inner = key.removeprefix(scope)
            layer, _, leaf = inner.partition("/BatchNorm/")
            if not leaf:
                layer, _, leaf = inner.rpartition("/")
            places = _extra(layer) or place(layer)
            if places is None:
                continue
            convolution, norm = places
            if leaf in _NORM:
                found[f"{norm}.{_NORM[leaf]}"] = value
            elif leaf == "weights":
                found[f"{convolution}.weight"] = _oihw(key, value)
            elif leaf == "depthwise_weights":
                found[f"{convolution}.weight"] = _depthwise(key, value)
    return in_order_of_today(found)


def _extra(layer: str) -> Place | None:
    if not (match := _EXTRA.fullmatch(layer)):
        return None
    part = {"1": "reduce", "2": "expand"}[match[1]]
    block = f"extras.extra_{int(match[2]) - 1}.{part}"
    return f"{block}.conv", f"{block}.bn"


def _oihw(key: str, value: Tensor) -> Tensor:
    """Height, width, in, out -> out, in, height, width."""
    return _kernel(key, value).permute(3, 2, 0, 1).contiguous()


def _depthwise(key: str, value: Tensor) -> Tensor:
    """Height, width, channel, 1 -> channel, 1, height, width."""
    return _kernel(key, value).permute(2, 3, 0, 1).contiguous()


def _kernel(key: str, value: Tensor) -> Tensor:
    if value.ndim != 4:
        raise ValueError(f"{key} has {value.ndim} axes, a kernel has four")
    return value
