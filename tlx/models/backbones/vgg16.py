"""VGG-16 (Simonyan & Zisserman 2015, arXiv:1409.1556) as SSD stands on it, without batch norm.

A block is a convolution and its ReLU, under the name that the papers give it; a pooling belongs to
the convolution before it, but pool4 and pool5 to the one behind them, so that conv4_3 is tapped at
stride 8. SSD (Liu et al. 2016, arXiv:1512.02325, sec. 3) replaces fc6 and fc7 by convolutions, fc6
dilated, behind a pool5 that keeps the resolution. The L2 norm of conv4_3 is the detector's.

Reads four published layouts: torchvision's classifier, its `IMAGENET1K_FEATURES`, the backbone of
its `ssd300_vgg16`, and ssd.pytorch's `vgg16_reducedfc`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from tlx.common.errors import WeightsError
from tlx.models.backbones import torchvision_detection
from tlx.models.backbones.base import Backbone, BackboneSpec, Conventions, StateDict, register
from tlx.models.backbones.sources import torch_hub

# Channels of the convolutions of each stage; Table 1 of the paper, column D.
_STAGES = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
_CONVOLUTIONS = tuple(
    (f"conv{stage}_{i}", channels)
    for stage, widths in enumerate(_STAGES, 1)
    for i, channels in enumerate(widths, 1)
)
_POOLED_BEHIND = ("conv1_2", "conv2_2", "conv3_3")
_POOLED_BEFORE = "conv5_1"
BLOCKS = (*(name for name, _ in _CONVOLUTIONS), "fc6", "fc7")
TAPS = (BLOCKS.index("conv4_3"), BLOCKS.index("fc7"))  # 512 at stride 8, 1024 at stride 16

TORCHVISION = Conventions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), activation="relu")
# Pixels in 0..255 less the mean of ImageNet, as Caffe's networks were trained: torchvision's
# `VGG16_Weights.IMAGENET1K_FEATURES` and `ssd300_vgg16` state it so.
CAFFE = Conventions(
    mean=(0.48235, 0.45882, 0.40784), std=(1 / 255,) * 3, activation="relu"
)  # fmt: skip

# Places of the convolutions in torchvision's `features`: ReLUs and poolings count too.
_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_REDUCED = (*_PLACES, 31, 33)  # with fc6 and fc7, as ssd.pytorch's list has them
_FC6_SIDE, _FC6_KEPT = 7, 3  # of fc6's kernel
_EVERY = 4  # of 4096 channels, 1024 stay


def build(conventions: Conventions) -> Backbone:
    """VGG-16 up to fc7, random weights; batch norm's epsilon and the activation have no place."""
    blocks: list[tuple[str, nn.Module]] = []
    strides: list[int] = []
    cin, stride = 3, 1
    for name, cout in _CONVOLUTIONS:
        layers: list[tuple[str, nn.Module]] = [
            ("conv", nn.Conv2d(cin, cout, 3, padding=1)), ("relu", nn.ReLU(inplace=True))
        ]  # fmt: skip
        if name in (*_POOLED_BEHIND, _POOLED_BEFORE):
            # Rounded up, as every backbone here: ssd300_vgg16 does so with pool3, the only one
            # whose input is odd at 300 px.
            pool = ("pool", nn.MaxPool2d(2, 2, ceil_mode=True))
            layers.insert(0 if name == _POOLED_BEFORE else 2, pool)
            stride *= 2
        blocks.append((name, nn.Sequential(OrderedDict(layers))))
        strides.append(stride)
        cin = cout
    fc6: list[tuple[str, nn.Module]] = [
        ("pool", nn.MaxPool2d(3, 1, padding=1)),
        ("conv", nn.Conv2d(512, 1024, 3, padding=6, dilation=6)),
        ("relu", nn.ReLU(inplace=True)),
    ]
    fc7: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(1024, 1024, 1)), ("relu", nn.ReLU(inplace=True))
    ]  # fmt: skip
    for name, layers in (("fc6", fc6), ("fc7", fc7)):
        blocks.append((name, nn.Sequential(OrderedDict(layers))))
    for _, block in blocks:
        _initialize(block)
    # Without batch norm the maps are of any scale (hundreds, with Caffe's input): normalised.
    channels = [*(c for _, c in _CONVOLUTIONS), 1024, 1024]
    return Backbone(blocks, [*strides, stride, stride], channels, TAPS, linear_taps=True)


def _initialize(block: nn.Module) -> None:
    """He initialisation, as torchvision's VGG has it."""
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def from_torchvision(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """`features.21.weight` -> `backbone.blocks.conv4_3.conv.weight`; fc6 and fc7 are subsampled.

    Raises `WeightsError` for a file of the features alone, which may be of either convention.
    """
    if "features.28.weight" not in state or "features.28.bias" not in state:
        return None
    if "classifier.0.weight" not in state:
        raise WeightsError(
            "the classifier of this VGG-16 was left out, so it does not tell which input it is "
            "for, torchvision's or Caffe's: take the whole file of torchvision"
        )
    out = _renamed(state, {f"features.{n}": name for n, name in zip(_PLACES, BLOCKS, strict=False)})
    weight = state["classifier.0.weight"]
    # IMAGENET1K_FEATURES: "they are missing values in the classifier module" (its documentation).
    if bool(weight.isnan().all()) or not bool(weight.any()):
        return out, CAFFE
    out |= _prefixed("fc6", subsampled(weight, state["classifier.0.bias"], _FC6_SIDE))
    weight = state["classifier.3.weight"][:, ::_EVERY]  # reads what stayed of fc6
    out |= _prefixed("fc7", subsampled(weight, state["classifier.3.bias"], 1))
    return out, TORCHVISION


def subsampled(weight: Tensor, bias: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """A fully connected layer as a smaller convolution, as SSD and DeepLab-LargeFOV have it.

    Every fourth output stays. Of a kernel of 7x7 every third row and column do (0, 3, 6), which a
    dilation puts at their places again: 3 cells of the pooled map are 6 of the map that is no
    longer halved (arXiv:1512.02325, sec. 3; arXiv:1412.7062, sec. 3.1).

    Args:
        weight: (O, C * side * side), input in the order channel, row, column. bias: (O,).

    Returns:
        (O/4, C, k, k) with k=3 for a side of 7, 1 for 1; (O/4,).
    """
    step = (side - 1) // (_FC6_KEPT - 1) or 1
    kernel = weight.unflatten(1, (-1, side, side))[::_EVERY, :, ::step, ::step]
    return kernel.clone(), bias[::_EVERY].clone()


def _prefixed(block: str, tensors: tuple[Tensor, Tensor]) -> StateDict:
    names = ("weight", "bias")
    return {f"backbone.blocks.{block}.conv.{n}": t for n, t in zip(names, tensors, strict=True)}


def from_torchvision_detection(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """torchvision's `ssd300_vgg16`: backbone, extra maps, L2 norm and heads."""
    if "backbone.scale_weight" not in state or "backbone.extra.0.7.1.weight" not in state:
        return None
    before = BLOCKS.index(_POOLED_BEFORE)
    homes = {f"backbone.features.{_PLACES[i]}": BLOCKS[i] for i in range(before)}
    behind = ("1", "3", "5", "7.1", "7.3")  # behind pool4: conv5_1 ... conv5_3, fc6, fc7
    homes |= {
        f"backbone.extra.0.{n}": name for n, name in zip(behind, BLOCKS[before:], strict=True)
    }
    names = {"0": "reduce", "2": "expand"}
    blocks = {str(n): f"conv{n + 7}" for n in range(1, 5)}
    behind_it = torchvision_detection.behind(state, blocks=blocks, extras=names, heads={})
    return _renamed(state, homes) | behind_it, CAFFE


def from_ssd_pytorch(state: StateDict) -> tuple[StateDict, Conventions] | None:
    """ssd.pytorch's `vgg16_reducedfc.pth`: one list, `31` and `33` are fc6 and fc7.

    Its input is RGB less Caffe's mean: its data set turns OpenCV's order round (`to rgb`).
    """
    if "0.weight" not in state or "31.weight" not in state or "33.weight" not in state:
        return None
    return _renamed(state, {str(n): name for n, name in zip(_REDUCED, BLOCKS, strict=True)}), CAFFE


def _renamed(state: StateDict, homes: dict[str, str]) -> StateDict:
    return {
        f"backbone.blocks.{name}.conv.{leaf}": state[f"{home}.{leaf}"]
        for home, name in homes.items()
        for leaf in ("weight", "bias")
    }


SPEC = register(
    BackboneSpec(
        name="vgg16",
        blocks=BLOCKS,
        build=build,
        conventions=TORCHVISION,
        sources=(
            torch_hub("vgg16-397923af.pth"),
            torch_hub("vgg16_features-amdegroot-88682ab5.pth"),
        ),
        converters=(from_torchvision_detection, from_torchvision, from_ssd_pytorch),
    )
)
