"""Labelling in a window of OpenCV's: that of tools/capture.py, with tlx's sources, set and models.

The tool is copied alone to bare Jetsons and imports nothing of tlx; here it is loaded as it is.
"""

from __future__ import annotations

import importlib.util
import io
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from tlx.common.errors import TlxError, ToolError
from tlx.data.formats.pictures import decode
from tlx.labelling.album import Album, Picture
from tlx.labelling.suggest import Suggester
from tlx.live.collect import QUALITY, moment
from tlx.live.frame import Frame, Source
from tlx.live.opencv import import_cv2, to_bgr, to_rgb
from tlx.live.pictures import NO_LIMIT
from tlx.live.reader import Reader
from tlx.live.voc_lists import SPLITS


def tool() -> ModuleType:
    """The module tools/capture.py: inside the package (a wheel), else at the repository's top."""
    import_cv2()  # the error where it is missing says what to install
    package = Path(__file__).parent.parent
    inside = package / "tools" / "capture.py"
    path = inside if inside.is_file() else package.parent / "tools" / "capture.py"
    spec = importlib.util.spec_from_file_location("tlx_capture_window", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def label_in_window(
    album: Album, source: Source, stop: threading.Event, *, split: str,
    suggester: Suggester | None = None,
) -> None:  # fmt: skip
    """Show the window until the user ends it or `stop` is set.

    Raises:
        ToolError: there is no display, or this OpenCV opens no window.
    """
    module = tool()
    suggest = None if suggester is None else lambda bgr: _suggested(suggester, bgr)
    with Reader(source) as reader:
        frames, store = _Frames(source, reader), _Store(album, module.CaptureError)
        try:
            module.Window(frames, store, split, suggest, stop.is_set).run()
        except module.CaptureError as error:
            raise ToolError(f"label=window: {error}; or take label=page") from None


def _suggested(suggester: Suggester, bgr: np.ndarray) -> list[dict[str, Any]]:
    return [{**box, "origin": None} for box in suggester.boxes(to_rgb(bgr))]


class _Frames:
    """A source as the window asks for it."""

    def __init__(self, source: Source, reader: Reader) -> None:
        self.source, self.reader = source, reader
        self.ended = False
        self.pause = 0.015 if source.live else 1 / (source.fps or 1)
        self._frame: Frame | None = None

    def newest(self) -> np.ndarray | None:
        """Uint8 BGR; None where no frame is new."""
        frame = self.reader.get(0.02)
        self.ended = self.reader.ended
        if frame is None or frame.pixels is None:
            return None
        self._frame = frame
        return to_bgr(frame.pixels)

    def identifier(self) -> str:
        """The beginning of a picture's name."""
        if self.source.live or self._frame is None:
            return moment()
        path = self._frame.path
        return path.stem if path else f"{self.source.name}-{self._frame.index:06d}"


class _Store:
    """An album as the window asks for it."""

    def __init__(self, album: Album, error: type[Exception]) -> None:
        self.album, self.error, self.classes = album, error, album.classes
        self._open: Picture | None = None

    def names(self) -> list[str]:
        """The pictures, the oldest first."""
        return self.album.names()

    def load(self, name: str) -> tuple[np.ndarray, list[dict[str, Any]], str | None]:
        """A picture (uint8 BGR), its boxes and its split."""
        try:
            self._open = self.album.open(name)
            pixels = decode(self._open.path, rotate=self._open.rotate, max_side=NO_LIMIT)
        except TlxError as error:
            raise self.error(str(error)) from error
        return to_bgr(pixels), [box.plain() for box in self._open.boxes], self._open.split

    def add(
        self, bgr: np.ndarray, boxes: Sequence[dict[str, Any]], split: str, identifier: str
    ) -> str:
        """Save a picture; its name."""
        into, height, width = io.BytesIO(), *bgr.shape[:2]
        Image.fromarray(to_rgb(bgr)).save(into, "JPEG", quality=QUALITY)
        try:
            size = (int(width), int(height))
            return self.album.add(into.getvalue(), size, list(boxes), split, identifier).name
        except TlxError as error:
            raise self.error(str(error)) from error

    def change(self, name: str, boxes: Sequence[dict[str, Any]], split: str) -> None:
        """Replace the boxes and the split of a picture."""
        assert self._open is not None
        try:
            self.album.change(name, list(boxes), split, self._open.revision)
        except TlxError as error:
            raise self.error(str(error)) from error

    def counts(self) -> dict[str, int]:
        """Labelled pictures by split."""
        counts = self.album.counts()["splits"]
        return {split: counts[split]["pictures"] for split in SPLITS}
