"""A camera or network stream as a source: live, and connected again when it was lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tlx.common.errors import DataError
from tlx.live.frame import Frame
from tlx.live.opencv import Capture

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts to connect, in s: `first`, twice that, and so on up to `longest`."""

    first: float = 0.5
    longest: float = 30.0

    def wait(self, failures: int) -> float:
        """Before the attempt that follows so many failures."""
        return float(min(self.longest, self.first * 2.0 ** min(failures, 60)))


class Camera:
    """Frames as they come.

    A camera that is not there at the start is an error; one that is lost later is connected again
    for as long as it takes, or until `give_up` seconds have passed without a frame.

    Args:
        name: for file names. shown: for messages, without passwords.
        connect: opens it, or raises `DataError`.
        convert: from what the capture reads to uint8 (H, W, 3) RGB.
    """

    live = True

    def __init__(
        self,
        name: str,
        shown: str,
        connect: Callable[[], Capture],
        convert: Callable[[np.ndarray], np.ndarray],
        *,
        fps: float | None = None,
        give_up: float | None = None,
        backoff: Backoff = Backoff(),
    ) -> None:
        self.name, self.shown, self.fps = name, shown, fps
        self.connect, self.convert, self.give_up, self.backoff = connect, convert, give_up, backoff
        self.reconnects = 0
        self._closed = threading.Event()
        self._capture: Capture | None = connect()

    def __iter__(self) -> Iterator[Frame]:
        index, failures = 0, 0
        start = seen = time.monotonic()
        try:
            while not self._closed.is_set():
                ok, pixels = self._capture.read() if self._capture else (False, None)
                now = time.monotonic()
                if ok and pixels is not None:
                    if failures:
                        self.reconnects += 1
                        log.warning("%s is back after %.1f s", self.shown, now - seen)
                    failures, seen = 0, now
                    yield Frame(index, round(now - start, 3), self.convert(pixels))
                    index += 1
                    continue
                self._release()
                if self.give_up is not None and now - seen >= self.give_up:
                    raise DataError(
                        f"{self.shown} gave no frame for {now - seen:.0f} s: check the camera, or "
                        "raise give_up"
                    )
                # A device that opens and gives nothing is a failure too: only a frame resets.
                self._wait(self.backoff.wait(failures))
                failures += 1
                self._capture = self._reconnect()
        finally:
            self._release()

    def _wait(self, seconds: float) -> None:
        log.warning("%s gives no frame; connecting again in %.1f s", self.shown, seconds)
        self._closed.wait(seconds)

    def _reconnect(self) -> Capture | None:
        if self._closed.is_set():
            return None
        try:
            return self.connect()
        except DataError:
            return None

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def close(self) -> None:
        """End after the frame that is being read, or at once while waiting to connect again."""
        self._closed.set()
