"""Views of pictures: SSD's training augmentation (Liu et al. 2016, sec. 2.2 and 3.6), and none.

The steps and their odds are torchvision's reference recipe for SSD. What differs is the order of
the work: a view's window is drawn first, so that only its pixels are touched, and its colours are
distorted before or after the resize, wherever there are fewer pixels: it comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tlx.common.errors import ConfigError
from tlx.common.registry import Registry
from tlx.data.colour import SWAP, draw_colour_map, scaled
from tlx.data.geometry import MIN_SCALE, MIRROR, Window, draw_window, whole
from tlx.data.letterbox import content

FILL = 127  # what lies outside a zoomed-out picture: mid grey, zero after normalisation
VERSION = 2  # of the views: caches of other versions are not used
MIN_SIZE = 1.0  # px of the input: smaller boxes are dropped
_PIXELS = 8  # that share a row of the colour map's matrix product
Sample = tuple[Tensor, Tensor, Tensor]


def input_size_for(boxes: np.ndarray, size: tuple[int, int], input_size: int) -> int | None:
    """The smallest square input, px, at which no box is dropped; None where this one drops none.

    Args:
        boxes: (n, 4) in pixels of a picture. size: pixels of it that the input's width and height
            stand for, of the picture itself where it is stretched.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]) / np.array(size)  # fractions of the picture
    if not len(sides) or sides.min() * input_size >= MIN_SIZE:
        return None
    return math.ceil(
        round(MIN_SIZE / float(sides.min()), 6)
    )  # 2/3000 is 1/1500 but for its last bit


def view_rng(seed: int, view: int, index: int) -> np.random.Generator:
    """The random numbers of a view of a picture: the augmentation is a function of these three."""
    return np.random.default_rng([seed, view, index])


class Augmentation(Protocol):
    """What makes training views of pictures: a function of its arguments alone, `rng` included.

    Attributes:
        version: of the views; activations that are cached of others are not used.

    One that scales with `data.augment_strength` states it as `strength`; of others it must be 1.
    One that keeps the aspect ratio for `data.letterbox=true` states `letterbox`, true; others are
    refused then.
    """

    @property
    def version(self) -> object: ...

    def __call__(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        """uint8 (H, W, 3), pixel boxes (n, 4), labels (n,) -> uint8 (3, S, S), boxes, labels.

        Boxes are in 0..1 of the view.
        """

    def targets(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Boxes and labels of the same view, where its pixels are not asked for."""


Make = Callable[[int, Any], Augmentation]
AUGMENTATIONS: Registry[Make] = Registry("data.augment")
M = TypeVar("M", bound=Make)


def register(name: str) -> Callable[[M], M]:
    """Make a maker of views known as `data.augment=NAME`; a decorator.

    It takes the network's input size, px, and the configuration of the data (`DataConfig`, or
    `FoldersConfig` of a classification).
    """

    def add(make: M) -> M:
        AUGMENTATIONS.add(name, make, make.__module__)
        return make

    return add


@dataclass(frozen=True)
class Recipe:
    """How far views go from the picture itself.

    Attributes:
        zoom_out: largest, of the picture's sides; 1: none. least_side: of a crop, likewise.
        mirror, swap: odds of a mirror image and of channels in another order.
        colour: how far brightness, contrast, saturation and hue go; 1: as SSD's.
    """

    zoom_out: float = 1.0
    least_side: float = MIN_SCALE
    mirror: float = MIRROR
    colour: float = 1.0
    swap: float = SWAP

    def at(self, strength: float) -> Recipe:
        """The recipe with every range and odd scaled: itself at 1, no change at 0."""
        return Recipe(
            scaled(self.zoom_out, 1.0, strength), scaled(self.least_side, 1.0, strength),
            strength * self.mirror, strength * self.colour, strength * self.swap,
        )  # fmt: skip


LIGHT = Recipe(least_side=0.8, colour=0.5, swap=0.0)
"""Mirrored, slightly cropped, a little of the colours: for objects whose colour and size matter."""


class TrainAugment:
    """Zoom out, IoU-constrained crop, resize, colour distortion, mirror.

    Args:
        zoom_out: that of SSD's recipe. recipe: another one. strength: 0..1, scales it.
        letterbox: the window keeps its aspect ratio in the square, between bars.
    """

    version: object = VERSION

    def __init__(
        self, input_size: int, zoom_out: float = 1.0, *, recipe: Recipe | None = None,
        strength: float = 1.0, letterbox: bool = False,
    ) -> None:  # fmt: skip
        self.input_size, self.strength, self.letterbox = input_size, strength, letterbox
        self.recipe = (recipe or Recipe(zoom_out)).at(strength)

    def __call__(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        """uint8 (H, W, 3), pixel boxes (n, 4), labels (n,) -> uint8 (3, S, S), 0..1 boxes, labels.

        The picture's tensor is channels-last in memory.
        """
        window, placed, kept = self._draw(image, boxes, labels, rng)
        view = render(image, window, self.input_size, rng, self.recipe, self.letterbox)
        return view, placed, kept

    def targets(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Boxes and labels of the same view, without a look at the picture's pixels."""
        return self._draw(image, boxes, labels, rng)[1:]

    def _draw(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[Window, Tensor, Tensor]:
        height, width = image.shape[:2]
        recipe = self.recipe
        window = draw_window(
            rng, width, height, boxes, recipe.zoom_out, recipe.least_side, recipe.mirror
        )
        placed, kept = window.place(boxes)
        if self.letterbox:
            area = content(window.width, window.height, self.input_size)
            area = area.mirrored(self.input_size) if window.mirrored else area
            placed = area.into(placed, self.input_size)
        large = ((placed[:, 2:] - placed[:, :2]) * self.input_size >= MIN_SIZE).all(1)
        return (
            window,
            torch.from_numpy(placed[large].astype(np.float32)),
            torch.from_numpy(labels[kept][large]),
        )


@register("ssd")
def _ssd(input_size: int, data: Any) -> Augmentation:
    """The recipe of SSD."""
    if not hasattr(data, "zoom_out"):
        raise ConfigError("data.augment=ssd is for boxes: a classifier has crop, light and off")
    if not data.augment_strength:
        return Unchanged(input_size, data)
    return TrainAugment(
        input_size, data.zoom_out, strength=data.augment_strength, letterbox=data.letterbox
    )


@register("light")
def _light(input_size: int, data: Any) -> Augmentation:
    """A mild recipe, of either task."""
    if not data.augment_strength:
        return Unchanged(input_size, data)
    return TrainAugment(
        input_size, recipe=LIGHT, strength=data.augment_strength,
        letterbox=getattr(data, "letterbox", False),
    )  # fmt: skip


class EvalTransform:
    """A resize to the square, as the detector sees pictures on the device: stretched, or with the
    aspect ratio kept (`letterbox`)."""

    def __init__(self, input_size: int, letterbox: bool = False) -> None:
        self.input_size, self.letterbox = input_size, letterbox

    def __call__(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray,
        size: tuple[int, int] | None = None,
    ) -> Sample:  # fmt: skip
        """uint8 (H, W, 3), pixel boxes (n, 4), labels -> uint8 (3, S, S), 0..1 boxes, labels.

        Args:
            size: width and height by which the place in a letterbox is reckoned; None: the pixels'
                own. Those of a cache may be scaled down, and a picture lies where it does on the
                device.
        """
        return self.pixels(image, size), *self.targets(image, boxes, labels, size)

    def pixels(self, image: np.ndarray, size: tuple[int, int] | None = None) -> Tensor:
        """The picture alone."""
        window = whole(image.shape[1], image.shape[0])
        return render(image, window, self.input_size, letterbox=self.letterbox, size=size)

    def targets(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray,
        size: tuple[int, int] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Boxes and labels alone."""
        placed = boxes / np.array([image.shape[1], image.shape[0]] * 2)
        if self.letterbox:
            size = size or (image.shape[1], image.shape[0])
            placed = content(*size, self.input_size).into(placed, self.input_size)
        return torch.from_numpy(placed.astype(np.float32)), torch.from_numpy(labels)


@register("off")
class Unchanged:
    """The same view in every epoch: the picture as evaluation sees it."""

    version: object = VERSION
    strength = 0.0

    def __init__(self, input_size: int, data: Any) -> None:
        self.letterbox = getattr(data, "letterbox", False)
        self._transform = EvalTransform(input_size, self.letterbox)

    def __call__(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> Sample:
        """See `EvalTransform`."""
        return self._transform(image, boxes, labels)

    def targets(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """All boxes and labels."""
        return self._transform.targets(image, boxes, labels)


def render(
    image: np.ndarray, window: Window, side: int, rng: np.random.Generator | None = None,
    recipe: Recipe = Recipe(), letterbox: bool = False, size: tuple[int, int] | None = None,
) -> Tensor:  # fmt: skip
    """The window of a picture as uint8 (3, side, side), channels last; colours distorted by `rng`.

    Bilinear with antialiasing, as torchvision's and Pillow's resize.

    Args:
        letterbox: keep the window's aspect ratio, between bars of gray. size: width and height
            that say its place then; None: those of the window.
    """
    height, width = image.shape[:2]
    if letterbox:
        area = content(*(size or (window.width, window.height)), side)
        x = _span(window.left, window.width, width, area.width, area.left)
        y = _span(window.top, window.height, height, area.height, area.top)
    else:
        x = _span(window.left, window.width, width, side)
        y = _span(window.top, window.height, height, side)
    # A copy: the cache is read-only memory, which torch must not share.
    part = torch.from_numpy(np.array(image[y[0] : y[1], x[0] : x[1]]))
    size = (y[3] - y[2], x[3] - x[2])
    # Both are linear, so that the colours may be changed where there are fewer pixels.
    enlarged = part.shape[0] * part.shape[1] < size[0] * size[1]
    if rng is not None and enlarged:
        part = distort(part, rng, recipe)
    # With the batch axis first torch sees that the channels lie last, and takes half the time.
    shown = F.interpolate(part[None].permute(0, 3, 1, 2), size, mode="bilinear", antialias=True)
    shown = shown[0].permute(1, 2, 0)
    if rng is not None and not enlarged:
        shown = distort(shown, rng, recipe)
    if shown.shape[:2] == (side, side):
        canvas = shown.contiguous()
    else:
        canvas = torch.full((side, side, 3), FILL, dtype=torch.uint8)
        canvas[y[2] : y[3], x[2] : x[3]] = shown
    if window.mirrored:
        canvas = canvas.flip(1)
    return canvas.permute(2, 0, 1)


def distort(
    pixels: Tensor, rng: np.random.Generator, recipe: Recipe = Recipe()
) -> Tensor:  # fmt: skip
    """uint8 (h, w, 3) under a random linear map of its colours."""
    # A matrix product with rows of three would crawl: one row holds several pixels, and the
    # matrix repeats along its diagonal.
    count = pixels.shape[0] * pixels.shape[1]
    rows = torch.zeros(-(-count // _PIXELS), 3 * _PIXELS)
    rows.view(-1)[: 3 * count] = pixels.reshape(-1)
    mean = rows.sum(0).view(_PIXELS, 3).sum(0).double().numpy() / count
    matrix, offset = draw_colour_map(rng, mean, recipe.colour, recipe.swap)
    diagonal = np.zeros((_PIXELS, 3, _PIXELS, 3), np.float32)
    diagonal[range(_PIXELS), :, range(_PIXELS), :] = matrix.T
    # A half more: the conversion cuts off, and adding is cheaper than rounding.
    shift = np.tile(offset + 0.5, _PIXELS).astype(np.float32)
    wide = torch.from_numpy(diagonal.reshape(3 * _PIXELS, 3 * _PIXELS))
    moved = torch.addmm(torch.from_numpy(shift), rows, wide).clamp_(0, 255)
    # numpy converts to uint8 several times as fast as torch.
    return torch.from_numpy(moved.numpy().astype(np.uint8)).view(-1)[: 3 * count].view_as(pixels)


def _span(
    start: int, length: int, limit: int, side: int, offset: int = 0
) -> tuple[int, int, int, int]:
    """Along one axis: the picture's pixels that a window shows, and where they lie in the view.

    Args:
        side: that the window takes of the view, px, from `offset` on.
    """
    first, last = max(start, 0), min(start + length, limit)
    low, high = ((np.array([first, last]) - start) * (side / length)).round().astype(int).tolist()
    low = min(low, side - 1)
    return first, last, offset + low, offset + max(high, low + 1)
