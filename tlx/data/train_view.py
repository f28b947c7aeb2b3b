"""What training goes through instead of the train pictures once each: tiles, and rare ones more."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from tlx.common.errors import DataError
from tlx.config.schema import DataConfig
from tlx.data.balance import repeat_factors
from tlx.data.formats.annotations import Item
from tlx.data.tiles import Rules, training_tiles

log = logging.getLogger(__name__)


def train_view(
    cfg: DataConfig, items: list[Item], classes: list[str]
) -> tuple[list[Item] | None, np.ndarray | None, dict[str, Any]]:
    """Tiles and factors of the train pictures where they are asked for, and what to record of them.

    Raises `DataError` where no tile would be left to train on.
    """
    tiles, factors, told = None, None, dict[str, Any]()
    if cfg.tile:
        rules = Rules(cfg.tile_visible, cfg.tile_empty)
        tiles, told["tiles"] = training_tiles(items, cfg.tile, cfg.tile_overlap, rules)
        if items and not tiles:
            raise DataError(
                f"data.tile={cfg.tile}: no tile of the {len(items)} train pictures shows "
                f"{cfg.tile_visible:.0%} of a box, and none without objects is kept: take larger "
                "tiles, or a smaller data.tile_visible"
            )
    shown = items if tiles is None else tiles
    if cfg.sampling == "balanced" and shown:
        factors, told["sampling"] = repeat_factors(shown, classes, cfg.repeat_threshold)
        if (factors == factors[0]).all():
            factors = None
            log.warning(
                "data.sampling=balanced changes nothing: no class is in a smaller share of the "
                "train pictures than %g (data.repeat_threshold)", cfg.repeat_threshold,
            )  # fmt: skip
    return tiles, factors, told
