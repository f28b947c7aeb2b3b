"""ResNet-18 and ResNet-50 (He et al. 2016, arXiv:1512.03385), torchvision's architecture.

Block 0 is the stem with its pooling, then come the residual blocks stage by stage; those of
ResNet-50 stride in their 3x3 convolution ("v1.5"). timm's networks of these names have the same
tensors under the same names, and the same conventions.
"""

from __future__ import annotations

from torch import nn

from tlx.models.backbones.base import (
    Backbone,
    BackboneSpec,
    Conventions,
    StateDict,
    register,
    set_bn_eps,
)
from tlx.models.backbones.sources import torch_hub

IMAGENET = Conventions(
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bn_eps=1e-5, activation="relu"
)
_STEM = ("conv1", "bn1", "relu", "maxpool")
_STRIDES, _CHANNELS = (4, 8, 16, 32), (64, 128, 256, 512)  # of the four stages


def _register(
    network: str, depths: tuple[int, ...], expansion: int, files: tuple[str, ...]
) -> BackboneSpec:
    """One of the networks: residual blocks a stage, and how much wider they end."""
    stages = [(s, i) for s, depth in enumerate(depths) for i in range(depth)]
    blocks = ("stem", *(f"layer{s + 1}_{i}" for s, i in stages))
    strides = (4, *(_STRIDES[s] for s, _ in stages))
    channels = (64, *(_CHANNELS[s] * expansion for s, _ in stages))
    taps = (sum(depths[:3]), sum(depths))  # the last blocks at strides 16 and 32

    def build(conventions: Conventions) -> Backbone:
        """Without its classifier, random weights."""
        from torchvision import models  # here, for only what builds it needs it

        net = models.get_model(network, weights=None)
        set_bn_eps(net, conventions.bn_eps)
        stem = nn.Sequential(*(getattr(net, name) for name in _STEM))
        residual = [getattr(net, f"layer{s + 1}")[i] for s, i in stages]
        named = zip(blocks, [stem, *residual], strict=True)
        return Backbone(named, strides, channels, taps, linear_taps=False)

    def from_torchvision(state: StateDict) -> tuple[StateDict, Conventions] | None:
        """`layer2.1.conv1.weight` -> `backbone.blocks.layer2_1.conv1.weight`; timm's too."""
        last = f"layer4.{depths[3] - 1}.conv{3 if expansion > 1 else 2}.weight"
        if "conv1.weight" not in state or last not in state:
            return None
        out: StateDict = {}
        for key, value in state.items():
            root, *rest = key.split(".")
            if root in _STEM:
                out[f"backbone.blocks.stem.{_STEM.index(root)}.{'.'.join(rest)}"] = value
            elif root.startswith("layer"):
                out[f"backbone.blocks.{root}_{rest[0]}.{'.'.join(rest[1:])}"] = value
        return out, IMAGENET

    return register(
        BackboneSpec(
            name=network,
            blocks=blocks,
            build=build,
            conventions=IMAGENET,
            sources=tuple(map(torch_hub, files)),
            converters=(from_torchvision,),
        )
    )


RESNET18 = _register("resnet18", (2, 2, 2, 2), 1, ("resnet18-f37072fd.pth",))
# V1 first, as in `mobilenet_v3`.
RESNET50 = _register(
    "resnet50", (3, 4, 6, 3), 4, ("resnet50-0676ba61.pth", "resnet50-11ad3fa6.pth")
)
