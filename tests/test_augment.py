"""Views are distributed as torchvision's SSD recipe; pixels and boxes of one view fit together.

Statistical comparisons use fixed seeds on both sides, and thresholds so wide that other random
streams would pass as well: each is derived where it is defined, and each comparison is shown to
notice a recipe that differs.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as VF

from tlx.data import colour, geometry
from tlx.data.augment import FILL, EvalTransform, TrainAugment, distort, render, view_rng
from tlx.data.geometry import Window, draw_window

Draws = dict[str, np.ndarray]  # name of a figure -> its value in every draw

# (width, height), boxes, zoom_out: a picture that is only cropped; a small object in a corner;
# several of all sizes, upright picture; one that fills most of a wide picture (crops of high
# overlap succeed often).
CASES: dict[str, tuple[tuple[int, int], list[list[float]], float]] = {
    "unzoomed": ((120, 100), [[50, 40, 75, 65]], 1.0),
    "small": ((160, 120), [[10, 70, 40, 110]], 4.0),
    "several": ((90, 150), [[5, 5, 80, 100], [50, 90, 85, 145], [10, 120, 30, 140]], 2.0),
    "large": ((200, 80), [[30, 10, 190, 75]], 3.0),
}
VIEWS, REFERENCE_VIEWS = 4000, 1000  # a case; torchvision's cost 4 ms each
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


def stacked(draws: list[Draws]) -> Draws:
    """Rounded, so that values that tie do so on both sides."""
    return {name: np.array([draw[name] for draw in draws], float).round(6) for name in draws[0]}


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


# --- Colours ---


def gradients(side: int = 24) -> np.ndarray:
    """uint8 (side, side, 3): smooth, coloured, and far enough from 0 and 255 to be clamped little.

    Brightness, contrast and saturation at their largest together still reach neither end.
    """
    y, x = np.mgrid[:side, :side] / (side - 1)
    channels = [90 + 60 * x, 75 + 60 * y + 20 * x * y, 135 - 45 * x + 15 * np.sin(3 * y)]
    return np.stack(channels, -1).round().astype(np.uint8)


def colour_figures(pixels: np.ndarray) -> Draws:
    """Of a (h, w, 3) picture in 0..255."""
    grey = pixels @ colour.GREY
    return {
        "brightness": grey.mean(),
        "contrast": grey.std(),
        "saturation": (pixels.max(-1) - pixels.min(-1)).mean(),
        "red": pixels[..., 0].mean(),
    }


def our_colours() -> Draws:
    rng, picture = np.random.default_rng(2), torch.from_numpy(gradients())
    return stacked([colour_figures(distort(picture, rng).double().numpy()) for _ in range(VIEWS)])


@pytest.fixture(scope="module")
def colour_reference() -> Draws:
    """Of torchvision's steps, on floats: on integers each of them cuts off the fraction."""
    picture = torch.from_numpy(gradients()).permute(2, 0, 1) / 255
    steps, draws = v2.RandomPhotometricDistort(p=0.5), []
    with torch.random.fork_rng():
        torch.manual_seed(4)
        for _ in range(VIEWS):
            draws.append(colour_figures(steps(picture).permute(1, 2, 0).double().numpy() * 255))
    return stacked(draws)


def colours_apart(ours: Draws, theirs: Draws) -> list[str]:
    """Figures whose mean or standard deviation over the draws differ.

    By more than 4.5 standard errors (1 in 150 000 by chance) and .5 grey levels: the difference
    that is meant, a hue turn that keeps luminance instead of HSV's value, and rounding. It was
    measured at up to .36 levels; the figures themselves scatter by 4 to 11. No Kolmogorov-Smirnov
    here: many draws leave a figure as it is, and rounding moves that step by a hair.
    """
    found = []
    for name, a in ours.items():
        b = theirs[name]
        error = math.sqrt(a.var() / len(a) + b.var() / len(b))
        if abs(a.mean() - b.mean()) > 0.5 + 4.5 * error:
            found.append(name)
            continue
        # Var(s) = (m4 - m2^2) / (4 m2 n), by the delta method from the variance of the variance
        terms = [(((x - x.mean()) ** 4).mean() / x.var() - x.var()) / (4 * len(x)) for x in (a, b)]
        if abs(a.std() - b.std()) > 0.5 + 4.5 * math.sqrt(sum(terms)):
            found.append(name)
    return found


def test_colours_are_distributed_as_torchvisions(colour_reference: Draws) -> None:
    assert colours_apart(our_colours(), colour_reference) == []


@pytest.mark.parametrize(
    ("name", "value", "figure"),
    [
        ("BRIGHTNESS", (0.875, 1.3), "brightness"),
        ("CONTRAST", (0.5, 2.5), "contrast"),
        ("CONTRAST", (1.0, 1.0), "contrast"),
        ("SATURATION", (0.5, 2.0), "saturation"),
        ("HUE", (-0.5, 0.5), "red"),
    ],
)
def test_the_comparison_notices_other_colours(
    name: str,
    value: tuple[float, float],
    figure: str,
    colour_reference: Draws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(colour, name, value)
    assert figure in colours_apart(our_colours(), colour_reference)


class Unswapped(np.random.Generator):
    """Leaves the channels where they are."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))

    def permutation(self, x: Any, axis: int = 0) -> Any:
        return np.arange(x)


def single_step(
    monkeypatch: pytest.MonkeyPatch, mean: np.ndarray, **ranges: float
) -> tuple[np.ndarray, np.ndarray]:
    """The map of one step with a known factor, every other step and the swap without effect."""
    for name, idle in {"BRIGHTNESS": 1.0, "CONTRAST": 1.0, "SATURATION": 1.0, "HUE": 0.0}.items():
        monkeypatch.setattr(colour, name, (ranges.get(name, idle),) * 2)
    for seed in range(50):  # each step is left out in half of the draws
        matrix, offset = colour.draw_colour_map(Unswapped(seed), mean)
        if not np.allclose(matrix, np.eye(3), atol=1e-9):
            return matrix, offset
    raise AssertionError("the step is never drawn")


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.4])
@pytest.mark.parametrize("step", ["brightness", "contrast", "saturation"])
def test_single_steps_are_torchvisions(
    step: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = gradients().astype(float)
    mean = picture.mean((0, 1))
    matrix, offset = single_step(monkeypatch, mean, **{step.upper(): factor})
    tensor = torch.from_numpy(picture).permute(2, 0, 1) / 255
    expected = getattr(VF, f"adjust_{step}")(tensor, factor).permute(1, 2, 0).numpy() * 255
    # torchvision's weights of grey have one digit less, .2989 + .587 + .114 = .9999
    assert np.abs(picture @ matrix.T + offset - expected).max() < 0.05


SATURATED = [
    (200, 60, 60), (60, 200, 60), (60, 60, 200), (200, 200, 60), (60, 200, 200), (200, 60, 200),
    (180, 120, 60),
]  # fmt: skip


def hue_of(rgb: np.ndarray) -> float:
    return colorsys.rgb_to_hsv(*(rgb.clip(0, 255) / 255).tolist())[0]


@pytest.mark.parametrize("turn", [-0.05, -0.02, 0.02, 0.05])
def test_hue_turns_as_torchvisions(turn: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same way, about as far: HSV's hue goes round a hexagon and this one round a circle."""
    matrix, offset = single_step(monkeypatch, np.full(3, 128.0), HUE=turn)
    assert np.allclose(offset, 0)
    ratios = []
    for rgb in SATURATED:
        before = np.array(rgb, float)
        pixel = torch.from_numpy(before / 255).float().view(3, 1, 1)
        reference = VF.adjust_hue(pixel, turn).flatten().double().numpy() * 255
        ours, theirs = (
            (hue_of(after) - hue_of(before) + 0.5) % 1 - 0.5
            for after in (matrix @ before, reference)
        )
        assert theirs == pytest.approx(turn, abs=1e-3)
        assert 0.6 < ours / theirs < 1.5  # measured: .74 to 1.40
        ratios.append(ours / theirs)
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)  # measured: 1.03 to 1.11
    luminance = np.array([0.213, 0.715, 0.072])
    # to the three digits of the published coefficients
    assert np.allclose(luminance @ matrix, luminance, atol=1e-3)
    back, _ = single_step(monkeypatch, np.full(3, 128.0), HUE=-turn)
    assert np.allclose(back @ matrix, np.eye(3), atol=1e-3)


@pytest.mark.parametrize("step", [{"SATURATION": 0.5}, {"SATURATION": 1.5}, {"HUE": 0.05}])
def test_grey_stays_grey(step: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, offset = single_step(monkeypatch, np.full(3, 128.0), **step)
    for level in (0.0, 40.0, 255.0):
        assert np.allclose(matrix @ np.full(3, level) + offset, level, atol=0.05)


def test_nothing_drawn_changes_nothing() -> None:
    class Never:
        def random(self) -> float:
            return 0.9

    matrix, offset = colour.draw_colour_map(Never(), np.full(3, 99.0))  # type: ignore[arg-type]
    assert np.array_equal(matrix, np.eye(3))
    assert np.array_equal(offset, np.zeros(3))
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8))
    assert torch.equal(distort(noise, Never()), noise)  # type: ignore[arg-type]


def test_pixels_are_the_maps_rounded() -> None:
    picture = gradients()
    for seed in range(20):
        mean = picture.reshape(-1, 3).mean(0)
        matrix, offset = colour.draw_colour_map(np.random.default_rng(seed), mean)
        moved = distort(torch.from_numpy(picture), np.random.default_rng(seed)).numpy()
        assert np.abs(moved - (picture @ matrix.T + offset)).max() < 0.51


def test_one_colour_map_in_27_is_none() -> None:
    """Four steps left out, and no swap or one to the same order: 1/16 (1/2 + 1/12)."""
    rng, expected = np.random.default_rng(9), (1 / 2 + 1 / 12) / 16
    maps = [colour.draw_colour_map(rng, np.full(3, 99.0))[0] for _ in range(VIEWS)]
    share = np.mean([np.array_equal(matrix, np.eye(3)) for matrix in maps])
    assert abs(share - expected) < 4.5 * math.sqrt(expected * (1 - expected) / VIEWS)


# --- Pixels ---


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """uint8 (70, 100, 3), gradients with fine noise, so that a shift by a pixel shows."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:70, :100]
    smooth = np.stack([60 + x, 200 - y, 40 + x + y], -1)
    return (smooth + rng.integers(-30, 30, smooth.shape)).clip(0, 255).astype(np.uint8)


def resized(part: np.ndarray, height: int, width: int) -> Tensor:
    tensor = torch.from_numpy(part.copy()).permute(2, 0, 1)
    return VF.resize(tensor, [height, width], antialias=True)


def levels_apart(a: Tensor, b: Tensor) -> int:
    assert a.shape == b.shape
    return int((a.int() - b.int()).abs().max())


@pytest.mark.parametrize(
    "window",
    [Window(0, 0, 100, 70), Window(13, 9, 60, 31), Window(60, 40, 40, 30), Window(5, 5, 48, 48)],
)
@pytest.mark.parametrize("side", [32, 48, 96])
def test_pixels_are_torchvisions_resize_of_the_crop(
    photo: np.ndarray, window: Window, side: int
) -> None:
    part = photo[window.top : window.top + window.height, window.left : window.left + window.width]
    out = render(photo, window, side)
    assert out.dtype == torch.uint8
    assert out.shape == (3, side, side)
    assert out[None].is_contiguous(memory_format=torch.channels_last)
    assert levels_apart(out, resized(part, side, side)) <= 1


def test_zoomed_out_picture_lies_where_its_window_says(photo: np.ndarray) -> None:
    """A canvas of 2 x 2 pictures, seen at 96 px; the picture begins at a quarter and a half."""
    out = render(photo, Window(-50, -70, 200, 140), 96)
    picture = torch.zeros(96, 96, dtype=torch.bool)
    picture[48:96, 24:72] = True
    assert (out[:, ~picture] == FILL).all()
    assert levels_apart(out[:, 48:96, 24:72], resized(photo, 48, 48)) <= 1


def test_a_crop_of_a_zoomed_out_picture(photo: np.ndarray) -> None:
    """The window begins left of the picture and ends inside of it."""
    out = render(photo, Window(-30, 10, 60, 40), 60)
    assert (out[:, :, :30] == FILL).all()
    assert levels_apart(out[:, :, 30:], resized(photo[10:50, :30], 60, 30)) <= 1


def test_a_sliver_of_the_picture_is_still_shown(photo: np.ndarray) -> None:
    out = render(photo, Window(-999, -20, 1000, 110), 48)  # one column of the picture
    assert (out[:, :, :-1] == FILL).all()
    assert not (out[:, :, -1] == FILL).all()


@pytest.mark.parametrize("window", [(13, 9, 60, 31), (-50, -30, 200, 140), (-30, 10, 61, 43)])
def test_mirrored_is_flipped(photo: np.ndarray, window: tuple[int, int, int, int]) -> None:
    plain = render(photo, Window(*window), 48)
    mirrored = render(photo, Window(*window, mirrored=True), 48)
    assert torch.equal(mirrored, plain.flip(2))
    assert mirrored[None].is_contiguous(memory_format=torch.channels_last)


def test_places_of_boxes() -> None:
    boxes = np.array([
        [20.0, 30.0, 60.0, 50.0],  # inside
        [0.0, 20.0, 40.0, 60.0],  # cut at the left and below
        [0.0, 0.0, 18.0, 18.0],  # centre outside
        [0.0, 20.0, 20.0, 40.0],  # centre on the edge: outside
        [90.0, 20.0, 98.0, 30.0],  # does not touch the window
    ])  # fmt: skip
    window = Window(10, 20, 80, 40)
    placed, kept = window.place(boxes)
    assert kept.tolist() == [True, True, False, False, False]
    assert placed.tolist() == [[0.125, 0.25, 0.625, 0.75], [0.0, 0.0, 0.375, 1.0]]
    placed, kept = Window(10, 20, 80, 40, mirrored=True).place(boxes)
    assert kept.tolist() == [True, True, False, False, False]
    assert placed.tolist() == [[0.375, 0.25, 0.875, 0.75], [0.625, 0.0, 1.0, 1.0]]
    placed, kept = Window(-100, -50, 200, 200).place(boxes[:1])
    assert placed.tolist() == [[0.6, 0.4, 0.8, 0.5]]
    placed, kept = window.place(np.zeros((0, 4)))
    assert placed.shape == (0, 4)
    assert kept.shape == (0,)


def test_boxes_stay_on_their_objects_through_window_resize_and_mirror() -> None:
    """A bright rectangle in the dark is found in the view where its box says, to a pixel."""
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[25:61, 37:83] = 255
    box = np.array([[37.0, 25.0, 83.0, 61.0]])
    rng, side = np.random.default_rng(8), 96
    for _ in range(60):
        window = draw_window(rng, 120, 90, box, 2.0)
        shown = render(pixels, window, side)[0] > 200
        placed = window.place(box)[0][0] * side
        rows, columns = shown.any(1).nonzero(), shown.any(0).nonzero()
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.array([int(f) for f in found]) - placed).max() <= 1.5


@pytest.mark.parametrize("count", [0, 1, 5])
def test_targets_are_those_of_the_view(photo: np.ndarray, count: int) -> None:
    rng = np.random.default_rng(count)
    low = rng.uniform(0, 50, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 20, (count, 2))], 1)
    labels = np.arange(count)
    augment = TrainAugment(48, zoom_out=4.0)
    for view in range(40):
        image, placed, kept = augment(photo, boxes, labels, view_rng(0, view, 3))
        alone = augment.targets(photo, boxes, labels, view_rng(0, view, 3))
        assert torch.equal(placed, alone[0])
        assert torch.equal(kept, alone[1])
        assert placed.dtype == torch.float32
        shown, centred = draw_window(view_rng(0, view, 3), 100, 70, boxes, 4.0).place(boxes)
        large = ((shown[:, 2:] - shown[:, :2]) * 48 >= 1).all(1)
        assert kept.tolist() == labels[centred][large].tolist()
        assert placed.tolist() == shown[large].astype(np.float32).tolist()
        # boxes below a pixel of the input are no targets
        assert ((placed[:, 2:] - placed[:, :2]) * 48 >= 1 - 1e-5).all()
        assert image.dtype == torch.uint8
        assert image[None].is_contiguous(memory_format=torch.channels_last)


def test_evaluation_is_torchvisions_resize(photo: np.ndarray) -> None:
    image, boxes, labels = EvalTransform(48)(
        photo, np.array([[10.0, 7.0, 50.0, 70.0]]), np.array([2])
    )
    assert levels_apart(image, resized(photo, 48, 48)) <= 1
    assert torch.allclose(boxes, torch.tensor([[0.1, 0.1, 0.5, 1.0]]))
    assert labels.tolist() == [2]
