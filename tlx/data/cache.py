"""Each picture decoded once: uint8 RGB pixels in one flat, memory-mapped file.

Decoding is the greater part of a small detector's loading time, and every epoch and every run of an
experiment repeats it. The file is mapped, so that all workers and runs share one copy in memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlx.common.cores import usable_cores
from tlx.common.errors import DataError, first_line, remedy
from tlx.common.files import read_json
from tlx.data.formats.annotations import Item
from tlx.data.formats.pictures import decode

log = logging.getLogger(__name__)

__all__ = ["ImageCache", "decode"]

VERSION = 2  # of the layout and of the decoding: a change of either makes old caches stale
PIXELS, INDEX = "pixels.u8", "index.json"
DRAFT = ".tlx-image-cache-"  # begins the name of a folder that is still being written
AHEAD = 64  # pictures decoded before they are written; bounds the memory
ABANDONED = 24 * 3600  # seconds after which a half-written cache belongs to a killed process

Progress = Callable[[int, int], None]


class ImageCache:
    """Decoded pictures by the digest of their files.

    `cache[digest]` is a read-only uint8 view (H, W, 3), RGB, upright. It may be smaller than
    `Item.size`: scale boxes by W / size[0] and H / size[1]. Pickling carries the path and the
    index, not the pixels; each process maps the file when it first reads.
    """

    def __init__(self, path: Path) -> None:
        """Open the cache in folder `path`.

        Raises:
            DataError: no cache, or a damaged one: pixels and index do not fit.
        """
        self.path = Path(path)
        self._pixels: np.ndarray | None = None
        try:
            index = read_json(self.path / INDEX)
            places, self._checks, total = _places(index["images"])
            whole = index["version"] == VERSION and total == (self.path / PIXELS).stat().st_size
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{self.path} is no image cache ({error}): remove it") from error
        if not whole:
            raise DataError(f"the image cache {self.path} is damaged: remove it")
        self._places = places

    @classmethod
    def build(
        cls,
        items: Sequence[Item],
        cache_dir: Path,
        *,
        max_side: int = 640,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> ImageCache:
        """The cache of `items` in a folder of `cache_dir`, decoded now unless it is there already.

        It is written beside its place and renamed when it is whole, so that a killed process leaves
        no half cache and the first of several writers serves all. One that is there is read once
        and held against its checksums; a damaged one is said and decoded again.

        Args:
            items: checked items; byte-identical pictures are stored once.
            cache_dir: created where it is missing.
            max_side: the longer side in px is scaled down, never up, to at most this.
            workers: decoding threads; None takes one a core.
            progress: called with (pictures done, pictures in all).

        Raises:
            DataError: no items, a picture that changed or vanished since the check, or a full disk.
        """
        unique = _unique(items)
        path = Path(cache_dir).expanduser().absolute() / _name(unique, max_side)
        if path.is_dir():
            fault = _fault(path, unique, workers)
            if fault is None:
                return cls(path)
            log.warning("%s; all pictures are decoded again", fault)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(path.parent)
            draft = path.parent / f"{DRAFT}{uuid.uuid4().hex}"
            draft.mkdir()
            try:
                _write(draft, unique, max_side, workers, progress)
                return _publish(draft, path, unique, workers)
            finally:
                shutil.rmtree(draft, ignore_errors=True)  # gone already if it was published
        except OSError as error:
            raise DataError(
                f"cannot write the image cache {path}: {first_line(error)}: {remedy(error)}"
            ) from error

    @classmethod
    def refuse_full_disk(cls, items: Sequence[Item], cache_dir: Path, max_side: int) -> None:
        """Raise `DataError` where the disk has no room for a cache that is not there yet.

        For pictures at their own size, whose cache can be hundreds of times the size of the set.
        """
        unique = _unique(items)
        path = Path(cache_dir).expanduser().absolute() / _name(unique, max_side)
        if path.is_dir():
            return
        needed = sum(3 * item.size[0] * item.size[1] for item in unique.values())
        free = shutil.disk_usage(next(p for p in path.parents if p.is_dir())).free
        if needed > free:
            raise DataError(
                f"tiles are cut from pictures at their own size, which take {needed / 1e9:.1f} GB "
                f"decoded, and {cache_dir} has {free / 1e9:.1f} GB free: free some, give another "
                "cache_dir, or take fewer pictures"
            )

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, digest: str) -> bool:
        return digest in self._places

    def __getitem__(self, digest: str) -> np.ndarray:
        """The pixels of one picture, a read-only uint8 view (H, W, 3)."""
        if self._pixels is None:
            self._pixels = np.memmap(self.path / PIXELS, np.uint8, mode="r")
        offset, height, width = self._places[digest]
        return self._pixels[offset : offset + 3 * height * width].reshape(height, width, 3)

    def damaged(self, workers: int | None = None) -> list[str]:
        """The digests of pictures that are not as they were written: reads all of them.

        Args:
            workers: reading threads; None takes one a core.
        """

        def sound(digest: str) -> bool:
            return _checksum(digest, self[digest]) == self._checks[digest]

        digests = list(self._places)
        if digests:
            self[digests[0]]  # mapped once, before the threads
        with ThreadPoolExecutor(workers or usable_cores()) as pool:
            return [
                d for d, good in zip(digests, pool.map(sound, digests), strict=True) if not good
            ]

    def tensor(self, digest: str) -> torch.Tensor:
        """A copy of one picture, uint8 (3, H, W): torch must not share read-only memory."""
        return torch.from_numpy(np.array(self[digest])).permute(2, 0, 1)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pixels": None}


class Undecoded(ImageCache):
    """Pictures that are decoded each time they are asked for: of a set that is only looked at.

    Raises:
        DataError: as `ImageCache.build` does for the same items.
    """

    def __init__(self, items: Sequence[Item], max_side: int) -> None:
        self._items, self.max_side = _unique(items), max_side

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, digest: str) -> bool:
        return digest in self._items

    def __getitem__(self, digest: str) -> np.ndarray:
        """The pixels of one picture, uint8 (H, W, 3)."""
        return _decode(self._items[digest], self.max_side)

    def damaged(self, workers: int | None = None) -> list[str]:
        """Nothing is stored."""
        return []


def _decode(item: Item, max_side: int) -> np.ndarray:
    return decode(
        item.image, rotate=item.rotate, max_side=max_side, digest=item.digest, bits=item.bits
    )


def _places(
    stated: dict[str, list[int]],
) -> tuple[dict[str, tuple[int, int, int]], dict[str, int], int]:
    """{digest: (offset, height, width)}, {digest: checksum}, and the bytes of all.

    Pictures lie one behind another.
    """
    places: dict[str, tuple[int, int, int]] = {}
    checks: dict[str, int] = {}
    total = 0
    for digest, (offset, height, width, check) in stated.items():
        if not all(isinstance(value, int) for value in (offset, height, width, check)):
            raise ValueError("a place is no number of bytes")
        if offset != total or height < 1 or width < 1:
            raise ValueError("a picture does not begin where the one before it ends")
        places[digest], checks[digest] = (offset, height, width), check
        total += 3 * height * width
    return places, checks, total


def _checksum(digest: str, pixels: np.ndarray) -> int:
    """CRC-32 of the picture's pixels, its shape and the file that it was decoded from."""
    height, width = pixels.shape[:2]
    start = zlib.crc32(f"{digest} {height} {width}".encode())
    return zlib.crc32(np.ascontiguousarray(pixels).data, start)


def _unique(items: Sequence[Item]) -> dict[str, Item]:
    """{digest: item}, sorted by digest."""
    unique: dict[str, Item] = {}
    for item in items:
        first = unique.setdefault(item.digest, item)
        if first.rotate != item.rotate:
            raise DataError(
                f"{first.image} and {item.image} are the same picture, but by the sizes in their "
                "annotations only one is to be rotated: correct one of these sizes"
            )
    if not unique:
        raise DataError("no images to cache: check the data set")
    return dict(sorted(unique.items()))


def _name(unique: dict[str, Item], max_side: int) -> str:
    pictures = [
        (digest, item.rotate, *([item.bits] if item.bits else []))
        for digest, item in unique.items()
    ]
    key = json.dumps([VERSION, max_side, pictures])
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _open(path: Path, unique: dict[str, Item], workers: int | None) -> ImageCache | None:
    """The cache in a folder, where it is there and whole."""
    return None if _fault(path, unique, workers) else ImageCache(path)


def _fault(path: Path, unique: dict[str, Item], workers: int | None) -> str | None:
    """Why the cache in a folder cannot be used; None where it can."""
    try:
        cache = ImageCache(path)
        bad = cache.damaged(workers)
    except (DataError, OSError) as error:
        return str(error).removesuffix(": remove it")
    count = len(bad) + len(unique.keys() - cache._places.keys())
    if count:
        return (
            f"the image cache {path} is damaged ({count} of {len(unique)} pictures are not as they "
            "were written)"
        )
    return None


def _write(
    folder: Path,
    unique: dict[str, Item],
    max_side: int,
    workers: int | None,
    progress: Progress | None,
) -> None:
    images, offset = {}, 0
    with (folder / PIXELS).open("wb") as file:
        for digest, pixels in _decoded(unique, max_side, workers or usable_cores()):
            file.write(pixels.data)
            images[digest] = (offset, *pixels.shape[:2], _checksum(digest, pixels))
            offset += pixels.size
            if progress:
                progress(len(images), len(unique))
    index = {"version": VERSION, "max_side": max_side, "images": images}
    (folder / INDEX).write_text(json.dumps(index))


def _decoded(
    unique: dict[str, Item], max_side: int, workers: int | None
) -> Iterator[tuple[str, np.ndarray]]:
    def one(item: Item) -> tuple[str, np.ndarray]:
        return item.digest, _decode(item, max_side)

    waiting = iter(unique.values())
    with ThreadPoolExecutor(workers) as pool:
        while batch := list(islice(waiting, AHEAD)):
            yield from pool.map(one, batch)


def _publish(draft: Path, path: Path, unique: dict[str, Item], workers: int | None) -> ImageCache:
    """Rename `draft` to `path`, or use the cache that another process has put there meanwhile."""
    damaged = draft.with_name(f"{draft.name}-damaged")
    for _ in range(5):  # more than once only where several writers meet a damaged cache
        with suppress(OSError):
            os.replace(draft, path)
        found = _open(path, unique, workers)
        if found is not None:
            return found
        with suppress(OSError):  # renamed first, so that of several writers one removes it
            os.replace(path, damaged)
            shutil.rmtree(damaged)
    raise DataError(f"cannot replace the damaged image cache {path}: remove it")


def _remove_abandoned(cache_dir: Path) -> None:
    for draft in cache_dir.glob(f"{DRAFT}*"):
        with suppress(OSError):  # another process may be removing it too
            if draft.stat().st_mtime < time.time() - ABANDONED:
                shutil.rmtree(draft)
