"""A video file as a source: every frame, in order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from tlx.common.errors import DataError
from tlx.live.frame import Frame
from tlx.live.opencv import import_cv2, open_capture, to_rgb
from tlx.live.passwords import hide_password

log = logging.getLogger(__name__)
ENOUGH = 0.98  # of the announced frames: containers announce estimates


class VideoFile:
    """Frames of a file, or of one behind http(s), turned upright as its metadata says.

    Raises `DataError` where it cannot be opened; ends with a warning where it breaks off early.
    """

    live = False

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name, self.shown = address, name, hide_password(address)
        cv2 = import_cv2()
        self._time_key = cv2.CAP_PROP_POS_MSEC
        self._capture = open_capture(address, "FFMPEG", self.shown)
        self.fps: float | None = self._capture.get(cv2.CAP_PROP_FPS) or None
        self.announced = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        try:
            while not self._closed.is_set():
                ok, bgr = self._capture.read()
                if not ok or bgr is None:
                    self._ended(index)
                    return
                time_s = self._capture.get(self._time_key) / 1000
                yield Frame(index, round(time_s, 3), to_rgb(bgr))
                index += 1
        finally:
            self._capture.release()

    def _ended(self, frames: int) -> None:
        """OpenCV does not tell an end from damage: the announced number does."""
        if not frames:
            raise DataError(f"{self.shown}: no frame can be decoded: damaged, or an odd codec")
        if frames < ENOUGH * self.announced:
            log.warning(
                "%s ends after %d of about %d frames: is it damaged?",
                self.shown, frames, self.announced,
            )  # fmt: skip

    def close(self) -> None:
        """End before the next frame."""
        self._closed.set()
