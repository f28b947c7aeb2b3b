"""The live picture for those who look at it, and the frames that they have frozen."""

from __future__ import annotations

import io
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from tlx.common.errors import DataError, TlxError
from tlx.live.collect import QUALITY, moment
from tlx.live.frame import Frame, Source
from tlx.live.reader import Reader

POLL = 0.1  # s between looks at `stop` while no frame comes
LIVE_SIDE, LIVE_QUALITY = 1280, 75  # longer side in px of the live picture
SHOWN = 4  # newest frames that can be frozen: what a page shows is a moment old
FROZEN = 8  # frames that wait to be saved, of all pages together
WATCHED = 1.0  # s after the last look in which a file goes on to play
SLIDE = 1.0  # frames a second of pictures, which have no rate


@dataclass
class Frozen:
    """A frame that is being labelled: the very file that will be saved.

    Attributes:
        jpeg: the encoded picture. size: (width, height).
        identifier: the beginning of its file's name. saved: its name in the set, once it has one.
    """

    number: int
    jpeg: bytes
    size: tuple[int, int]
    identifier: str
    saved: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pixels(self) -> np.ndarray:
        """uint8 RGB (H, W, 3)."""
        with Image.open(io.BytesIO(self.jpeg)) as image:
            return np.array(image.convert("RGB"))


class Feed:
    """Frames of a source, the newest first.

    A camera runs on. A file plays at its own rate while somebody looks, and waits otherwise: what
    is labelled at leisure is not played past.

    Attributes:
        error: why the source broke off; "" while it did not. ended: no more frames will come.
    """

    def __init__(self, source: Source, stop: threading.Event) -> None:
        self.source, self.error, self.ended = source, "", False
        self._stop, self._changed = stop, threading.Condition()
        self._shown: deque[Frame] = deque(maxlen=SHOWN)
        self._live: tuple[int, bytes] = (-1, b"")
        self._frozen: OrderedDict[int, Frozen] = OrderedDict()
        self._watched, self._wanted = 0.0, False
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end, once `stop` is set."""
        self._thread.join()

    def live(self, after: int, timeout: float) -> tuple[int, bytes] | None:
        """(number, JPEG) of the newest frame; None where none is newer than `after` in time."""
        with self._changed:
            self._watched = time.monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._newest() > after or self.ended, timeout)
            if self._newest() <= after:
                return None
            frame = self._shown[-1]
        if self._live[0] != frame.index:
            self._live = frame.index, _encode(frame, LIVE_QUALITY, LIVE_SIDE)
        return self._live

    def freeze(self, number: int | None) -> Frozen:
        """The frame that a page shows, or the newest; `DataError` before the first."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._shown) or self.ended, timeout=2)
            if number is not None and number in self._frozen:
                return self._frozen[number]
            if not self._shown:
                raise DataError(self.error or "no frame has come yet: wait for the camera")
            frame = next((f for f in self._shown if f.index == number), self._shown[-1])
            if frame.index in self._frozen:
                return self._frozen[frame.index]
        return self._keep(frame)

    def next(self, after: int, timeout: float = 5.0) -> Frozen:
        """The frame that follows, frozen; `DataError` at the end."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()
            came = self._changed.wait_for(lambda: self._newest() > after or self.ended, timeout)
            if self._newest() <= after:
                end = "the source has ended" if came else "no new frame came"
                raise DataError(self.error or end)
            frame = self._shown[-1]
        return self._keep(frame)

    def frozen(self, number: int) -> Frozen:
        """A frame that was frozen; `DataError` where it is kept no longer."""
        with self._changed:
            if number not in self._frozen:
                raise DataError(f"frame {number} is kept no longer: freeze again")
            self._frozen.move_to_end(number)
            return self._frozen[number]

    def _keep(self, frame: Frame) -> Frozen:
        assert frame.pixels is not None
        height, width = frame.pixels.shape[:2]
        frozen = Frozen(frame.index, _encode(frame, QUALITY), (width, height), self._name(frame))
        with self._changed:
            self._frozen.setdefault(frame.index, frozen)
            while len(self._frozen) > FROZEN:
                self._frozen.popitem(last=False)
            return self._frozen.get(frame.index, frozen)

    def _name(self, frame: Frame) -> str:
        """The time for a camera; the place for what can be read again."""
        if self.source.live:
            return moment()
        return frame.path.stem if frame.path else f"{self.source.name}-{frame.index:06d}"

    def _newest(self) -> int:
        return self._shown[-1].index if self._shown else -1

    def _run(self) -> None:
        try:
            with Reader(self.source) as reader:
                while not self._stop.is_set() and not reader.ended:
                    if self.source.live or self._due():
                        self._take(reader)
        except (TlxError, OSError) as error:
            self.error = str(error)
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _due(self) -> bool:
        """Of a file: whether its next frame is to be shown now. Waits for a moment."""
        with self._changed:
            if self._wanted or not self._shown:
                return True
            if time.monotonic() - self._watched > WATCHED:
                self._changed.wait(POLL)
                return False
            self._changed.wait_for(lambda: self._wanted, 1 / (self.source.fps or SLIDE))
            return self._wanted or time.monotonic() - self._watched <= WATCHED

    def _take(self, reader: Reader) -> None:
        frame = reader.get(POLL)
        if frame is not None and frame.pixels is not None:  # else a picture that cannot be read
            with self._changed:
                self._wanted = False
                self._shown.append(frame)
                self._changed.notify_all()


def _encode(frame: Frame, quality: int, side: int | None = None) -> bytes:
    assert frame.pixels is not None
    image = Image.fromarray(frame.pixels)
    if side is not None and max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BILINEAR)
    into = io.BytesIO()
    image.save(into, "JPEG", quality=quality)
    return into.getvalue()
