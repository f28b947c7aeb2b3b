"""A source read in a thread of its own, into a buffer that never grows."""

from __future__ import annotations

import logging
import threading
from collections import deque
from types import TracebackType

from tlx.live.frame import Frame, Source

log = logging.getLogger(__name__)
AHEAD = 4  # frames of a file that are decoded while the model works
PATIENCE = 5.0  # s to wait for the thread at the end: a network stream may be stuck in a read


class Reader:
    """Frames of a source, in order.

    A live source never waits: the buffer holds its newest frame, older ones that nobody took are
    dropped and counted. Files wait: none of their frames is dropped.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.dropped = 0
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.source.close()
        with self._changed:
            self._closed = True
            self._frames.clear()
            self._changed.notify_all()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            log.warning("%s does not answer; it is left to itself", self.source.name)

    @property
    def ended(self) -> bool:
        """No frame is left and none will come."""
        with self._changed:
            return self._ended and not self._frames and self._error is None

    def get(self, timeout: float) -> Frame | None:
        """The next frame; None when there was none within `timeout` s, or at the end.

        Raises what made the source break off, once its last frame is taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended, timeout)
            if self._frames:
                frame = self._frames.popleft()
                self._changed.notify_all()
                return frame
            if self._error is not None:
                raise self._error
            return None

    def _read(self) -> None:
        try:
            for frame in self.source:
                if not self._put(frame):
                    break
        except BaseException as error:  # the loop's thread raises it
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, frame: Frame) -> bool:
        """Hand a frame over; False when nobody wants any more."""
        with self._changed:
            if self.source.live:
                self.dropped += len(self._frames)
                self._frames.clear()
            else:
                self._changed.wait_for(lambda: len(self._frames) < AHEAD or self._closed)
            if not self._closed:
                self._frames.append(frame)
                self._changed.notify_all()
            return not self._closed
