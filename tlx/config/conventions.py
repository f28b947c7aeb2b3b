"""Conventions that a user states for weights whose layout does not tell, or tells wrongly."""

from __future__ import annotations

import math
from dataclasses import replace

from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice
from tlx.config.schema import BackboneConfig
from tlx.models.backbones.base import BackboneSpec, Conventions

# Of pixels in 0..1. A mean or a deviation of pixels in 0..255 is far outside.
_MEAN, _STD, _EPS = (0.0, 1.0), (1e-3, 10.0), (1e-12, 0.1)


def check_conventions(backbone: BackboneConfig, spec: BackboneSpec) -> None:
    """Refuse what is no convention, or none that the backbone can be built with (`ConfigError`)."""
    for key, limits in (("mean", _MEAN), ("std", _STD)):
        values = getattr(backbone, key)
        if values is not None and not (
            len(values) == 3 and all(_within(v, limits) for v in values)
        ):
            raise ConfigError(
                f"backbone.{key}={values} must be three numbers of {limits[0]:g} to {limits[1]:g}, "
                "for red, green and blue pixels of 0..1 (those of 0..255 divided by 255)"
            )
    if backbone.bn_eps is not None and not _within(backbone.bn_eps, _EPS):
        raise ConfigError(f"backbone.bn_eps={backbone.bn_eps} must be {_EPS[0]:g} to {_EPS[1]:g}")
    for key, known in (("activation", spec.activations), ("padding", spec.paddings)):
        value = getattr(backbone, key)
        if value is None or value in known:
            continue
        if len(known) < 2:
            raise ConfigError(f"backbone.{key}={value}: {spec.name} is built with one only")
        raise ConfigError(unknown_choice(f"backbone.{key}", value, known))


def stated(backbone: BackboneConfig, own: Conventions) -> Conventions:
    """The conventions of the weights, `own`, with what the configuration states in their place."""
    given = {
        key: tuple(value) if isinstance(value, list) else value
        for key in ("mean", "std", "bn_eps", "activation", "padding")
        if (value := getattr(backbone, key)) is not None
    }
    return replace(own, **given)  # type: ignore[arg-type]


def _within(value: float, limits: tuple[float, float]) -> bool:
    return math.isfinite(value) and limits[0] <= value <= limits[1]
