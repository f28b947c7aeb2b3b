"""Any network of timm that is a chain of modules: `backbone=timm backbone.model=resnet18`.

timm says of itself where a network's feature maps are (`features_only=True`), and runs the modules
up to them one after the other. Those are the blocks here: what lies before the first stage is the
stem, and a stage that is a plain chain of its own counts block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tlx.common.errors import ConfigError, first_line
from tlx.common.typos import nearest
from tlx.models.backbones.base import (
    FAMILIES,
    Backbone,
    BackboneSpec,
    Conventions,
    Source,
    StateDict,
    set_bn_eps,
    without_counters,
)
from tlx.models.backbones.sources import hugging_face

if TYPE_CHECKING:  # timm takes long to import, and only what asks for a network of it needs it
    from timm.models import FeatureListNet

FAMILY = "timm"
_SIDE = 256  # of the blank picture that strides and channels are read from
_TAPPED = (16, 32)  # the strides whose last blocks feed the first two heads
_STEM = "stem"


@cache
def spec_of(model: str) -> BackboneSpec:
    """A network by timm's name for it, with or without a tag (`resnet18.a1_in1k`).

    Raises:
        ConfigError: timm has none of this name, or it is no chain of blocks with maps at strides 16
            and 32.
    """
    from timm import get_pretrained_cfg

    chain = _chain(model)
    _prove(model, chain)
    config = get_pretrained_cfg(model)
    eps = next((m.eps for m in chain.net.modules() if isinstance(m, nn.BatchNorm2d)), 1e-5)
    conventions = Conventions(
        mean=tuple(config.mean) if config else (0.485, 0.456, 0.406),  # type: ignore[arg-type]
        std=tuple(config.std) if config else (0.229, 0.224, 0.225),  # type: ignore[arg-type]
        bn_eps=float(eps),
    )
    strides, channels = chain.shapes()
    if missing := [stride for stride in _TAPPED if stride not in strides]:
        raise _no_chain(model, f"no block of it ends at stride {missing[0]}")
    taps = tuple(max(i for i, s in enumerate(strides) if s == stride) for stride in _TAPPED)

    def build(conventions: Conventions) -> Backbone:
        made = _chain(model)
        set_bn_eps(made.net, conventions.bn_eps)
        # Whether a tapped block ends without an activation is not told: its map is normalised.
        return Backbone(made.blocks.items(), strides, channels, taps, linear_taps=True)

    def from_timm(state: StateDict) -> tuple[StateDict, Conventions] | None:
        """timm's own layout."""
        found = chain.renamed(state)
        return (found, conventions) if chain.tensors() <= found.keys() else None

    return BackboneSpec(
        name=f"{FAMILY}-{model}",
        blocks=tuple(chain.blocks),
        build=build,
        conventions=conventions,
        sources=_sources(config),
        converters=(from_timm,),
    )


class _Chain:
    """A network of timm, taken apart.

    Attributes:
        whole: as timm made it. net: the same modules, without the classifier. steps: of its run.
        blocks: what runs one after the other here, the steps of the stem in one.
        homes: for each of timm's module paths, where its tensors are here (`blocks.stem.0`).
    """

    def __init__(self, net: FeatureListNet, whole: Any) -> None:
        self.net, self.whole = net, whole
        self.blocks: dict[str, nn.Module] = {}
        self.homes: dict[str, str] = {}
        self.steps = steps = list(_steps(net, dict(whole.named_modules())))
        staged = any(_is_stage(path, module) for _, path, module in steps)
        group: list[tuple[str, str, nn.Module]] = []
        for name, path, module in steps:
            if staged and (self.blocks or _is_stage(path, module)):
                self._add(group)
                group = []
                self.blocks[name] = module
                self.homes[path] = f"blocks.{name}"
            else:
                if not staged and isinstance(module, nn.Conv2d):  # VGG: a chain of single layers
                    self._add(group)
                    group = []
                group.append((name, path, module))
        self._add(group)

    def _add(self, parts: list[tuple[str, str, nn.Module]]) -> None:
        """Layers that make one block: the stem first, later ones by the name of their first."""
        if not parts:
            return
        name = parts[0][0] if self.blocks else _STEM
        self.blocks[name] = nn.Sequential(*(module for _, _, module in parts))
        self.homes |= {path: f"blocks.{name}.{i}" for i, (_, path, _) in enumerate(parts)}

    def shapes(self) -> tuple[list[int], list[int]]:
        """Stride and channels behind each block."""
        strides, channels, x = [], [], torch.zeros(1, 3, _SIDE, _SIDE)
        with torch.no_grad():
            for block in self.blocks.values():
                x = block.eval()(x)
                strides.append(_SIDE // x.shape[2])
                channels.append(x.shape[1])
        return strides, channels

    def tensors(self) -> set[str]:
        """The names here of all tensors of the blocks; publishers leave out counters."""
        blocks = nn.ModuleDict(self.blocks).state_dict()
        return {f"backbone.blocks.{key}" for key in without_counters(blocks)}

    def renamed(self, state: StateDict) -> StateDict:
        """timm's tensors under the names here; those of the classifier are left out."""
        found: StateDict = {}
        for key, value in state.items():
            path = key
            while path and path not in self.homes:
                path = path.rpartition(".")[0]
            if path:
                found[f"backbone.{self.homes[path]}{key[len(path) :]}"] = value
        return found


def _chain(model: str) -> _Chain:
    import timm
    from timm.models import FeatureListNet

    if not timm.is_model(model):
        near = nearest(model.partition(".")[0], timm.list_models())
        meant = f": did you mean {near}?" if near else "; timm.list_models() has them all"
        raise ConfigError(f"backbone.model={model} is no network of timm{meant}")
    try:
        whole: Any = timm.create_model(model, pretrained=False)
        every = tuple(range(len(whole.feature_info)))
        inner = any("." in info["module"] for info in whole.feature_info)  # a map inside of a chain
        return _Chain(FeatureListNet(whole, every, flatten_sequential=inner), whole)
    except ConfigError:
        raise
    except Exception as error:  # of any of a thousand networks
        raise _no_chain(model, first_line(error)) from error


@torch.no_grad()
def _prove(model: str, chain: _Chain) -> None:
    """Hold the maps of the chain against those that timm's network gives by itself.

    Raises:
        ConfigError: they differ, so that there is more to the network than its modules in a row.
    """
    x = torch.rand(1, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    try:
        wanted = chain.whole.eval().forward_intermediates(x, intermediates_only=True)
        seen = []
        for _, _, module in chain.steps:
            seen.append(x := module(x))
    except Exception as error:
        raise _no_chain(model, f"{type(error).__name__}: {first_line(error)}") from error
    for one in wanted:
        if not any(y.shape == one.shape and torch.allclose(y, one, atol=1e-5) for y in seen):
            raise _no_chain(model, "timm computes its maps otherwise than module by module")


def _no_chain(model: str, why: str) -> ConfigError:
    return ConfigError(
        f"backbone.model={model} cannot be used: {why}. A chain of blocks with maps at strides 16 "
        "and 32 is needed, as most convolutional networks of timm are"
    )


def _steps(net: FeatureListNet, known: dict[str, nn.Module]) -> Iterator[tuple[str, str, Any]]:
    """Name here, path in timm's network and module of everything that runs, in order."""
    for name, module in net.items():
        # timm writes `blocks.0` as `blocks_0` where it has taken a chain apart.
        path = name if name in known else ".".join(name.rsplit("_", 1))
        if path not in known:
            raise ConfigError(f"timm's module {name} is not in the network that it is of")
        if type(module) is nn.Sequential and _is_stage(path, module):
            for part, child in module.named_children():
                yield f"{name}_{part}", f"{path}.{part}", child
        else:
            yield name, path, module


def _is_stage(path: str, module: nn.Module) -> bool:
    """Whether this is more than a part of the stem: a module with several convolutions."""
    if path.split(".")[0].startswith(("stem", "conv")):
        return False
    return sum(isinstance(layer, nn.Conv2d) for layer in module.modules()) > 1


def _sources(config: Any) -> tuple[Source, ...]:
    hub = getattr(config, "hf_hub_id", None)
    return (hugging_face(hub),) if hub else ()


FAMILIES.add(FAMILY, spec_of, __name__)
