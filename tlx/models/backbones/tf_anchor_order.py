"""Which order the anchors of a cell have in heads of TensorFlow's Object Detection API.

The API's first version (June 2017) had the square of the interpolated scale second, right behind
the other square; `create_ssd_anchors` of today has it last, after all ratios. Names and shapes of
the tensors are the same, and no checkpoint says which it is of. But anchors of like shape find like
things, so their predictors are alike: the two squares, the two wide ones, the two high ones.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from tlx.models.backbones.base import StateDict

log = logging.getLogger(__name__)

_ANCHORS = 6  # of a cell of all maps but the largest, which has three in the same order always
_TODAY, _FIRST = ((0, 5), (1, 3), (2, 4)), ((0, 1), (2, 4), (3, 5))  # anchors of like shape
_FROM_FIRST = [0, 2, 3, 4, 5, 1]
# In the two published detectors that it was measured on, predictors of like anchors correlate by
# -.15 in today's order and .03 in the first one (of 2017), and by .46 and -.01 (of 2018). Of random
# predictors the two differ by at most .035 in 200 draws.
_CLEARLY = 0.1


def in_order_of_today(state: StateDict) -> StateDict:
    """Heads (`heads.classify.…`, `heads.regress.…`) of the first order in today's; the log says so.

    Heads that do not tell are taken as of today.
    """
    full = [key.split(".")[2] for key in state if _is_full(key, state)]
    if not full:
        return state
    likeness = [_likeness(state[f"heads.classify.{index}.weight"]) for index in full]
    today, first = (sum(values) / len(full) for values in zip(*likeness, strict=True))
    if not first > today + _CLEARLY:
        return state
    log.info(
        "its heads have the anchors in the order of the API's first version, and are brought into "
        "today's: predictors of like anchors correlate by %.2f so, by %.2f as they stand",
        first, today,
    )  # fmt: skip
    return {
        key: _reordered(value) if key.startswith("heads.") and key.split(".")[2] in full else value
        for key, value in state.items()
    }


def _is_full(key: str, state: StateDict) -> bool:
    """Whether this is the class predictor of a map with all anchors, and whole."""
    if not (key.startswith("heads.classify.") and key.endswith(".weight")):
        return False
    boxes = state.get(key.replace("classify", "regress"))
    return boxes is not None and len(boxes) == 4 * _ANCHORS and len(state[key]) % _ANCHORS == 0


def _likeness(weight: Tensor) -> tuple[float, float]:
    """Mean correlation of the predictors of like anchors, in today's order and in the first."""
    rows = weight.double().reshape(_ANCHORS, -1)
    correlation = torch.corrcoef(rows - rows.mean(0)).nan_to_num()
    today, first = (
        sum(float(correlation[a, b]) for a, b in pairs) / len(pairs) for pairs in (_TODAY, _FIRST)
    )
    return today, first


def _reordered(rows: Tensor) -> Tensor:
    return rows.unflatten(0, (_ANCHORS, -1))[_FROM_FIRST].flatten(0, 1).contiguous()
