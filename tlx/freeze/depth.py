"""The value of `freeze=…` as a number of leading blocks.

`freeze=N` freezes blocks 0..N **inclusive**, as the published comparison on the Guns set counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tlx.common.errors import ConfigError
from tlx.freeze.keras_index import PREFIX, keras_block

if TYPE_CHECKING:
    from tlx.models.backbones.base import BackboneSpec

SPELLINGS = "none, a block number (blocks 0..N inclusive), a block's name, all, neck, or keras:N"


def freeze_label(value: Any) -> str:
    """One spelling per meaning: ``4`` and ``'4'`` are the same run, ``neck`` and ``heads`` too."""
    label = str(value).strip()
    return "heads" if label == "neck" else label


def frozen_blocks(value: Any, spec: BackboneSpec, own_blocks: Sequence[str] = ()) -> int:
    """How many leading blocks of the trunk (backbone, then the detector's) `freeze=value` freezes.

    ``none`` 0; ``N`` N + 1; a block's name up to and with it; ``all`` the backbone; ``neck`` the
    backbone and the neck, which are `own_blocks` of the detector, so that only the heads train
    (``heads`` says the same); ``keras:N`` the first N layers of the model in Keras. Anything else
    is a `ConfigError` that lists the blocks.
    """
    label = freeze_label(value)
    if label == "none":
        return 0
    if label == "all":
        return len(spec.blocks)
    if label == "heads":
        return len(spec.blocks) + len(own_blocks)
    if label == "scratch":
        raise ConfigError(
            "freeze=scratch is a value of sweeps (-m); a single run from scratch is "
            "backbone.weights=scratch"
        )
    if label.startswith(PREFIX):
        label = keras_block(label, spec)
    if label in spec.blocks:
        return spec.blocks.index(label) + 1
    if not isinstance(value, bool) and label.isascii() and label.isdecimal():
        if (number := int(label)) < len(spec.blocks):
            return number + 1
        problem = f"freeze={label} goes past the last block of {spec.name}"
    else:
        problem = f"freeze={label} is not understood (it takes {SPELLINGS})"
    listed = ", ".join(f"{i} {name}" for i, name in enumerate(spec.blocks))
    raise ConfigError(f"{problem}; its blocks are: {listed}")
