"""Checked items and cached pixels as batches; order and augmentation are pure functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from tlx.common.errors import DataError
from tlx.data.augment import Augmentation, EvalTransform, view_rng
from tlx.data.balance import draw
from tlx.data.cache import ImageCache
from tlx.data.formats.annotations import Item
from tlx.models.detector import Targets

LEFT_OUT = 0.1  # of a set's pictures, that an epoch may leave out for want of a whole batch


@dataclass(frozen=True)
class Batch:
    """Pictures with their ground truth.

    Attributes:
        images: uint8 (B, 3, S, S) RGB. targets: boxes in 0..1 and labels, padded.
            None (0, 3, 1, 1) where the activations of all of them are cached.
        indices: position of each picture in its split; in training, more where an epoch has it
            several times (`tlx.data.balance`). view: which view of them, for the cache.
        epoch: that the order drew the batch for; 0 in evaluation.
    """

    images: Tensor
    targets: Targets
    indices: Tensor
    view: int = 0
    epoch: int = 0

    @property
    def keys(self) -> list[tuple[int, int]]:
        """The (epoch, index) of each picture, as `EpochBatches` deals them out."""
        return [(self.epoch, index) for index in self.indices.tolist()]

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """The same batch on another device (Lightning's batch transfer calls this)."""
        return Batch(
            self.images.to(device, non_blocking=non_blocking),
            self.targets.to(device, non_blocking=non_blocking),
            self.indices,
            self.view,
            self.epoch,
        )

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Row:
    """One picture; `image` is None where its activations are cached."""

    index: int
    image: Tensor | None
    boxes: Tensor
    labels: Tensor
    view: int = 0
    epoch: int = 0


class Cached(Protocol):
    """What the loader asks of a run's activation caches."""

    def holds(self, epoch: int, view: int, indices: list[int]) -> bool:
        """Whether the activations of these pictures' view can be read in this epoch."""


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
        if item.part is not None:
            image = item.part.of(image)
            if image.shape[:2] != item.size[::-1]:
                raise DataError(
                    f"{item.image} is smaller in the cache than its tiles were cut for: remove the "
                    f"cache {self.cache.path}"
                )
        scale = np.array([image.shape[1] / item.size[0], image.shape[0] / item.size[1]] * 2)
        return image, item.boxes.reshape(-1, 4) * scale, item.labels


class TrainSplit(_Split):
    """Augmented pictures; a key is (epoch, index), so that a worker needs no state.

    Args:
        views: different views of a picture; 0: a new one in every epoch.
        cached: tells for which batches no pixels are needed.
    """

    def __init__(
        self,
        items: list[Item],
        cache: ImageCache,
        augment: Augmentation,
        seed: int,
        views: int = 0,
        cached: Cached | None = None,
    ) -> None:
        super().__init__(items, cache)
        self.augment, self.seed = augment, seed
        self.views, self.cached = views, cached
        # Targets of views that come again; small beside the cached activations they belong to.
        self._drawn: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def __getitems__(self, keys: list[tuple[int, int]]) -> list[Row]:
        """A batch; all of one epoch."""
        epoch = keys[0][0]
        view = epoch % self.views if self.views else epoch
        indices = [index for _, index in keys]
        hit = self.cached is not None and self.cached.holds(epoch, view, indices)
        return [self._row(index, epoch, view, hit) for index in indices]

    def _row(self, index: int, epoch: int, view: int, hit: bool) -> Row:
        if hit and (view, index) in self._drawn:
            return Row(index, None, *self._drawn[view, index], view, epoch)
        picture, seen = index, view
        if index >= len(self.items):  # a further copy in this epoch: another view of its picture
            copy, picture = divmod(index, len(self.items))
            seen = (view + copy) % self.views if self.views else view
        # Views that come again are the picture's own, whichever copy asks for them.
        rng = view_rng(self.seed, seen, picture if self.views else index)
        if hit:
            drawn = self.augment.targets(*self.read(picture), rng)
            self._drawn[view, index] = drawn
            return Row(index, None, *drawn, view, epoch)
        return Row(index, *self.augment(*self.read(picture), rng), view, epoch)


class EvalSplit(_Split):
    """Pictures as they are, resized."""

    def __init__(self, items: list[Item], cache: ImageCache, transform: EvalTransform) -> None:
        super().__init__(items, cache)
        self.transform = transform

    def __getitem__(self, index: int) -> Row:
        return Row(index, *self.transform(*self.read(index), self.items[index].size))


def batch_sizes(count: int, batch_size: int) -> list[int]:
    """Pictures in each batch of an epoch of `count`; follows from these two alone.

    What does not fill a batch is left out, and comes up in other epochs. Where that would be more
    than `LEFT_OUT` of a small set, all are dealt out in one batch more, of sizes that differ by one
    at most: a remainder of few pictures would give a noisy step and poor statistics to batch norm.
    For the same reason no batch of one is ever made (batches of two stay so), unless
    `batch_size` or `count` is 1.
    """
    size = min(batch_size, count)
    full, rest = divmod(count, size)
    if rest > LEFT_OUT * count and count >= 2 * (full + 1):
        least, larger = divmod(count, full + 1)
        return [least + 1] * larger + [least] * (full + 1 - larger)
    return [size] * full


def batches_per_epoch(count: int, batch_size: int) -> int:
    """Batches that an epoch of `count` pictures is dealt out in (`batch_sizes`)."""
    return len(batch_sizes(count, batch_size))


def steps_per_epoch(batches: int, accumulate: int) -> int:
    """Optimizer steps of an epoch of `batches`, each after `accumulate` or at the epoch's end."""
    return -(-batches // accumulate)


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Shuffled batches of (epoch, index), from wherever training stands.

    Epoch and position follow from the number of optimizer steps already taken, so a resumed run
    goes on with the very batch that the interrupted one would have seen next.

    Args:
        count: pictures in the split. batch_size: the most in a batch (`batch_sizes`).
        steps_done: asked at the start of every iteration.
        first_step: steps that the checkpoint to be continued has behind it. Loader processes ask
            for batches as soon as there is an iterator, and Lightning makes the first one before
            it restores a checkpoint: `steps_done` is then still 0.
        accumulate: batches of a step; an epoch's last step has what is left.
        factors: (count,), how often pictures come up beside others (`tlx.data.balance`); None: all
            alike, once an epoch.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        steps_done: Callable[[], int],
        first_step: int = 0,
        accumulate: int = 1,
        factors: np.ndarray | None = None,
    ) -> None:
        self.factors = factors
        self.count, self.batch_size, self.accumulate = count, min(batch_size, count), accumulate
        self._borders = [0, *itertools.accumulate(batch_sizes(count, batch_size))]
        self.seed, self.steps_done, self.first_step = seed, steps_done, first_step
        self._order: tuple[int, list[int]] | None = None  # of the epoch asked for last

    def __len__(self) -> int:
        return len(self._borders) - 1

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.first_of(max(self.steps_done(), self.first_step))
        for number in range(first, (first // len(self) + 1) * len(self)):
            yield self.at(number)

    def first_of(self, step: int) -> int:
        """Number of the first batch of optimizer step `step`, both from 0 over all epochs."""
        epoch, steps = divmod(step, steps_per_epoch(len(self), self.accumulate))
        return epoch * len(self) + steps * self.accumulate

    def at(self, number: int) -> list[tuple[int, int]]:
        """The (epoch, index) of each picture of batch `number`, from 0 over all epochs."""
        epoch, batch = divmod(number, len(self))
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            if self.factors is None:
                self._order = epoch, rng.permutation(self.count).tolist()
            else:
                self._order = epoch, draw(rng, self.factors)
        chosen = self._order[1][self._borders[batch] : self._borders[batch + 1]]
        return [(epoch, index) for index in chosen]


def stack_pictures(images: Sequence[Tensor]) -> Tensor:
    """Pictures (3, S, S) that lie channels-last in memory -> (B, 3, S, S) that does too."""
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def collate(rows: list[Row]) -> Batch:
    """Stack pictures, pad boxes and labels to the largest number of objects in the batch."""
    images = [row.image for row in rows if row.image is not None]
    return Batch(
        images=stack_pictures(images) if images else torch.zeros(0, 3, 1, 1, dtype=torch.uint8),
        targets=Targets(
            boxes=pad_sequence([row.boxes for row in rows], batch_first=True),
            labels=pad_sequence([row.labels for row in rows], batch_first=True),
        ),
        indices=torch.tensor([row.index for row in rows]),
        view=rows[0].view,
        epoch=rows[0].epoch,
    )
