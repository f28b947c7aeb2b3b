"""One picture on its way from a source to the outputs, and what a source is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Frame:
    """A picture of a source.

    Attributes:
        index: 0-based position in the source; frames that were dropped count.
        time_s: seconds since the source began: of a video file by its own clock, of a camera by the
            machine's, of pictures 0.
        pixels: uint8 (H, W, 3) RGB; None where `error` says why there are none.
        path: the file of a picture.
    """

    index: int
    time_s: float
    pixels: np.ndarray | None
    path: Path | None = None
    error: str = ""


class Source(Protocol):
    """Frames in order. Iterated once, in a thread of its own (`tlx.live.reader`).

    Attributes:
        name: for file names. live: it does not wait: frames that come too fast are dropped.
        fps: nominal frames a second, where it has them.
    """

    name: str
    live: bool
    fps: float | None

    def __iter__(self) -> Iterator[Frame]:
        """The frames; raises `DataError` for a source that breaks off for good."""

    def close(self) -> None:
        """End the iteration soon; called from another thread."""
