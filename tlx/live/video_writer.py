"""Annotated frames as a video file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlx.common.errors import ToolError
from tlx.live.opencv import import_cv2, to_bgr
from tlx.live.writers import Shown

log = logging.getLogger(__name__)
# Encoders that OpenCV's packages have on every platform; they have none for H.264.
CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
LONGEST_GAP = 1.0  # s that a still frame stands for; longer gaps of a camera are cut out
DEFAULT_FPS = 30.0


class VideoWriter:
    """A video in the size of its first frame; other sizes are stretched to it.

    Args:
        fps: frames a second of the file.
        paced: frames come when they come (cameras): each is repeated or left out so that the file
            plays in real time. Otherwise each frame is written once.
    """

    draws = True

    def __init__(self, path: Path, fps: float | None, *, paced: bool) -> None:
        self._cv2 = import_cv2()
        self.path, self.fps, self.paced = path, fps or DEFAULT_FPS, paced
        self.written = 0
        self._size: tuple[int, int] | None = None
        self._file: Any = None
        self._gap = 0.0  # s that were cut out

    def write(self, shown: Shown) -> None:
        """Append a frame."""
        image = shown.image
        if image is None:
            return
        if self._file is None:
            self._gap = shown.frame.time_s
            self._open(image)
        elif image.size != self._size:
            image = image.resize(self._size, Image.Resampling.BILINEAR)  # type: ignore[arg-type]
        bgr = to_bgr(np.asarray(image))
        for _ in range(self._copies(shown.frame.time_s)):
            self._file.write(bgr)
            self.written += 1

    def _copies(self, time_s: float) -> int:
        if not self.paced:
            return 1
        ahead = time_s - self._gap - self.written / self.fps
        if ahead > LONGEST_GAP:
            self._gap += ahead
            ahead = 0.0
        # A frame fills the time up to its own moment and one frame on; 0 where that is filled.
        return max(0, round(ahead * self.fps) + 1)

    def _open(self, image: Image.Image) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._size = image.size
        code = self._cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])
        self._file = self._cv2.VideoWriter(str(self.path), code, self.fps, image.size)
        if not self._file.isOpened():
            raise ToolError(
                f"{self.path}: this OpenCV cannot write it; try another ending "
                f"({', '.join(CODECS)}), or pictures (output=folder/%i.jpg)"
            )

    def close(self) -> None:
        """Complete the file; OpenCV tells of no error, so its size is looked at."""
        if self._file is not None:
            self._file.release()
            if self.written and not (self.path.is_file() and self.path.stat().st_size):
                raise ToolError(f"{self.path} was not written: is the disk full?")
