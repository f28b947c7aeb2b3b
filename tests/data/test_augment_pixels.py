"""Pixels and boxes of one view fit together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as VF

from tlx.data.augment import FILL, EvalTransform, TrainAugment, render, view_rng
from tlx.data.geometry import Window, draw_window


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
