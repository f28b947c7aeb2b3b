"""How a network sees pictures: stretched to its square input or with bars, whole or in tiles.

A model is of one framing: its checkpoint and its exports carry it, and whatever runs it follows
it. One that says nothing sees whole pictures, stretched, as all did before there was a choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError
from tlx.config.schema import LEAST_TILE, MOST_OVERLAP
from tlx.data.formats.annotations import Item, Part
from tlx.data.letterbox import Area, content
from tlx.data.tiles import parts, tile_of

STRETCH, LETTERBOX = "stretch", "letterbox"


@dataclass(frozen=True)
class Framing:
    """See the module.

    Attributes:
        letterbox: pictures keep their aspect ratio in the input.
        tile: side of the tiles that pictures are cut into, px of the picture; None: whole ones.
        overlap: share of a tile's side that it has in common with the next.
    """

    letterbox: bool = False
    tile: int | None = None
    overlap: float = 0.2

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Framing:
        """That of a run's configuration, as its checkpoint holds it.

        Raises:
            ConfigError: what it says is no framing.
        """
        data = config.get("data")
        data = data if isinstance(data, Mapping) else {}
        overlap = data.get("tile_overlap", cls.overlap)
        try:
            return _sound(data.get("letterbox", False), data.get("tile"), overlap)
        except ValueError as error:
            raise ConfigError(f"the configuration of its data is damaged: {error}") from error

    @classmethod
    def read(cls, described: object) -> Framing:
        """That of a description's `input` (`describe`); ValueError for one that is not known."""
        stated = described if isinstance(described, Mapping) else {}
        resize = stated.get("resize", STRETCH)
        if resize not in (STRETCH, LETTERBOX):
            raise ValueError(f"its pictures are resized by {resize!r}, which this tlx cannot do")
        tile = stated.get("tile") or {}
        if not isinstance(tile, Mapping):
            raise ValueError("tile is no object")
        return _sound(resize == LETTERBOX, tile.get("side"), tile.get("overlap", cls.overlap))

    def describe(self) -> dict[str, Any]:
        """For the `input` of a description."""
        tile = {"tile": {"side": self.tile, "overlap": self.overlap}} if self.tile else {}
        return {"resize": LETTERBOX if self.letterbox else STRETCH, **tile}

    def with_tiles(self, tile: int | None, overlap: float | None) -> Framing:
        """The same with other tiles; None leaves them, a `tile` of 0 is whole pictures.

        Raises:
            ConfigError: such tiles cannot be.
        """
        if tile is not None and tile != 0 and tile < LEAST_TILE:
            raise ConfigError(f"tile={tile} must be at least {LEAST_TILE}, or 0: whole pictures")
        if overlap is not None and not 0 <= overlap <= MOST_OVERLAP:
            raise ConfigError(f"tile_overlap={overlap} must be between 0 and {MOST_OVERLAP}")
        side = self.tile if tile is None else tile or None
        if overlap is not None and side is None:
            raise ConfigError(f"tile_overlap={overlap} is of tiles: add tile=640")
        return Framing(self.letterbox, side, self.overlap if overlap is None else overlap)

    def into(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A run's configuration with its `data` shown in this way."""
        data = config.get("data")
        if not isinstance(data, Mapping):
            return dict(config)  # whoever reads it says what is wrong
        shown = {"letterbox": self.letterbox, "tile": self.tile, "tile_overlap": self.overlap}
        return {**config, "data": {**data, **shown}}

    @property
    def plain(self) -> bool:
        """Whole pictures, stretched: what the input shows, and in 0..1 where, is the picture."""
        return not self.letterbox and self.tile is None

    @property
    def words(self) -> str:
        """What it is, for messages."""
        kept = "with its aspect ratio kept" if self.letterbox else "stretched"
        what = f"tiles of {self.tile} px" if self.tile else "the whole picture"
        return f"{what}, {kept}"

    def parts(self, size: tuple[int, int]) -> list[Part]:
        """What is shown of a picture of `size`, (width, height): one input each."""
        if self.tile is None:
            return [Part(0, 0, *size)]
        return parts(*size, self.tile, self.overlap)

    def crops(self, image: np.ndarray) -> list[np.ndarray]:
        """The pixels (h, w, 3) of `parts` of a picture (H, W, 3)."""
        if self.tile is None:
            return [image]
        return [part.of(image) for part in self.parts((image.shape[1], image.shape[0]))]

    def cut(self, items: Sequence[Item]) -> list[Item]:
        """What is shown of each picture, in order; tiles have no boxes: figures are of pictures."""
        if self.tile is None:
            return list(items)
        return [
            tile_of(item, part, item.boxes.reshape(-1, 4), np.zeros(len(item.labels), bool))
            for item in items
            for part in self.parts(item.size)
        ]

    def area(self, size: tuple[int, int], side: int) -> Area:
        """Where a picture or tile of `size` lies in the input."""
        return content(*size, side) if self.letterbox else Area(0, 0, side, side)

    def shown(self, boxes: np.ndarray, size: tuple[int, int], side: int) -> np.ndarray:
        """Boxes (n, 4), px of a picture of `size`, in 0..1 of an input of `side` px.

        With tiles each box is shown by itself, in a tile of those that begin where the one before
        ends: how large it is there is what counts.
        """
        if self.tile:
            size = (min(size[0], self.tile), min(size[1], self.tile))
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            boxes = boxes - np.tile(middle // size * size, 2)
        return self.area(size, side).into(boxes / np.array([*size] * 2), side)

    def spanned(self, size: tuple[int, int]) -> tuple[int, int]:
        """Pixels of a picture that the input's width and height stand for."""
        width, height = (min(s, self.tile) if self.tile else s for s in size)
        return (max(width, height),) * 2 if self.letterbox else (width, height)


WHOLE = Framing()
"""Whole pictures, stretched."""


def _sound(letterbox: object, tile: object, overlap: object) -> Framing:
    if not isinstance(letterbox, bool):
        raise ValueError(f"letterbox is {letterbox!r}")
    if tile is not None and (not isinstance(tile, int) or isinstance(tile, bool) or tile < 1):
        raise ValueError(f"a tile's side is {tile!r}")
    if not isinstance(overlap, int | float) or not 0 <= overlap < 1:
        raise ValueError(f"the overlap of tiles is {overlap!r}")
    return Framing(letterbox, tile, float(overlap))
