"""The cache of a phase whose frozen blocks train before it: it is opened when the phase begins.

Which activations it holds follows from weights that are not known earlier. Loader processes, which
are started with the run, learn of it by a number in shared memory that names its folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlx.activations.codec import Codec
from tlx.activations.key import digest, ingredients
from tlx.activations.phase import PhaseCache
from tlx.activations.store import ActivationStore
from tlx.data.dataset import Batch
from tlx.data.formats.annotations import Item
from tlx.models.trunk import TrunkNetwork

_BITS = 64  # of the number that names a folder


@dataclass
class LateCache:
    """As `PhaseCache`, below `root`; nothing is read from it before it is open.

    Attributes:
        items, views, seed, augmentation: see `tlx.activations.key.ingredients`.
    """

    root: Path
    codec: Codec
    items: list[Item]
    views: int
    seed: int
    augmentation: Mapping[str, Any]
    named: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64))
    opened: PhaseCache | None = None

    def __post_init__(self) -> None:
        self.named.share_memory_()
        self.pictures = len(self.items)

    def open(self, network: TrunkNetwork) -> None:
        """Find or make the folder for the prefix as it is; called in every epoch of the phase."""
        if self.opened is not None:
            return
        values = ingredients(
            network, network.prefix_length, self.items, views=self.views, seed=self.seed,
            augmentation=self.augmentation, dtype=self.codec.dtype,
        )  # fmt: skip
        name = digest(values)
        self.opened = self._at(name, values)
        number = int(name, 16)
        self.named.fill_(number - (number >> (_BITS - 1) << _BITS))  # as a signed one

    def _at(self, name: str, values: dict[str, Any]) -> PhaseCache:
        slots = self.views * self.pictures
        store = ActivationStore(self.root / name, slots, self.codec.fields, values)
        return PhaseCache(store, self.codec, self.pictures)

    def holds(self, view: int, indices: list[int]) -> bool:
        """Whether the activations of these pictures' view can be read."""
        if self.opened is None:
            number = int(self.named)
            name = f"{number % (1 << _BITS):016x}"
            if not number or not (self.root / name).is_dir():
                return False
            self.opened = self._at(name, {})
        return self.opened.holds(view, indices)

    def outputs(self, batch: Batch, network: TrunkNetwork) -> list[Tensor]:
        """See `PhaseCache.outputs`."""
        self.open(network)
        assert self.opened is not None
        return self.opened.outputs(batch, network)

    def flush(self) -> None:
        """Wait for what is being written."""
        if self.opened is not None:
            self.opened.flush()

    def discard(self) -> None:
        """Delete it behind its phase: no other run has these weights."""
        if self.opened is not None:
            self.opened.flush()
            assert self.opened.store.folder is not None
            shutil.rmtree(self.opened.store.folder, ignore_errors=True)
            self.opened = None

    def __getstate__(self) -> dict[str, Any]:
        """For loader processes, which need no pictures' annotations."""
        return self.__dict__ | {"items": [], "opened": None}
