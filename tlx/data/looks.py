"""One pass over the picture files of a set: what each of them is, and its hash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tlx.common.progress import progress
from tlx.data.duplicates import packed_hash
from tlx.data.formats.annotations import Annotation
from tlx.data.formats.pictures import Probe, UnreadablePicture, probe, probe_pixels, turned

AT_ONCE = 64  # files


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a picture tells, and, where asked, its hash as stored and upright."""

    probe: Probe
    hashes: tuple[bytes, bytes] = (b"", b"")


def look_at_all(
    annotations: Sequence[Annotation], bits: int | None, max_side: int | None
) -> dict[Path, Look | UnreadablePicture]:
    """What each picture of `annotations` is; on a terminal with a bar.

    Threads help, for hashing and decoding release the GIL. They get many files at a time: a future
    for each of 100,000 takes more than the rest.

    Args:
        bits: that 16-bit files use, 8..16; None: all.
        max_side: of the pictures as they are decoded for training, px; None: no hashes of them.
    """

    def attempt(path: Path) -> Look | UnreadablePicture:
        try:
            if max_side is None:
                return Look(probe(path, bits))
            found, pixels = probe_pixels(path, bits, max_side)
        except UnreadablePicture as error:
            return error
        stored = packed_hash(pixels)
        upright = turned(pixels, found.orientation)
        return Look(found, (stored, stored if upright is pixels else packed_hash(upright)))

    paths = list(dict.fromkeys(a.image for a in annotations if not a.unused))
    looks: dict[Path, Look | UnreadablePicture] = {}
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress("reading pictures", len(paths)) as done,
    ):
        parts = [paths[i : i + AT_ONCE] for i in range(0, len(paths), AT_ONCE)]
        for part, found in zip(
            parts, pool.map(lambda part: [*map(attempt, part)], parts), strict=True
        ):
            looks.update(zip(part, found, strict=True))
            done(len(looks))
    return looks
