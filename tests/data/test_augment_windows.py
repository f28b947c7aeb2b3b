"""Windows of views are distributed as those of torchvision's SSD recipe.

Statistical comparisons use fixed seeds on both sides, and thresholds so wide that other random
streams would pass as well: each is derived where it is defined, and each comparison is shown to
notice a recipe that differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from tests.data.helpers_draws import VIEWS, Draws, stacked
from tlx.data import geometry
from tlx.data.augment import FILL
from tlx.data.geometry import Window, draw_window

# (width, height), boxes, zoom_out: a picture that is only cropped; a small object in a corner;
# several of all sizes, upright picture; one that fills most of a wide picture (crops of high
# overlap succeed often).
CASES: dict[str, tuple[tuple[int, int], list[list[float]], float]] = {
    "unzoomed": ((120, 100), [[50, 40, 75, 65]], 1.0),
    "small": ((160, 120), [[10, 70, 40, 110]], 4.0),
    "several": ((90, 150), [[5, 5, 80, 100], [50, 90, 85, 145], [10, 120, 30, 140]], 2.0),
    "large": ((200, 80), [[30, 10, 190, 75]], 3.0),
}
REFERENCE_VIEWS = 1000  # a case; they cost 4 ms each
# Two-sample Kolmogorov-Smirnov: for samples of n and m values of one distribution,
# P(D > c sqrt((n + m) / nm)) <= 2 exp(-2 c^2), and less where values tie. 40 figures are compared
# at 1e-5 each, so equal recipes with other seeds fail in fewer than 4 of 10 000 cases. Allowed is a
# distance of .087 (.12 among the crops alone), for a share simply the difference of shares.
KS_LEVEL = 1e-5


def too_far_apart(ours: Draws, theirs: Draws) -> list[str]:
    """Figures whose distributions differ by more than chance."""
    assert ours.keys() == theirs.keys()
    factor = math.sqrt(-math.log(KS_LEVEL / 2) / 2)
    found = []
    for name in ours:
        a, b = (x[~np.isnan(x)] for x in (ours[name], theirs[name]))
        values = np.concatenate([a, b])
        shares = [np.searchsorted(np.sort(x), values, side="right") / len(x) for x in (a, b)]
        if np.abs(shares[0] - shares[1]).max() > factor * math.sqrt(1 / len(a) + 1 / len(b)):
            found.append(name)
    return found


def figures(picture: tuple[int, int], view: list[float], boxes: np.ndarray, whole: bool) -> Draws:
    """What is compared of a view: `view` is left, top, width, height; `boxes` in 0..1 of it."""
    left, top, width, height = view
    sides = boxes[:, 2:] - boxes[:, :2]
    outside = left < 0 or top < 0 or left + width > picture[0] or top + height > picture[1]
    return {
        "whole": np.array(whole),
        "beyond the picture": np.array(outside),
        "area": np.array(width * height / (picture[0] * picture[1])),
        "least side of a crop": np.array(
            np.nan if whole else min(width / picture[0], height / picture[1])
        ),
        "aspect": np.array(width / height),
        "centre x": np.array((left + width / 2) / picture[0]),
        "centre y": np.array((top + height / 2) / picture[1]),
        "boxes": np.array(len(boxes)),
        "box size": np.array(np.sqrt(sides.prod(1)).mean()),
        "box centre x": np.array(boxes[:, ::2].mean()),
    }


def our_views(case: str, draw: Callable[..., Window] = draw_window) -> Draws:
    (width, height), box_list, zoom_out = CASES[case]
    boxes = np.array(box_list, float)
    rng = np.random.default_rng(7)
    draws = []
    for _ in range(VIEWS):
        window = draw(rng, width, height, boxes, zoom_out)
        # Only a view with the picture's proportions can be a whole canvas; a crop that has them
        # by chance counts as one on both sides.
        whole = window.width >= width and window.height >= height
        view = [window.left, window.top, window.width, window.height]
        draws.append(figures((width, height), view, window.place(boxes)[0], whole))
    return stacked(draws)


class RecordedZoomOut(v2.RandomZoomOut):
    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        self.drawn = super().make_params(flat_inputs)
        return self.drawn


class RecordedIoUCrop(v2.RandomIoUCrop):
    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        self.drawn = super().make_params(flat_inputs)
        return self.drawn


def reference_views(case: str) -> Draws:
    """The same figures of torchvision's transforms, applied to a picture and its boxes."""
    (width, height), box_list, zoom_out = CASES[case]
    image = tv_tensors.Image(torch.zeros(1, height, width, dtype=torch.uint8))
    boxes = tv_tensors.BoundingBoxes(  # type: ignore[call-arg]
        torch.tensor(box_list), format="XYXY", canvas_size=(height, width)
    )
    zoom = RecordedZoomOut(FILL, (1.0, zoom_out), p=0.5)
    crop, flip = RecordedIoUCrop(), v2.RandomHorizontalFlip(0.5)
    draws = []
    with torch.random.fork_rng():
        torch.manual_seed(11)
        for _ in range(REFERENCE_VIEWS):
            zoom.drawn = {}
            seen, placed = flip(crop(zoom(image, boxes)))
            left, top = (-side for side in zoom.drawn.get("padding", [0, 0])[:2])
            left, top = left + crop.drawn.get("left", 0), top + crop.drawn.get("top", 0)
            view = [left, top, seen.shape[-1], seen.shape[-2]]
            # What the crop drops is all zeros, mirrored or not: without an area.
            scaled = placed.numpy() / np.array(view[2:] * 2)
            kept = scaled[(scaled[:, 2:] > scaled[:, :2]).all(1)]
            whole = view[2] >= width and view[3] >= height
            draws.append(figures((width, height), view, kept, whole))
    return stacked(draws)


@pytest.fixture(scope="module")
def references() -> dict[str, Draws]:
    return {case: reference_views(case) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_windows_are_distributed_as_torchvisions(case: str, references: dict[str, Draws]) -> None:
    assert too_far_apart(our_views(case), references[case]) == []


@pytest.mark.parametrize(
    ("name", "value", "figure"),
    [
        ("MIN_SCALE", 0.1, "least side of a crop"),
        ("MAX_SCALE", 0.8, "area"),
        ("MIN_ASPECT", 0.8, "aspect"),
        ("MAX_ASPECT", 1.2, "aspect"),
        ("LEAST_OVERLAPS", (0.0, 0.1, 0.3, 0.5, 0.7, 0.9), "whole"),
        ("LEAST_OVERLAPS", (0.0, 1.0), "box size"),
        ("TRIALS", 4, "whole"),
    ],
)
def test_the_comparison_notices_another_crop(
    name: str,
    value: Any,
    figure: str,
    references: dict[str, Draws],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(geometry, name, value)
    assert any(figure in too_far_apart(our_views(case), references[case]) for case in CASES)


def test_the_comparison_notices_another_share_of_zooms(references: dict[str, Draws]) -> None:
    class Eager:
        """The first number of a view, which decides on zooming, is below .5 nine times in ten."""

        def __init__(self, rng: np.random.Generator) -> None:
            self.rng, self.first = rng, True

        def __getattr__(self, name: str) -> Any:
            return getattr(self.rng, name)

        def random(self, *size: Any) -> Any:
            factor, self.first = (0.5 / 0.9 if self.first else 1.0), False
            return self.rng.random(*size) * factor

    def eager(rng: np.random.Generator, *args: Any) -> Window:
        return draw_window(Eager(rng), *args)  # type: ignore[arg-type]

    for case in ("small", "several", "large"):
        assert "beyond the picture" in too_far_apart(our_views(case, eager), references[case])


def test_half_of_the_views_are_mirrored_whatever_else_they_are() -> None:
    rng = np.random.default_rng(3)
    boxes = np.array([[20.0, 20.0, 60.0, 50.0]])
    windows = [draw_window(rng, 100, 80, boxes, 2.0) for _ in range(VIEWS)]
    for zoomed in (True, False):
        mirrored = [w.mirrored for w in windows if (w.left < 0 or w.top < 0) == zoomed]
        # 4.5 standard errors of a share of a half: 1 in 150 000 for other random numbers
        assert abs(np.mean(mirrored) - 0.5) < 4.5 * 0.5 / math.sqrt(len(mirrored))


def test_no_zoom_and_no_boxes() -> None:
    """zoom_out=1 never leaves the picture; without boxes no crop is legal, so none is made."""
    rng = np.random.default_rng(5)
    box, none = np.array([[10.0, 10.0, 50.0, 60.0]]), np.zeros((0, 4))
    for _ in range(200):
        w = draw_window(rng, 90, 70, box, 1.0)
        assert w.left >= 0 <= w.top
        assert w.left + w.width <= 90
        assert w.top + w.height <= 70
        w = draw_window(rng, 90, 70, none, 1.0)
        assert (w.left, w.top, w.width, w.height) == (0, 0, 90, 70)
        w = draw_window(rng, 90, 70, none, 3.0)
        assert w.left <= 0 >= w.top
        assert w.left + w.width >= 90
        assert w.top + w.height >= 70
