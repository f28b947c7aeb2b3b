"""Picture files as a source."""

from __future__ import annotations

import glob
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from tlx.common.errors import DataError
from tlx.data.formats.folders import IMAGE_ENDINGS, pictures_below
from tlx.data.formats.pictures import decode
from tlx.live.frame import Frame

log = logging.getLogger(__name__)
NO_LIMIT = 1 << 30  # px: predictions are drawn on the picture at its own size


def find_pictures(source: str) -> list[Path]:
    """The pictures that `source` means, sorted; `DataError` when there are none."""
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = pictures_below(path)
    else:
        named = map(Path, sorted(glob.glob(str(path), recursive=True)))
        files = (p for p in named if p.is_file() and not p.name.startswith("."))
        found = [p for p in files if p.suffix.lower() in IMAGE_ENDINGS]
    if not found:
        raise DataError(
            f"source={source}: no picture there ({', '.join(sorted(IMAGE_ENDINGS))} are read)"
        )
    return found


class Pictures:
    """Files one after the other; one that cannot be read is a frame with an error.

    Attributes:
        bits: that 16-bit files use, as the model's training data did; None: all.
    """

    live = False
    fps: float | None = None

    def __init__(self, paths: list[Path], name: str = "pictures") -> None:
        self.paths, self.name = paths, name
        self.bits: int | None = None
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self.paths):
            if self._closed.is_set():
                return
            try:
                pixels = decode(path, rotate=True, max_side=NO_LIMIT, bits=self.bits)
                yield Frame(index, 0.0, pixels, path)
            except DataError as error:
                log.warning("skipped: %s", error)
                yield Frame(index, 0.0, None, path, "cannot be read")

    def close(self) -> None:
        """End before the next picture."""
        self._closed.set()
