"""Checked items and cached pixels as batches; order and augmentation are pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from tlx.data.annotations import Item
from tlx.data.augment import EvalTransform, TrainAugment, view_rng
from tlx.data.cache import ImageCache
from tlx.detector.loss import Targets


@dataclass(frozen=True)
class Batch:
    """Pictures with their ground truth.

    Attributes:
        images: uint8 (B, 3, S, S) RGB. targets: boxes in 0..1 and labels, padded.
        indices: position of each picture in its split.
    """

    images: Tensor
    targets: Targets
    indices: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """The same batch on another device (Lightning's batch transfer calls this)."""
        return Batch(
            self.images.to(device, non_blocking=non_blocking),
            self.targets.to(device, non_blocking=non_blocking),
            self.indices,
        )

    def __len__(self) -> int:
        return len(self.images)


Row = tuple[int, Tensor, Tensor, Tensor]


class _Split(Dataset[Row]):
    """Items of one split, read from the decoded-image cache."""

    def __init__(self, items: list[Item], cache: ImageCache) -> None:
        self.items, self.cache = items, cache

    def __len__(self) -> int:
        return len(self.items)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels (H, W, 3) as cached, boxes (n, 4) in those pixels, labels (n,)."""
        item = self.items[index]
        image = self.cache[item.digest]
        scale = np.array([image.shape[1] / item.size[0], image.shape[0] / item.size[1]] * 2)
        return image, item.boxes.reshape(-1, 4) * scale, item.labels


class TrainSplit(_Split):
    """Augmented pictures; a key is (epoch, index), so that a worker needs no state."""

    def __init__(
        self, items: list[Item], cache: ImageCache, augment: TrainAugment, seed: int
    ) -> None:
        super().__init__(items, cache)
        self.augment, self.seed = augment, seed

    def __getitem__(self, key: tuple[int, int]) -> Row:
        epoch, index = key
        return (index, *self.augment(*self.read(index), view_rng(self.seed, epoch, index)))


class EvalSplit(_Split):
    """Pictures as they are, resized."""

    def __init__(self, items: list[Item], cache: ImageCache, transform: EvalTransform) -> None:
        super().__init__(items, cache)
        self.transform = transform

    def __getitem__(self, index: int) -> Row:
        return (index, *self.transform(*self.read(index)))


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Shuffled batches of (epoch, index), from wherever training stands.

    Epoch and position follow from the number of optimizer steps already taken, so a resumed run
    goes on with the very batch that the interrupted one would have seen next.

    Args:
        count: pictures in the split; the last, smaller batch of an epoch is left out.
        steps_done: asked at the start of every iteration.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, steps_done: Callable[[], int]
    ) -> None:
        self.count, self.batch_size = count, min(batch_size, count)
        self.seed, self.steps_done = seed, steps_done

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, skip = divmod(self.steps_done(), len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(self.count).tolist()
        for batch in range(skip, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(epoch, index) for index in chosen]


def stack_pictures(images: Sequence[Tensor]) -> Tensor:
    """Pictures (3, S, S) that lie channels-last in memory -> (B, 3, S, S) that does too."""
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def collate(rows: list[Row]) -> Batch:
    """Stack pictures, pad boxes and labels to the largest number of objects in the batch."""
    indices, images, boxes, labels = zip(*rows, strict=True)
    return Batch(
        images=stack_pictures(images),
        targets=Targets(
            boxes=pad_sequence(list(boxes), batch_first=True),
            labels=pad_sequence(list(labels), batch_first=True),
        ),
        indices=torch.tensor(indices),
    )
