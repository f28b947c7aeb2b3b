"""What stands behind the backbone in a state dict of torchvision's SSD300 and SSDLite.

Sources: `torchvision/models/detection/ssd.py` and `ssdlite.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tlx.models.backbones.base import StateDict

_HEADS = {"classification_head": "classify", "regression_head": "regress"}
_HEAD = re.compile(r"head\.(classification_head|regression_head)\.module_list\.(\d+)\.(.+)")
_EXTRA = re.compile(r"backbone\.extra\.(\d+)\.(.+)")


def behind(
    state: StateDict, *, blocks: Mapping[str, str], extras: Mapping[str, str],
    heads: Mapping[str, str],
) -> StateDict:  # fmt: skip
    """`backbone.extra.N…` -> `extras.NAME…`, `head.…` -> `heads.…`.

    Args:
        blocks: names of the extra maps here, by their numbers in the file.
        extras, heads: beginnings of names inside of a block (of a predictor) that are others here;
            names that begin with none of them stay.
    """
    out: StateDict = {}
    for key, value in state.items():
        if match := _EXTRA.fullmatch(key):
            if match[1] in blocks:
                out[f"extras.{blocks[match[1]]}.{_renamed(match[2], extras)}"] = value
        elif match := _HEAD.fullmatch(key):
            kind, number, inner = _HEADS[match[1]], match[2], match[3]
            out[f"heads.{kind}.{number}.{_renamed(inner, heads)}"] = value
        elif key == "backbone.scale_weight":
            out["heads.norms.0.scale"] = value
    return out


def _renamed(inner: str, names: Mapping[str, str]) -> str:
    for theirs, ours in names.items():
        if inner.startswith(f"{theirs}."):
            return ours + inner.removeprefix(theirs)
    return inner
