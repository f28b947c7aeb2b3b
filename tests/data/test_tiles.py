"""Tiles cover their picture, boxes follow them, and what is found in them is put together."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Compose
from tlx.common.errors import DataError
from tlx.data.augment import TrainAugment
from tlx.data.cache import ImageCache
from tlx.data.dataset import TrainSplit
from tlx.data.formats.annotations import Item, Part
from tlx.data.framing import Framing
from tlx.data.module import build_data
from tlx.data.tiles import Rules, parts, starts, training_tiles
from tlx.runtime.framed import merge, of_picture
from tlx.runtime.postprocess import Found


def item(size: tuple[int, int], *boxes: tuple[float, ...], label: int = 1) -> Item:
    held = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(held)
    return Item(Path("a.png"), held, np.full(count, label), np.zeros(count, bool), size, "d" * 64)


def test_a_grid_by_hand() -> None:
    assert starts(1000, 400, 0.2) == [0, 320, 600]  # a step of 320; the last moved back
    assert starts(1040, 400, 0.2) == [0, 320, 640]
    assert starts(400, 400, 0.2) == [0]
    assert starts(100, 400, 0.2) == [0]
    assert starts(401, 400, 0.0) == [0, 1]
    assert parts(500, 300, 400, 0.2) == [Part(0, 0, 400, 300), Part(100, 0, 400, 300)]


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 64), (63, 200), (1000, 777), (129, 2)])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5, 0.9])
def test_tiles_cover_every_pixel(size: tuple[int, int], overlap: float) -> None:
    covered = np.zeros(size[::-1], int)
    for part in Framing(tile=64, overlap=overlap).parts(size):
        assert (part.width, part.height) == (min(64, size[0]), min(64, size[1]))
        assert part.of(covered).shape == (part.height, part.width)
        part.of(covered)[:] += 1
    assert covered.min() >= 1
    assert overlap or covered.max() <= 4


def test_boxes_follow_their_tiles() -> None:
    # 160x100 in tiles of 100 that have 40 px in common: 0..100 and 60..160.
    both, left, cut = (65, 10, 95, 40), (5, 5, 25, 25), (90, 50, 130, 90)
    tiles, told = training_tiles([item((160, 100), both, left, cut)], 100, 0.4, Rules(0.5, 1.0))
    assert [tile.part for tile in tiles] == [Part(0, 0, 100, 100), Part(60, 0, 100, 100)]
    assert [tile.size for tile in tiles] == [(100, 100)] * 2
    # A quarter of `cut` is in the first tile: too little, and all of it in the second.
    assert tiles[0].boxes.tolist() == [[65, 10, 95, 40], [5, 5, 25, 25]]
    assert tiles[1].boxes.tolist() == [[5, 10, 35, 40], [30, 50, 70, 90]]
    tiles, _ = training_tiles([item((160, 100), cut)], 100, 0.4, Rules(0.25, 1.0))
    assert tiles[0].boxes.tolist() == [[90, 50, 100, 90]]  # cut at the tile's edge
    assert told["tiles"] == 2


def test_pieces_are_left_out_and_some_empty_tiles_kept() -> None:
    # Ten tiles of 100 in a row: an object in the first, a tenth of it in the second, then nothing.
    row = item((1000, 100), (10, 10, 102, 50))
    for share, kept in ((0.0, 0), (0.25, 2), (1.0, 8)):
        tiles, told = training_tiles([row], 100, 0.0, Rules(0.5, share))
        assert told == {
            "pictures": 1, "tiles": 1 + kept, "with_objects": 1, "empty_kept": kept,
            "empty_left_out": 8 - kept, "pieces_left_out": 1,
        }  # fmt: skip
        assert len(tiles) == 1 + kept
    # The share is of all tiles of the set, so that it holds however few a picture has.
    _, told = training_tiles([item((100, 100))] * 50, 100, 0.0, Rules(0.5, 0.1))
    assert told["empty_kept"] == 5


def found_in(framing: Framing, size: tuple[int, int], *objects: tuple[float, ...]) -> list[Found]:
    """What a perfect detector finds in each tile: objects (x1 y1 x2 y2 label), cut at its edges."""
    shown = []
    for part in framing.parts(size):
        boxes, labels = [], []
        for *box, label in objects:
            low, high = (part.left, part.top), (part.left + part.width, part.top + part.height)
            seen = np.clip(box, [*low, *low], [*high, *high])
            if (seen[2:] > seen[:2]).all():
                share = np.prod(seen[2:] - seen[:2]) / np.prod(np.subtract(box[2:], box[:2]))
                at = (seen - [*low, *low]) / np.array([part.width, part.height] * 2)
                boxes.append((share, at))
                labels.append(label)
        scores = np.array([0.5 + 0.4 * (1 - share) for share, _ in boxes], np.float32)
        held = np.array([at for _, at in boxes], np.float32).reshape(-1, 4)
        shown.append(Found(held, scores, np.array(labels, np.int64)))
    return shown


SIZE = (1000, 600)
OVERLAP = (310.0, 230.0, 370.0, 290.0, 1)  # 320..400 is in two tiles of each axis, in part


@pytest.mark.parametrize(
    "objects",
    [
        [(330, 330, 390, 390, 1)],  # in four tiles, whole in each
        [OVERLAP],  # whole in one, cut in others, where the pieces have the better scores
        [OVERLAP, (20, 20, 60, 60, 1), (900, 500, 990, 590, 2)],
        [(330, 330, 390, 390, 1), (332, 332, 392, 388, 2)],  # of two classes
        [(0, 0, 80, 80, 1), (920, 0, 1000, 80, 1), (0, 520, 60, 600, 1)],  # at the picture's edge
    ],
)
def test_an_object_is_found_once(objects: list[tuple[float, ...]]) -> None:
    framing = Framing(tile=400, overlap=0.2)
    merged = of_picture(found_in(framing, SIZE, *objects), framing, SIZE, 300)
    wanted = sorted((label, *box) for *box, label in objects)
    found = sorted(
        (int(label), *np.round(box * np.array([*SIZE, *SIZE]), 2).tolist())
        for box, label in zip(merged.boxes, merged.labels, strict=True)
    )
    assert len(found) == len(wanted)
    np.testing.assert_allclose(found, wanted, atol=0.02)
    assert (np.diff(merged.scores) <= 0).all()


def test_neighbours_of_one_tile_are_not_merged() -> None:
    """What the NMS of a tile has left stays: an object inside of a larger one of its class."""
    framing = Framing(tile=400, overlap=0.2)
    objects = [(20, 20, 220, 220, 1), (60, 60, 120, 120, 1)]
    assert len(of_picture(found_in(framing, SIZE, *objects), framing, SIZE, 300).boxes) == 2


def test_neither_what_is_inside_nor_what_the_pictures_edge_ends_is_a_piece() -> None:
    framing = Framing(tile=400, overlap=0.2)
    # At the picture's upper edge, a small one in front of a large one that the next tile has whole.
    objects = [(330, 0, 600, 200, 1), (335, 0, 365, 30, 1)]
    merged = of_picture(found_in(framing, SIZE, *objects), framing, SIZE, 300)
    assert sorted((merged.boxes[:, 2] * 1000).round().tolist()) == [365, 600]
    # One tile's own: a cut one that lies in another one for the greater part stays.
    boxes = np.array([[0.5, 0.5, 0.97, 0.9], [0.8, 0.6, 1.0, 0.8]], np.float32)
    own = Found(boxes, np.array([0.9, 0.8], np.float32), np.array([1, 1]))
    none = Found(boxes[:0], own.scores[:0], own.labels[:0])
    assert len(of_picture([own, *[none] * 5], framing, SIZE, 300).boxes) == 2


def test_a_picture_of_one_tile_is_left_as_it_is() -> None:
    framing = Framing(tile=400)
    shown = found_in(framing, (300, 200), (10, 10, 60, 60, 1), (12, 10, 62, 60, 1))
    merged = of_picture(shown, framing, (300, 200), 300)
    np.testing.assert_array_equal(merged.boxes, shown[0].boxes)
    assert len(of_picture(found_in(framing, SIZE), framing, SIZE, 300).boxes) == 0
    with pytest.raises(ValueError, match="1 inputs' detections for 6 parts"):
        of_picture(shown, framing, SIZE, 300)


def test_the_best_are_kept_where_there_are_too_many() -> None:
    framing = Framing(tile=400, overlap=0.2)
    objects = [(20, 20, 60, 60, 1), (500, 20, 560, 60, 1), (900, 500, 990, 590, 2)]
    shown = found_in(framing, SIZE, *objects)
    for place, one in enumerate(shown):
        one.scores[:] = 0.1 + 0.1 * place
    merged = of_picture(shown, framing, SIZE, 300, limit=1)
    assert merged.labels.tolist() == [2]


def test_tiles_need_pictures_at_their_own_size(
    tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of tiles is not scaled down; a disk that cannot hold it is said at once."""
    cfg = tiny_config("data.tile=64", "data.max_side=96", "data.sampling=balanced").data
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room._replace(free=1000))
    with pytest.raises(DataError, match=r"tiles are cut from pictures at their own size"):
        build_data(cfg, tmp_path / "cache", 96)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    cfg.max_side = 50  # as no configuration may have it: the smallest is 96
    data = build_data(cfg, tmp_path / "cache", 96)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room._replace(free=1000))
    assert build_data(cfg, tmp_path / "cache", 96).report == data.report  # it is there already
    assert len(data.splits["train"]) == 18  # whole pictures, as are the members
    assert data.report["tiles"]["tiles"] == len(data.train_items) > 18
    assert {tile.size for tile in data.train_items} == {(64, 64)}
    assert data.report["sampling"]["classes"]["red"]["pictures"] > 0
    split = TrainSplit(data.train_items, data.cache, TrainAugment(96), 0)
    pixels, boxes, labels = split.read(0)
    assert pixels.shape == (64, 64, 3)
    assert len(boxes) == len(labels) > 0
    with pytest.raises(DataError, match="no tile of the 18 train pictures shows 100% of a box"):
        build_data(replace(cfg, tile=20, tile_visible=1.0, tile_empty=0.0), tmp_path / "cache", 96)


def test_tiles_of_a_shrunken_cache_are_refused(tiny_config: Compose, tmp_path: Path) -> None:
    data = build_data(tiny_config().data, tmp_path / "cache", 96)
    small = ImageCache.build(data.splits["train"], tmp_path / "small", max_side=50)
    tiles, _ = training_tiles(data.splits["train"], 64, 0.2, Rules())
    with pytest.raises(DataError, match="is smaller in the cache than its tiles were cut for"):
        TrainSplit(tiles, small, TrainAugment(96), 0).read(0)


def random_finds(
    rng: np.random.Generator, places: list[Part], each: int, largest: float
) -> list[Found]:
    """So many boxes in each tile, of two classes, some of them cut off by its edges."""
    shown = []
    for _ in places:
        low = rng.random((each, 2))
        high = low + largest * rng.random((each, 2)) + 0.02
        boxes = np.concatenate([low, high], 1).clip(0, 1).astype(np.float32)
        scores, labels = rng.random(each).astype(np.float32), rng.integers(1, 3, each)
        shown.append(Found(boxes, scores, labels))
    return shown


@pytest.mark.parametrize("overlap", [0.2, 0.6])
def test_tiles_are_put_together_as_it_is_written(overlap: float) -> None:
    """The rule of `framed`, box by box."""
    rng = np.random.default_rng(0)
    size = (330, 190)
    places = parts(*size, 96, overlap)
    shown = random_finds(rng, places, 8, 0.6)
    rows = []
    for number, (found, part) in enumerate(zip(shown, places, strict=True)):
        inner = [part.left > 0, part.top > 0, part.left + 96 < size[0], part.top + 96 < size[1]]
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            near = [box[0] <= 0.01, box[1] <= 0.01, box[2] >= 0.99, box[3] >= 0.99]
            cut = any(a and b for a, b in zip(near, inner, strict=True))
            corners = np.array([part.left, part.top] * 2) + box.astype(float) * 96
            rows.append((cut, -float(score), number, int(label), corners))
    kept: list[tuple[bool, float, int, int, np.ndarray]] = []
    for row in sorted(rows, key=lambda row: row[:2]):
        others = [other for other in kept if other[2] != row[2] and other[3] == row[3]]
        if not any(overlapping(row[4], other[4], row[0]) > 0.45 for other in others):
            kept.append(row)
    kept.sort(key=lambda row: row[1])
    merged = merge(shown, places, size, 0.45, 1000)
    assert len(kept) < len(rows)
    np.testing.assert_allclose(
        merged.boxes * np.array([*size, *size]), [row[4] for row in kept], atol=1e-3
    )


def overlapping(box: np.ndarray, other: np.ndarray, cut: bool) -> float:
    """IoU, or of a box that is cut off the share of its own area that lies in the other."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    shared = float(sides.clip(0).prod())
    own, of_other = (float((each[2:] - each[:2]).prod()) for each in (box, other))
    return shared / (own if cut else own + of_other - shared)


def test_a_picture_of_many_tiles_is_put_together_at_once() -> None:
    """Each box is held against those of the tiles beside its own, not against all of them."""
    places = parts(8000, 6000, 640, 0.2)
    shown = random_finds(np.random.default_rng(0), places, 40, 0.1)
    begun = time.process_time()
    merge(shown, places, (8000, 6000), 0.45, 100)
    assert time.process_time() - begun < 1.5  # .2 s; against all of them 3
