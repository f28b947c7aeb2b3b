"""Slots of activations in memory-mapped files, each with a checksum; safe under kills and writers.

A slot counts as filled when its checksum is there, and its checksum is written after its data. Two
processes that fill the same slot write the same bytes, because the folder's name is a hash of all
that decides them.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlx.activations.codec import Field
from tlx.common.errors import DataError, first_line, remedy

VERSION = 1
META, CHECKS = "meta.json", "checks.u32"


class ActivationStore:
    """A fixed number of slots, each with the same fields.

    Args:
        folder: where the arrays lie; None keeps them in this process's memory.
        slots: (views x pictures). fields: what each slot holds.
        describe: plain values kept beside the arrays, for people and `tlx.cache list`.

    Raises:
        DataError: the folder cannot be written, or the disk has no room for all slots.
    """

    def __init__(
        self, folder: Path | None, slots: int, fields: list[Field], describe: dict[str, Any]
    ) -> None:
        self.folder, self.slots, self.fields = folder, slots, fields
        self._verified = np.zeros(slots, bool)  # by this process
        self._pending: Future[None] | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._arrays: list[np.ndarray] = []
        self._checks: np.ndarray
        if folder is None:
            # Shared memory: loader processes look up which slots are filled, and read them.
            sizes = self._sizes().values()
            self._buffers = [torch.zeros(n, dtype=torch.uint8).share_memory_() for n in sizes]
            self._map()
            return
        try:
            if not self._whole():
                self._create(describe)
            os.utime(folder)
        except OSError as error:
            raise DataError(
                f"cannot write the activation cache {folder}: {first_line(error)}: "
                f"{remedy(error)}, lower cache.views, or give cache=off"
            ) from error
        self._map()

    def _sizes(self) -> dict[str, int]:
        sizes = {f"field{i}.bin": self.slots * f.bytes for i, f in enumerate(self.fields)}
        return {**sizes, CHECKS: 4 * self.slots}

    def _whole(self) -> bool:
        assert self.folder is not None
        with suppress(OSError):
            return (self.folder / META).is_file() and all(
                (self.folder / name).stat().st_size == size for name, size in self._sizes().items()
            )
        return False

    def _create(self, describe: dict[str, Any]) -> None:
        """Lay out empty arrays beside the place and rename them there."""
        assert self.folder is not None
        draft = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex}")
        draft.mkdir(parents=True)
        try:
            for name, size in self._sizes().items():
                with (draft / name).open("wb") as file:
                    # Now, not in mid-training, where a full disk would kill the process.
                    if name != CHECKS and hasattr(os, "posix_fallocate"):
                        os.posix_fallocate(file.fileno(), 0, size)
                    file.truncate(size)
            (draft / META).write_text(json.dumps({"version": VERSION, **describe}, indent=1))
            shutil.rmtree(self.folder, ignore_errors=True)  # a damaged one
            with suppress(OSError):  # another process was first: its arrays are as good
                os.replace(draft, self.folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if not self._whole():
            raise OSError("the folder is not complete")

    def _map(self) -> None:
        """Arrays over the files or the shared memory: one a field, then the checksums."""
        arrays: list[np.ndarray] = []
        for i, (name, field) in enumerate(
            zip(self._sizes(), [*self.fields, Field((), np.dtype(np.uint32))], strict=True)
        ):
            shape = (self.slots, *field.shape)
            if self.folder is not None:
                arrays.append(np.memmap(self.folder / name, field.dtype, "r+", shape=shape))
            else:
                arrays.append(self._buffers[i].numpy().view(field.dtype).reshape(shape))
        *self._arrays, self._checks = arrays

    def filled(self, slots: list[int]) -> bool:
        """Whether all of `slots` can be read; a slot whose bytes were altered is emptied."""
        for slot in slots:
            if not self._checks[slot]:
                return False
            if not self._verified[slot]:
                if self._checks[slot] != self._checksum(slot):
                    self._checks[slot] = 0
                    return False
                self._verified[slot] = True
        return True

    def filled_count(self) -> int:
        """Slots that hold something."""
        return int(np.count_nonzero(self._checks))

    def read(self, slots: list[int]) -> list[Tensor]:
        """The fields of `slots`, copied out."""
        return [torch.from_numpy(array[slots]) for array in self._arrays]

    def write(self, slots: list[int], fields: list[Tensor]) -> None:
        """Store the fields of `slots` in the background; at most one batch waits."""
        self.flush()
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, thread_name_prefix="activations")
        self._pending = self._writer.submit(self._write, slots, [f.numpy() for f in fields])

    def flush(self) -> None:
        """Wait for the batch that is being written; raise what its writing raised."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _write(self, slots: list[int], fields: list[np.ndarray]) -> None:
        for row, slot in enumerate(slots):
            if self._checks[slot]:
                continue
            for array, field in zip(self._arrays, fields, strict=True):
                array[slot] = field[row]
            self._checks[slot] = self._checksum(slot)
            self._verified[slot] = True

    def _checksum(self, slot: int) -> int:
        """CRC-32 over the slot's bytes, never 0, which means empty."""
        value = 0
        for array in self._arrays:
            value = zlib.crc32(memoryview(array[slot]).cast("B"), value)
        return value or 1

    def __getstate__(self) -> dict[str, Any]:
        """For loader processes: the files' names or the shared memory; no arrays, no thread."""
        return self.__dict__ | {"_writer": None, "_pending": None, "_arrays": [], "_checks": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()
