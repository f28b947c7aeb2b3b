"""Pictures whose aspect ratio is kept: where they lie in the square, and boxes there and back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.jetson.helpers_jetson import load_tool
from tlx.common.errors import ConfigError
from tlx.config.schema import DataConfig
from tlx.data.augment import FILL, EvalTransform, Recipe, TrainAugment, Unchanged, render, view_rng
from tlx.data.framing import Framing
from tlx.data.geometry import Window
from tlx.data.letterbox import Area, content
from tlx.runtime.framed import of_picture
from tlx.runtime.postprocess import Found
from tlx.runtime.preprocess import resize

NONE = np.zeros((0, 4)), np.zeros(0, np.int64)

# By hand: the longer side is the input's, the shorter one rounded, half up, the bars beside it.
AREAS = {
    (640, 480, 300): (0, 37, 300, 225),  # 75 px of bars, 37 above
    (480, 640, 300): (37, 0, 225, 300),
    (200, 100, 96): (0, 24, 96, 48),
    (101, 33, 97): (0, 32, 97, 32),  # 33 * 97 / 101 = 31.69
    (33, 101, 97): (32, 0, 32, 97),
    (50, 50, 96): (0, 0, 96, 96),
    (1, 1, 96): (0, 0, 96, 96),
    (1000, 1, 96): (0, 47, 96, 1),  # 0.096 px, and one is shown
    (1, 1000, 97): (48, 0, 1, 97),
    (4, 3, 10): (0, 1, 10, 8),  # 7.5 is 8
}


@pytest.mark.parametrize(("given", "wanted"), AREAS.items())
def test_where_a_picture_lies(given: tuple[int, int, int], wanted: tuple[int, ...]) -> None:
    width, height, side = given
    area = content(width, height, side)
    assert area == wanted
    assert load_tool().content(width, height, side) == wanted  # the Jetson's tool
    assert area.left + area.width <= side
    assert area.top + area.height <= side
    # A box by hand, and any box there and back.
    whole = area.into(np.array([[0.0, 0.0, 1.0, 1.0]]), side) * side
    left, top, w, h = wanted
    np.testing.assert_allclose(whole, [[left, top, left + w, top + h]], atol=1e-9)
    boxes = np.random.default_rng(0).random((50, 4))
    np.testing.assert_allclose(area.out_of(area.into(boxes, side), side), boxes, atol=1e-9)


@pytest.mark.parametrize("given", AREAS)
def test_pixels_lie_where_boxes_say(given: tuple[int, int, int]) -> None:
    width, height, side = given
    image = np.full((height, width, 3), 200, np.uint8)
    labels = np.array([1])
    boxes = np.array([[0.0, 0.0, width, height]])
    shown, placed, _ = EvalTransform(side, letterbox=True)(image, boxes, labels)
    left, top, right, bottom = (placed[0] * side).round().int().tolist()
    pixels = shown.permute(1, 2, 0).numpy()
    wanted = np.full((side, side, 3), FILL, np.uint8)
    wanted[top:bottom, left:right] = 200
    np.testing.assert_array_equal(pixels, wanted)
    np.testing.assert_array_equal(resize(image, side, letterbox=True), wanted)
    tool = load_tool().Preprocess("tlx", (1, 3, side, side), None, [0] * 3, [1] * 3, True)
    np.testing.assert_array_equal(tool(image)[0].transpose(1, 2, 0), wanted)


def test_a_cache_that_shrank_a_picture_does_not_move_it() -> None:
    # 213.4 px of 320 are 213, and 213.5 of the shrunk copy 214.
    size, small, side = (1000, 667), np.zeros((427, 640, 3), np.uint8), 320
    area = content(*size, side)
    assert (area.height, content(640, 427, side).height) == (213, 214)
    shown = EvalTransform(side, letterbox=True).pixels(small, size)
    rows = np.flatnonzero((shown[0].numpy() == 0).any(1))
    assert (rows[0], len(rows)) == (area.top, area.height)


@pytest.mark.parametrize("mirror", [0.0, 1.0])
@pytest.mark.parametrize("size", [(61, 200), (200, 61), (90, 90)])
def test_training_views_keep_the_aspect_ratio(size: tuple[int, int], mirror: float) -> None:
    """A square object stays one, and its pixels lie in its box, in every view."""
    width, height = size
    image = np.full((height, width, 3), 0, np.uint8)
    image[20:50, 10:40] = 255
    boxes, labels = np.array([[10.0, 20.0, 40.0, 50.0]]), np.array([1])
    augment = TrainAugment(97, 2.0, letterbox=True)
    object.__setattr__(augment.recipe, "mirror", mirror)
    object.__setattr__(augment.recipe, "colour", 0.0)
    seen = square = 0
    for number in range(60):
        shown, placed, _ = augment(image, boxes, labels, view_rng(0, 0, number))
        again, _ = augment.targets(image, boxes, labels, view_rng(0, 0, number))
        assert (again == placed).all()
        if not len(placed):
            continue
        box = placed[0].numpy() * 97
        bright = (shown.numpy() > 200).all(0)
        rows, columns = np.nonzero(bright)
        if not len(rows) or box.min() <= 0 or box.max() >= 97:
            continue
        found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(found - box).max() <= 2.0  # a soft edge, and a window of whole pixels
        seen += 1
        square += bool(abs(np.subtract(*(box[2:] - box[:2]))) < 0.5)
    assert seen > 10
    assert square > seen / 2  # the others are cut off by their crop


def test_a_mirrored_window_lies_in_mirrored_bars() -> None:
    image = np.full((4, 3, 3), 9, np.uint8)
    window = Window(0, 0, 3, 4, mirrored=True)
    shown = render(image, window, 11, letterbox=True)[0].numpy()
    area = content(3, 4, 11)  # 8 px wide: 1 px of bars at the left, 2 at the right
    assert (area.left, area.width) == (1, 8)
    assert np.flatnonzero((shown == 9).any(0)).tolist() == list(range(2, 10))
    assert area.mirrored(11) == Area(2, 0, 8, 11)


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_bars_end_where_boxes_say_in_every_view(mirror: float) -> None:
    """An object that fills the picture fills what a crop shows: to the pixel, mirrored or not."""
    image = np.zeros((60, 41, 3), np.uint8)
    whole, labels = np.array([[0.0, 0.0, 41.0, 60.0]]), np.array([1])
    recipe = Recipe(least_side=0.3, mirror=mirror, colour=0.0, swap=0.0)
    augment = TrainAugment(97, recipe=recipe, letterbox=True)
    odd = 0
    for number in range(40):
        shown, placed, _ = augment(image, whole, labels, view_rng(0, 0, number))
        rows, columns = np.nonzero((shown.numpy() == 0).all(0))
        ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(placed[0].numpy() * 97, ends, atol=1e-3)
        odd += (97 - (ends[2] - ends[0])) % 2
    assert odd > 5  # where mirrored bars are others


def test_what_lies_in_the_bars_is_nothing() -> None:
    # 200x100 in 100: rows 25 to 75 show the picture.
    boxes = np.array([[0.1, 0.3, 0.5, 0.7], [0.2, 0.0, 0.4, 0.2], [0.0, 0.2, 1.0, 0.8]], np.float32)
    found = Found(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.array([1, 1, 2]))
    there = of_picture([found], Framing(letterbox=True), (200, 100), 100)
    np.testing.assert_allclose(there.boxes, [[0.1, 0.1, 0.5, 0.9], [0, 0, 1, 1]], atol=1e-6)
    assert there.labels.tolist() == [1, 2]
    tool = load_tool()
    same = tool.out_of_bars(tool.Found(found.boxes, found.scores, found.labels), (200, 100), 100)
    np.testing.assert_array_equal(same.boxes, there.boxes)
    assert of_picture([found], Framing(), (200, 100), 100) is found


def test_no_augmentation_sees_it_otherwise() -> None:
    data = DataConfig(letterbox=True, augment="off")
    image = np.zeros((10, 20, 3), np.uint8)
    shown = Unchanged(40, data)(image, *NONE, view_rng(0, 0, 0))[0]
    assert (shown == EvalTransform(40, letterbox=True)(image, *NONE)[0]).all()


def test_a_framing_is_stored_and_read() -> None:
    for framing in (Framing(), Framing(True), Framing(False, 640, 0.25), Framing(True, 64, 0.0)):
        assert Framing.read(framing.describe()) == framing
        assert Framing.of(framing.into({"data": {"name": "x"}})) == framing
    assert Framing.read({"resize": "stretch"}) == Framing.read(None) == Framing.of({}) == Framing()
    assert Framing.of({"data": {"name": "old"}}) == Framing()
    with pytest.raises(ValueError, match="resized by 'crop', which this tlx cannot do"):
        Framing.read({"resize": "crop"})
    with pytest.raises(ConfigError, match="a tile's side is 'large'"):
        Framing.of({"data": {"tile": "large"}})
    with pytest.raises(ConfigError, match="tile=5 must be at least 64"):
        Framing().with_tiles(5, None)
    with pytest.raises(ConfigError, match=r"tile_overlap=0.5 is of tiles: add tile=640"):
        Framing().with_tiles(None, 0.5)
    assert Framing(True, 640).with_tiles(0, None) == Framing(True, None)
