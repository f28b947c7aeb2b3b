"""The cached activations of one phase of a run, as the loader and the training step use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tlx.activations.codec import Codec
from tlx.activations.store import ActivationStore
from tlx.data.dataset import Batch
from tlx.models.trunk import TrunkNetwork


@dataclass
class PhaseCache:
    """A store with one slot for each view of each of `pictures` pictures."""

    store: ActivationStore
    codec: Codec
    pictures: int

    def slots(self, view: int, indices: list[int]) -> list[int]:
        """Slot numbers of the pictures' view; of a further copy in the epoch, of its next view."""
        views = self.store.slots // self.pictures
        found = []
        for index in indices:
            copy, picture = divmod(index, self.pictures)
            found.append((view + copy) % views * self.pictures + picture)
        return found

    def holds(self, view: int, indices: list[int]) -> bool:
        """Whether the activations of these pictures' view can be read."""
        return self.store.filled(self.slots(view, indices))

    def flush(self) -> None:
        """Wait for what is being written."""
        self.store.flush()

    @torch.no_grad()
    def outputs(self, batch: Batch, network: TrunkNetwork) -> list[Tensor]:
        """What `network.prefix` gives for the batch, read back or computed and stored.

        Computed ones make the same round trip as stored ones, so that a step's numbers do not
        depend on whether its slots were filled before.
        """
        slots = self.slots(batch.view, batch.indices.tolist())
        if len(batch.images) == 0:
            fields = self.store.read(slots)
        else:
            fields = self.codec.encode(network.prefix(network.normalize(batch.images)))
            self.store.write(slots, fields)
        return self.codec.decode(fields, network.mean.device)


class Cache(Protocol):
    """What the loader and the training step ask of a phase's cache (`PhaseCache`, `LateCache`)."""

    def holds(self, view: int, indices: list[int]) -> bool:
        """Whether the activations of these pictures' view can be read."""

    def outputs(self, batch: Batch, network: TrunkNetwork) -> list[Tensor]:
        """See `PhaseCache.outputs`."""

    def flush(self) -> None:
        """Wait for what is being written."""


@dataclass
class PhaseCaches:
    """The cache of every phase; None where it is computed anew."""

    first_epochs: list[int]
    caches: Sequence[Cache | None]

    def at(self, epoch: int) -> Cache | None:
        """The cache that holds in an epoch."""
        return [c for e, c in zip(self.first_epochs, self.caches, strict=True) if e <= epoch][-1]

    def holds(self, epoch: int, view: int, indices: list[int]) -> bool:
        """Whether the activations of these pictures' view can be read in this epoch."""
        cache = self.at(epoch)
        return cache is not None and cache.holds(view, indices)

    def __deepcopy__(self, memo: dict[int, object]) -> PhaseCaches:
        """Copies of a task (a weight average makes one) share the cache."""
        return self

    def flush(self) -> None:
        """Wait for what is being written."""
        for cache in self.caches:
            if cache is not None:
                cache.flush()
