"""The usual way to load training pictures: decode the file, then torchvision's recipe for SSD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from tlx.config.schema import DataConfig
from tlx.data.dataset import Row, collate
from tlx.data.formats.annotations import Item
from tlx.data.formats.pictures import decode

ZOOM_OUT = DataConfig.zoom_out  # of tlx and of torchvision's recipe (4 there): equal work

Sample = tuple[tv_tensors.Image, dict[str, Any]]


def torchvision_recipe(input_size: int) -> v2.Compose:
    """The training transforms of torchvision's detection reference, preset `ssd`, and a resize."""
    return v2.Compose(
        [
            v2.RandomPhotometricDistort(),
            v2.RandomZoomOut(fill=[123.0, 117.0, 104.0], side_range=(1.0, ZOOM_OUT)),
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(),
            v2.SanitizeBoundingBoxes(),
            v2.Resize((input_size, input_size), antialias=True),
        ]
    )


def torchvision_sample(pixels: np.ndarray, item: Item) -> Sample:
    """A picture, uint8 (H, W, 3), and its ground truth as torchvision's transforms take them."""
    image = tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
    boxes = tv_tensors.BoundingBoxes(
        torch.from_numpy(item.boxes.reshape(-1, 4)), format="XYXY", canvas_size=image.shape[-2:]
    )
    return image, {"boxes": boxes, "labels": torch.from_numpy(item.labels)}


class _FromFiles(Dataset[Row]):
    def __init__(self, items: Sequence[Item], input_size: int) -> None:
        self.items, self.side = items, input_size
        self.recipe = torchvision_recipe(input_size)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Row:
        item = self.items[index]
        pixels = decode(item.image, rotate=False, max_side=max(item.size))
        image, target = self.recipe(*torchvision_sample(pixels, item))
        boxes = target["boxes"].as_subclass(torch.Tensor).float() / self.side
        return Row(index, image.as_subclass(torch.Tensor), boxes, target["labels"])


def usual_loader(
    items: Sequence[Item], input_size: int, batch_size: int, workers: int
) -> DataLoader[Any]:
    """Shuffled batches by that recipe, from the files, in as many processes as tlx's loader."""
    return DataLoader(
        _FromFiles(items, input_size), batch_size, shuffle=True, drop_last=True,
        num_workers=workers, collate_fn=collate, persistent_workers=workers > 0,
    )  # fmt: skip
