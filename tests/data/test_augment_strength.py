"""The light recipe, and recipes that are scaled: exact at both ends, nearer the picture between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Compose
from tlx.classify.data import CropAugment, crop_window
from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.data.augment import LIGHT, EvalTransform, Recipe, TrainAugment, view_rng
from tlx.data.colour import draw_colour_map
from tlx.data.geometry import draw_window
from tlx.training.check import check_run
from tlx.training.kinds import kind_of

SIZE = (100, 70)
BOXES = np.array([[10.0, 10, 40, 50], [60, 20, 90, 60]])
LABELS = np.array([1, 2])
PICTURE = np.random.default_rng(5).integers(0, 256, (70, 100, 3), dtype=np.uint8)


# Smooth and different everywhere, so that a distance of pixels tells of windows too.
SMOOTH = np.stack(np.broadcast_arrays(
    np.linspace(20, 220, 100)[None], np.linspace(20, 160, 70)[:, None], np.full((70, 100), 60.0)
), -1).astype(np.uint8)  # fmt: skip


def views(cfg: Any, count: int = 40) -> list[Any]:
    augment = kind_of(cfg).views(cfg)
    return [augment(PICTURE, BOXES, LABELS, view_rng(0, view, 3)) for view in range(count)]


def test_at_full_strength_every_draw_is_that_of_versions_before() -> None:
    """Windows and a colour map as version 0.3.0 drew them from these random numbers."""
    windows = [draw_window(view_rng(0, v, 3), *SIZE, BOXES, 4.0) for v in range(4)]
    assert [(w.left, w.top, w.width, w.height, w.mirrored) for w in windows] == [
        (0, 0, 100, 70, True), (32, 23, 56, 33, True), (8, 5, 30, 58, True), (3, -29, 87, 83, True),
    ]  # fmt: skip
    crops = [crop_window(view_rng(0, v, 3), *SIZE, 0.35) for v in range(3)]
    assert [(w.left, w.top, w.width, w.height, w.mirrored) for w in crops] == [
        (3, 2, 91, 65, False), (4, 6, 77, 43, False), (16, 2, 80, 61, True),
    ]  # fmt: skip
    matrix, offset = draw_colour_map(view_rng(0, 1, 3), np.array([90.0, 100, 110]))
    np.testing.assert_allclose(matrix[0], [-0.136698543, 0.150211741, 0.575591137], atol=1e-9)
    np.testing.assert_allclose(offset, 40.573562659, atol=1e-9)
    for recipe in (Recipe(4.0), Recipe(1.0), LIGHT):
        assert recipe.at(1.0) == recipe, "to the last bit"
        assert recipe.at(0.0) == Recipe(1.0, 1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("given", [["data.augment=ssd"], ["data.augment=light"], ["task=classify"]])
def test_strength_0_is_off_and_1_is_the_default(given: list[str], compose_config: Compose) -> None:
    size = "classifier.input_size=64" if "task=classify" in given else "detector.input_size=64"
    plain, none, full = (
        views(compose_config(*given, size, *more))
        for more in ((), ("data.augment_strength=0",), ("data.augment_strength=1.0",))
    )
    off = [given[0]] if "task" in given[0] else []
    unchanged = views(compose_config(*off, size, "data.augment=off"))
    for one, two in ((none, unchanged), (full, plain)):
        for a, b in zip(one, two, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    moved = [not torch.equal(a[0], b[0]) for a, b in zip(plain, unchanged, strict=True)]
    assert sum(moved) > 30


@pytest.mark.parametrize("make", [
    lambda s: TrainAugment(64, 4.0, strength=s),
    lambda s: TrainAugment(64, recipe=LIGHT, strength=s),
    lambda s: CropAugment(64, 0.35, s),
])  # fmt: skip
def test_views_come_nearer_the_picture_with_the_strength(make: Any) -> None:
    """Next to nothing is left of a recipe at next to no strength; a step that is not scaled would
    stand out. Between, the mean distance of the pixels falls."""
    still, *_ = EvalTransform(64)(SMOOTH, BOXES, LABELS)
    distances = []
    for strength in (1.0, 0.6, 0.2, 1e-9):
        shown = [make(strength)(SMOOTH, BOXES, LABELS, view_rng(0, v, 3))[0] for v in range(60)]
        distances.append([float((view.float() - still.float()).abs().mean()) for view in shown])
    means = [np.mean(row) for row in distances]
    assert means[0] > means[1] > means[2] > means[3]
    # A window may lose its last pixel to rounding down, which is two or three levels.
    assert max(distances[3]) < 5


def test_light_crops_little_keeps_the_channels_and_does_not_zoom_out() -> None:
    windows = [
        draw_window(view_rng(0, v, 3), *SIZE, BOXES, 1.0, LIGHT.least_side, LIGHT.mirror)
        for v in range(200)
    ]
    assert min(w.width for w in windows) in range(80, 84)
    assert max(w.width for w in windows) == 100
    assert min(w.left for w in windows) == min(w.top for w in windows) == 0
    assert 70 < sum(w.mirrored for w in windows) < 130
    maps = [
        draw_colour_map(view_rng(0, v, 3), np.full(3, 99.0), LIGHT.colour, LIGHT.swap)[0]
        for v in range(200)
    ]
    assert all(np.argmax(matrix, 1).tolist() == [0, 1, 2] for matrix in maps), "no swap"
    assert 0.3 < np.abs(maps - np.eye(3)).max() < 0.75


def test_what_cannot_be_scaled_refuses_a_strength(compose_config: Compose) -> None:
    for wrong in ("-0.1", "1.1"):
        with pytest.raises(ConfigError, match=r"data.augment_strength=.* must be between 0 and 1"):
            check_config(compose_config(f"data.augment_strength={wrong}"))
    with pytest.raises(ConfigError, match=r"data.augment=off has one strength"):
        check_run(compose_config("data.augment=off", "data.augment_strength=0.5"))
    with pytest.raises(ConfigError, match=r"data.augment=ssd is for boxes"):
        check_run(compose_config("task=classify", "data.augment=ssd"))
    check_run(compose_config("task=classify", "data.augment=light", "data.augment_strength=0.5"))


def test_cached_activations_of_another_strength_are_others(compose_config: Compose) -> None:
    def key(*given: str) -> Any:
        cfg = compose_config(*given)
        return kind_of(cfg).augmentation(cfg)

    assert key() == {"zoom_out": key()["zoom_out"]}, "those of versions before are of use"
    assert key("data.augment_strength=0.5") == key() | {"augment_strength": 0.5}
    assert key("data.augment=light")["augment"] == "light"
