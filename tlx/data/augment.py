"""SSD's training augmentation (Liu et al. 2016, sec. 2.2 and 3.6) with torchvision.transforms.v2.

The order differs from torchvision's reference recipe in one point: pictures are resized before
their colours are distorted, because colour work on a full photograph costs more than a training
step of a frozen network, and on the resized picture it does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

FILL = 127  # what lies outside a zoomed-out picture: mid grey, zero after normalisation
Sample = tuple[Tensor, Tensor, Tensor]


def view_seed(seed: int, epoch: int, index: int) -> int:
    """One 64-bit seed for a view of a picture: the augmentation is a function of these three."""
    return int(np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)[0])


class TrainAugment:
    """Zoom out, IoU-constrained crop, resize, colour distortion, mirror."""

    def __init__(self, input_size: int, zoom_out: float) -> None:
        zoom: list[Callable[..., Any]] = []
        if zoom_out > 1:
            zoom = [v2.RandomZoomOut(fill=FILL, side_range=(1.0, zoom_out), p=0.5)]
        self.zoom = v2.Compose([*zoom, v2.Identity()])
        self.crop = v2.RandomIoUCrop()
        self.finish = v2.Compose(
            [
                v2.Resize((input_size, input_size), antialias=True),
                v2.RandomPhotometricDistort(p=0.5),
                v2.RandomHorizontalFlip(p=0.5),
                v2.SanitizeBoundingBoxes(min_size=1.0),
            ]
        )

    def __call__(self, image: np.ndarray, boxes: Tensor, labels: Tensor, seed: int) -> Sample:
        """uint8 (H, W, 3), pixel boxes (n, 4), labels (n,) -> uint8 (3, S, S), 0..1 boxes, labels.

        Leaves the caller's random state alone.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sample = self.zoom(as_tv_tensors(image, boxes, labels))
            if len(sample["boxes"]):  # a crop constrained by IoU needs something to overlap
                sample = self.crop(sample)
            sample = self.finish(sample)
        return as_plain(sample)


class EvalTransform:
    """A stretched resize, as the detector sees pictures on the device."""

    def __init__(self, input_size: int) -> None:
        self.resize = v2.Resize((input_size, input_size), antialias=True)

    def __call__(self, image: np.ndarray, boxes: Tensor, labels: Tensor) -> Sample:
        """uint8 (H, W, 3), pixel boxes (n, 4), labels -> uint8 (3, S, S), 0..1 boxes, labels."""
        return as_plain(self.resize(as_tv_tensors(image, boxes, labels)))


def as_tv_tensors(image: np.ndarray, boxes: Tensor, labels: Tensor) -> dict[str, Any]:
    """What torchvision's transforms understand as one sample."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)  # a copy: the cache is read-only
    height, width = image.shape[:2]
    return {
        "image": tv_tensors.Image(pixels),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "labels": labels,
    }


def as_plain(sample: dict[str, Any]) -> Sample:
    """A transformed sample as plain tensors, boxes in 0..1."""
    image = sample["image"].as_subclass(Tensor)
    scale = torch.tensor([image.shape[2], image.shape[1]] * 2, dtype=torch.float32)
    return image, sample["boxes"].as_subclass(Tensor).float() / scale, sample["labels"]
